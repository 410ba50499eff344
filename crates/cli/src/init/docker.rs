//! `Dockerfile` and Compose files: the port, the health check, the command, and which directories are services.

use super::place::{Found, Place, join};
use super::recipe::{Recipe, localise, port_in};
use super::yaml::Node;

/// Names that Compose reads, in its order.
const COMPOSE: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// A service of a Compose file that is built from a directory of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ComposeService {
    /// Its name there.
    pub(crate) name: String,
    /// The directory that it is built from, from the repository's root.
    pub(crate) directory: String,
    /// The port on the host, or else in the container.
    pub(crate) port: Option<u16>,
    /// The file that says so.
    pub(crate) file: String,
}

/// What the `Dockerfile` of a directory says.
pub(crate) fn recipe(place: &Place<'_>) -> Recipe {
    let Some(text) = place.text("Dockerfile") else { return Recipe::default() };
    let lines = instructions(&text);
    let last = |name: &str| lines.iter().rev().find(|(word, _)| word == name).map(|(_, rest)| rest.as_str());
    let why = |name: &str| format!("{name} in {}", place.path_of("Dockerfile"));
    let command = last("CMD").or_else(|| last("ENTRYPOINT")).map(words);
    let port = last("EXPOSE").and_then(|rest| rest.split(['/', ' ']).next()?.parse().ok());
    let port = port.map(|port: u16| Found::new(port, why("EXPOSE")));
    let port = port.or_else(|| Some(Found::new(port_in(command.as_deref()?)?, why("CMD"))));
    let health = last("HEALTHCHECK").and_then(path_of_url).map(|path| Found::new(path, why("HEALTHCHECK")));
    let runs_here = command.filter(|line| needs_no_image(place, line));
    let run = runs_here.map(|line| Found::new(localise(place, &line), why("CMD")));
    let notes = match &run {
        Some(_) => Vec::new(),
        None => vec![format!(
            "{} needs a container; say in `run` how to start it on this machine",
            place.path_of("Dockerfile")
        )],
    };
    Recipe { run, port, health, notes, ..Recipe::default() }
}

/// The services that Compose files of a branch build, from all of its files.
pub(crate) fn compose(root: &Place<'_>) -> Vec<ComposeService> {
    let Some(file) = root.first_of(&COMPOSE) else { return Vec::new() };
    let node = Node::parse(&root.text(file).unwrap_or_default());
    let services = node.entry("services").map(Node::entries).unwrap_or_default();
    services
        .iter()
        .filter_map(|(name, service)| {
            let build = service.entry("build")?;
            let directory = build.text().or_else(|| build.entry("context")?.text())?;
            let port = service.entry("ports").and_then(|ports| ports.items().iter().find_map(host_port));
            let directory = join(directory.trim_start_matches("./"), "");
            (!directory.starts_with("..") && !directory.contains("://")).then(|| ComposeService {
                name: name.clone(),
                directory,
                port,
                file: file.to_owned(),
            })
        })
        .collect()
}

/// `8080`, `80:8080`, `127.0.0.1:80:8080/tcp`, `published: 80`.
fn host_port(node: &Node) -> Option<u16> {
    if let Some(published) = node.entry("published").or_else(|| node.entry("target")) {
        return published.number();
    }
    let text = node.text()?.split('/').next()?;
    let mut parts = text.rsplit(':');
    let container = parts.next()?;
    parts.next().unwrap_or(container).parse().ok()
}

/// Instructions with their rest, continued lines joined.
fn instructions(text: &str) -> Vec<(String, String)> {
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
fn path_of_url(text: &str) -> Option<String> {
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
        let found = recipe(&place(&[
            (
                "Dockerfile",
                "FROM python:3.12\nEXPOSE 8080/tcp\nHEALTHCHECK --interval=5s \\\n  CMD curl -f http://localhost:8080/health || exit 1\n\
                 CMD [\"uvicorn\", \"main:app\", \"--host\", \"0.0.0.0\", \"--port\", \"8080\"]\n",
            ),
            ("requirements.txt", "uvicorn\n"),
        ]));
        assert_eq!(found.port.expect("a port").value, 8080);
        assert_eq!(found.health.expect("a path").value, "/health");
        assert_eq!(found.run.expect("a command").value, ".venv/bin/uvicorn main:app --host $HOST --port $PORT");
    }

    #[test]
    fn an_image_of_its_own_is_not_run_here() {
        let found = recipe(&place(&[("Dockerfile", "FROM nginx\nEXPOSE 80\nCMD [\"nginx\"]\n")]));
        assert_eq!(found.run, None);
        assert!(found.notes[0].contains("container"));
    }

    #[test]
    fn compose_names_the_directories_that_it_builds() {
        let found = compose(&place(&[(
            "docker-compose.yml",
            "services:\n  web:\n    build: ./web\n    ports:\n      - \"3000:80\"\n  api:\n    build:\n      context: services/api\n  db:\n    image: postgres\n",
        )]));
        let seen: Vec<_> = found.iter().map(|s| (s.name.as_str(), s.directory.as_str(), s.port)).collect();
        assert_eq!(seen, [("web", "web", Some(3000)), ("api", "services/api", None)]);
    }
}
