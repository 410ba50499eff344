//! `Dockerfile`: the port, the health check, the command, and whether it needs a container.

use super::compose::ComposeService;
use super::image::Image;
use super::place::{Found, Place};
use super::recipe::{Recipe, localise, port_in};

/// What the Dockerfile of a directory says; `composed` is the service that a Compose file builds from it.
pub(crate) fn recipe(place: &Place<'_>, composed: Option<&ComposeService>) -> Recipe {
    let named = composed.and_then(|service| service.dockerfile.as_deref());
    let file = named.filter(|file| place.has(file)).unwrap_or("Dockerfile");
    let Some(text) = place.text(file) else {
        let notes = composed.map(|service| service.notes.clone()).unwrap_or_default();
        return Recipe { notes, ..Recipe::default() };
    };
    let lines = instructions(&text);
    let why = |name: &str| format!("{name} in {}", place.path_of(file));
    let command = last(&lines, "CMD").or_else(|| last(&lines, "ENTRYPOINT")).map(words);
    let port =
        last(&lines, "EXPOSE").and_then(|rest| exposed(rest, &lines)).map(|port| Found::new(port, why("EXPOSE")));
    let port = port.or_else(|| Some(Found::new(port_in(command.as_deref()?)?, why("CMD"))));
    let health = health_of(place, file);
    let runs_here = command.filter(|line| needs_no_image(place, line));
    let run = runs_here.map(|line| Found::new(localise(place, &line), why("CMD")));
    let image = run.is_none().then(|| image(place, file, &lines, composed));
    Recipe { run, port, health, image, ..Recipe::default() }
}

/// The path that a Dockerfile has its container asked for.
pub(crate) fn health_of(place: &Place<'_>, file: &str) -> Option<Found<String>> {
    let lines = instructions(&place.text(file)?);
    let path = last(&lines, "HEALTHCHECK").and_then(path_of_url)?;
    Some(Found::new(path, format!("HEALTHCHECK in {}", place.path_of(file))))
}

/// The container that is built from `file`.
fn image(place: &Place<'_>, file: &str, lines: &[Instruction], composed: Option<&ComposeService>) -> Image {
    let path = place.path_of(file);
    let why = format!("{path} needs a container");
    let stage = composed.and_then(|service| service.stage.as_deref());
    let chain = chain(lines, stage);
    let exposed = last(&chain, "EXPOSE").and_then(|rest| exposed(rest, lines));
    let exposed = exposed.map(|port| Found::new(port, format!("EXPOSE in {path}")));
    let command = last(&chain, "CMD").or_else(|| last(&chain, "ENTRYPOINT")).map(words);
    let told = command.and_then(|line| port_in(&line)).map(|port| Found::new(port, format!("CMD in {path}")));
    let own = exposed.or(told);
    let Some(service) = composed else { return Image { why, port: own, ..Image::default() } };
    let commanded = service.command.as_ref().and_then(|words| port_in(&words.join(" ")));
    let commanded = commanded.map(|port| Found::new(port, service.why("command")));
    let mut notes = service.notes.clone();
    // One of several services of a directory that runs a command of its own and publishes nothing is seldom the one that listens.
    let is_other = service.shares && service.command.is_some();
    let port = service.listens.clone().or(commanded).or_else(|| own.filter(|_| !is_other));
    if let Some(missing) = service.dockerfile.as_deref().filter(|named| *named != file) {
        notes
            .push(format!("`dockerfile` of `{}` in {} is `{missing}`, which is not there", service.name, service.file));
    }
    let one = |key: &str, value: &Option<String>| value.clone().map(|value| Found { value, why: service.why(key) });
    Image {
        why,
        port,
        published: service.published.map(|port| Found::new(port, service.why("ports"))),
        file: (file != "Dockerfile").then(|| Found::new(file, service.why("dockerfile"))),
        stage: one("target", &service.stage),
        arguments: service.found("args", &service.arguments),
        command: service.found("command", service.command.as_deref().unwrap_or_default()),
        memory: service.memory.map(|value| Found { value, why: service.why("memory") }),
        cpus: one("cpus", &service.cpus),
        volumes: service.found("volumes", &service.volumes),
        variables: service.variables.clone(),
        notes,
    }
}

/// An instruction, and what stands behind it.
type Instruction = (String, String);

/// The instructions that a stage consists of, those of the stages that it starts from first; the last stage if none is named.
fn chain(lines: &[Instruction], stage: Option<&str>) -> Vec<Instruction> {
    let starts: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].0 == "FROM").collect();
    let name = |at: usize| lines[at].1.rsplit_once(char::is_whitespace).map(|(_, name)| name.to_lowercase());
    let mut wanted = match stage {
        Some(stage) => starts.iter().position(|at| name(*at).as_deref() == Some(stage.to_lowercase().as_str())),
        None => starts.len().checked_sub(1),
    };
    let mut chain: Vec<Instruction> = Vec::new();
    while let Some(at) = wanted {
        let end = starts.get(at + 1).copied().unwrap_or(lines.len());
        chain.splice(0..0, lines[starts[at]..end].iter().cloned());
        let base = lines[starts[at]].1.split_whitespace().find(|word| !word.starts_with("--")).map(str::to_lowercase);
        // A stage starts only from one above it, so this ends.
        wanted = starts[..at].iter().rposition(|start| base.is_some() && name(*start) == base);
    }
    chain
}

/// What stands behind the last `name`.
fn last<'a>(lines: &'a [Instruction], name: &str) -> Option<&'a str> {
    lines.iter().rev().find(|(word, _)| word == name).map(|(_, rest)| rest.as_str())
}

/// The first port of `EXPOSE`, which may be a variable that the file sets.
fn exposed(rest: &str, lines: &[Instruction]) -> Option<u16> {
    let first = rest.split(['/', ' ']).next()?;
    let Some(variable) = first.strip_prefix('$') else { return first.parse().ok().filter(|port| *port > 0) };
    let variable = variable.trim_matches(['{', '}']);
    let settings = lines.iter().rev().filter(|(word, _)| word == "ENV" || word == "ARG");
    let mut pairs = settings.flat_map(|(_, rest)| rest.split_whitespace());
    pairs.find_map(|pair| pair.strip_prefix(variable)?.strip_prefix('=')?.trim_matches('"').parse().ok())
}

/// Instructions with their rest, continued lines joined.
fn instructions(text: &str) -> Vec<Instruction> {
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    joined
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.trim().split_once(char::is_whitespace))
        .map(|(word, rest)| (word.to_uppercase(), rest.trim().to_owned()))
        .collect()
}

/// The words of `["a", "b"]`, or the line as it stands.
fn words(rest: &str) -> String {
    serde_json::from_str::<Vec<String>>(rest).map_or_else(|_| rest.to_owned(), |words| words.join(" "))
}

/// Whether a command is one that the language's own build step provides, and its file is there.
fn needs_no_image(place: &Place<'_>, line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().filter(|word| *word != "exec").collect();
    let python = place.has("requirements.txt") || place.has("pyproject.toml");
    match words.as_slice() {
        ["uvicorn" | "gunicorn" | "hypercorn", ..] => python,
        ["python" | "python3" | "node", file, ..] => place.has(file),
        ["npm", "start", ..] => place.has("package.json"),
        _ => false,
    }
}

/// The path of the first URL of a text.
pub(crate) fn path_of_url(text: &str) -> Option<String> {
    let behind = text.split_once("://")?.1;
    let path = &behind[behind.find('/')?..];
    let end =
        path.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '|' | ')' | ']' | ';')).unwrap_or(path.len());
    Some(path[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::place::tests::place;
    use super::*;

    #[test]
    fn a_dockerfile_tells_port_health_and_a_command_that_runs_here() {
        let found = recipe(
            &place(&[
                (
                    "Dockerfile",
                    "FROM python:3.12\nEXPOSE 8080/tcp\nHEALTHCHECK --interval=5s \\\n  CMD curl -f http://localhost:8080/health || exit 1\n\
                 CMD [\"uvicorn\", \"main:app\", \"--host\", \"0.0.0.0\", \"--port\", \"8080\"]\n",
                ),
                ("requirements.txt", "uvicorn\n"),
            ]),
            None,
        );
        assert_eq!(found.port.expect("a port").value, 8080);
        assert_eq!(found.health.expect("a path").value, "/health");
        assert_eq!(found.run.expect("a command").value, ".venv/bin/uvicorn main:app --host $HOST --port $PORT");
    }

    #[test]
    fn an_image_of_its_own_is_not_run_here() {
        let found = recipe(&place(&[("Dockerfile", "FROM nginx\nEXPOSE 80\nCMD [\"nginx\"]\n")]), None);
        assert_eq!(found.run, None);
        assert!(found.image.expect("a container").why.contains("container"));
    }

    #[test]
    fn the_stage_that_is_built_tells_the_port() {
        let text = "FROM node AS build\nEXPOSE 3000\nFROM nginx AS base\nARG PORT=8080\nEXPOSE ${PORT}\nFROM base\nCMD [\"nginx\"]\nFROM build AS dev\nCMD [\"x\"]\n";
        let lines = instructions(text);
        let port = |stage| last(&chain(&lines, stage), "EXPOSE").and_then(|rest| exposed(rest, &lines));
        assert_eq!((port(None), port(Some("base")), port(Some("none"))), (Some(3000), Some(8080), None));
    }

    #[test]
    fn a_compose_file_says_how_the_container_runs() {
        let files = place(&[("docker/prod.Dockerfile", "FROM odoo:18\nEXPOSE 8069 8072\n")]);
        let service = |command: Option<&str>, shares| ComposeService {
            name: "odoo".into(),
            file: "compose.yaml".into(),
            dockerfile: Some("docker/prod.Dockerfile".into()),
            command: command.map(|line| line.split(' ').map(str::to_owned).collect()),
            shares,
            ..Default::default()
        };
        let image = |service: ComposeService| recipe(&files, Some(&service)).image.expect("a container");
        let found = image(service(None, false));
        assert_eq!(found.file.expect("a file").value, "docker/prod.Dockerfile");
        assert_eq!(found.port.map(|port| port.value), Some(8069));
        let port = |command, shares| image(service(Some(command), shares)).port.map(|port| port.value);
        assert_eq!((port("odoo -d x", false), port("odoo -d x", true)), (Some(8069), None));
        assert_eq!(port("serve --port 99", true), Some(99));
        assert_eq!(recipe(&files, None).image, None);
    }
}
