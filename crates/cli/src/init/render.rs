//! A proposal as `pleach.toml`, each value below the reason for it.

use std::fmt::Write as _;

use super::image::Image;
use super::place::Found;
use super::project::Project;
use super::proposal::{Group, Proposal, ServiceProposal};

/// Longest comment line: what a terminal and a review show without wrapping.
const WIDTH: usize = 110;

/// The file's text.
pub(crate) fn render(proposal: &Proposal) -> String {
    let mut text = String::from(
        "# What is deployed, and where to. Proposed by `pleach init` from what lies in the repository: the comment above a\n\
         # value says where it was found. Change what you like, then `pleach config check` and `pleach plan local`.\n\
         # `pleach config explain KEY` tells what a key means.\n\n[project]\n",
    );
    line(&mut text, "name", &quote(&proposal.project));
    line(&mut text, "main", &quote(&proposal.main));
    if let Some(worktrees) = &proposal.worktrees {
        found(&mut text, "worktrees", worktrees, quote(&worktrees.value));
    }
    for service in &proposal.services {
        text.push('\n');
        self::service(&mut text, service);
    }
    environment(&mut text, proposal);
    others(&mut text, proposal);
    text
}

fn service(text: &mut String, service: &ServiceProposal) {
    let table = format!("services.{}", key(service.name.as_str()));
    if let Some(remote) = &service.remote {
        comment(
            text,
            &format!("only on `{remote}` so far; `pleach worktree add {}` makes the local branch", service.name),
        );
    }
    let _ = writeln!(text, "[{table}]");
    line(text, "branch", &quote(&service.branch));
    if !service.directory.is_empty() {
        comment(text, &service.why);
        line(text, "path", &quote(&service.directory));
    }
    if let Some(description) = &service.description {
        line(text, "description", &quote(description));
    }
    let recipe = &service.recipe;
    for note in &recipe.notes {
        comment(text, note);
    }
    if let Some(project) = &recipe.project {
        if project.why != service.why {
            comment(text, &project.why);
        }
        self::project(text, project);
    }
    match (&recipe.run, &recipe.image) {
        _ if recipe.project.is_some() => {}
        (Some(run), _) => {
            if let Some(build) = &recipe.build {
                found(text, "build", build, quote(&build.value));
            }
            found(text, "run", run, quote(&run.value));
        }
        (None, Some(image)) => {
            if image.is_plain() {
                plain_image(text, image);
            }
        }
        (None, None) if service.description.is_some() => comment(
            text,
            "Odoo loads these from its addons path: add `start` (how that Odoo is restarted) and `health`, and nothing is left \
             to do by hand",
        ),
        (None, None) => comment(
            text,
            "how it is started was not found: its files are put in place and nothing is started. Add `run` (gets HOST and \
             PORT), or `start` and `stop`",
        ),
    }
    if let Some(port) = &service.port {
        found(text, "port", port, port.value.to_string());
    }
    for variable in &recipe.variables {
        comment(text, &format!("it wants {variable}: environment.{variable} = {{ secret = \"env:{variable}\" }}"));
    }
    let is_asked = recipe.run.is_some() || service.port.is_some();
    if is_asked && recipe.health.is_none() {
        comment(text, "no health endpoint was found; with one: health.http = { path = \"/health\" }");
    }
    if let Some(image) = recipe.image.as_ref().filter(|image| !image.is_plain()) {
        self::image(text, &table, image);
    }
    if let Some(path) = recipe.health.as_ref().filter(|_| is_asked) {
        health(text, &table, service, path);
    }
}

fn project(text: &mut String, project: &Project) {
    line(text, "compose", "{}");
    if let Some(shared) = &project.shared {
        found(text, "shared", shared, array(&shared.value));
    }
}

/// On one line.
fn plain_image(text: &mut String, image: &Image) {
    match &image.port {
        Some(port) => {
            comment(text, &format!("{}; {}", image.why, port.why));
            line(text, "image", &format!("{{ port = {} }}", port.value));
        }
        None => {
            comment(text, &image.why);
            line(text, "image", "{}");
        }
    }
}

/// As a table of its own.
fn image(text: &mut String, table: &str, image: &Image) {
    let _ = writeln!(text, "\n[{table}.image]");
    comment(text, &image.why);
    let quoted = |found: &Found<String>| quote(&found.value);
    let lines = [
        ("port", image.port.as_ref().map(|port| (&port.why, port.value.to_string()))),
        ("file", image.file.as_ref().map(|file| (&file.why, quoted(file)))),
        ("stage", image.stage.as_ref().map(|stage| (&stage.why, quoted(stage)))),
        ("arguments", image.arguments.as_ref().map(|pairs| (&pairs.why, inline(&pairs.value)))),
        ("command", image.command.as_ref().map(|words| (&words.why, array(&words.value)))),
        ("memory", image.memory.as_ref().map(|memory| (&memory.why, quote(&memory.value.to_string())))),
        ("cpus", image.cpus.as_ref().map(|cpus| (&cpus.why, cpus.value.clone()))),
        ("volumes", image.volumes.as_ref().map(|volumes| (&volumes.why, array(&volumes.value)))),
    ];
    for (name, (why, value)) in lines.into_iter().filter_map(|(name, line)| Some((name, line?))) {
        comment(text, why);
        line(text, name, &value);
    }
}

fn array(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quote(item)).collect::<Vec<_>>().join(", "))
}

/// A table on one line.
fn inline(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{} = {}", key(name), quote(value))).collect();
    format!("{{ {} }}", pairs.join(", "))
}

fn health(text: &mut String, table: &str, service: &ServiceProposal, path: &Found<String>) {
    let recipe = &service.recipe;
    let _ = writeln!(text, "\n[{table}.health]");
    found(text, "http", path, format!("{{ path = {} }}", quote(&path.value)));
    // The default waits a minute from the start on, so a shorter delay needs no line.
    if let Some(delay) = recipe.health_delay.as_ref().filter(|delay| delay.value >= 60) {
        found(text, "within", delay, quote(&format!("{}s", delay.value * 2)));
    }
    let _ = writeln!(text, "\n[{table}.test]");
    if path.value != "/health" {
        line(text, "health", &quote(&path.value));
    }
    match &recipe.metadata {
        Some(metadata) => found(text, "metadata", metadata, quote(&metadata.value)),
        None => absent(text, "no metadata endpoint was found", "metadata"),
    }
    match &recipe.refuses {
        Some(refuses) if path.value == "/health" => {
            comment(text, &format!("wrong methods are refused: {}", refuses.why))
        }
        Some(refuses) => found(text, "method-not-allowed", refuses, quote(&path.value)),
        None => absent(text, "nothing was found that answers 405", "method-not-allowed"),
    }
    match (&recipe.documentation, &service.document) {
        (Some(documentation), _) => found(text, "documentation", documentation, quote(&documentation.value)),
        (None, Some(document)) => line(text, "documentation-file", &quote(document)),
        (None, None) => absent(text, "no documentation was found", "documentation"),
    }
}

fn environment(text: &mut String, proposal: &Proposal) {
    let path = quote(&format!("../{}-local", proposal.project));
    let _ = write!(
        text,
        "\n[environments.local]\ndescription = \"This machine\"\n\n[environments.local.targets.here]\nkind = \"directory\"\n\
         path = {path}\n"
    );
}

fn others(text: &mut String, proposal: &Proposal) {
    if proposal.stages.is_empty() && proposal.others.is_empty() && proposal.notes.is_empty() {
        return;
    }
    text.push_str("\n# Seen and left out:\n");
    if !proposal.stages.is_empty() {
        let names = shown(&proposal.stages, 8);
        comment(text, &format!("- {names}: places, not services; `pleach worktree add NAME` knows them by name"));
    }
    for group in &proposal.others {
        comment(text, &format!("- {}", told(group)));
    }
    for note in &proposal.notes {
        comment(text, &format!("- {note}"));
    }
}

/// A group in a line.
pub(crate) fn told(group: &Group) -> String {
    let branches = if group.count == 1 { "1 branch".to_owned() } else { format!("{} branches", group.count) };
    format!("{branches} ({}): {}", shown(&group.names, 6), group.why)
}

/// The first `limit` of `names`, and how many more.
pub(crate) fn shown(names: &[String], limit: usize) -> String {
    let first = names.iter().take(limit).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(limit) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn found<T>(text: &mut String, name: &str, found: &Found<T>, value: String) {
    comment(text, &found.why);
    line(text, name, &value);
}

fn absent(text: &mut String, why: &str, name: &str) {
    comment(text, why);
    line(text, name, "\"\"");
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name} = {value}");
}

/// Words behind `# `, wrapped.
fn comment(text: &mut String, words: &str) {
    let mut width = 0;
    // File and branch names may hold anything; a comment may not hold control characters.
    let plain: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    for word in plain.split_whitespace() {
        if width > 0 && width + 1 + word.chars().count() > WIDTH {
            text.push('\n');
            width = 0;
        }
        text.push_str(if width == 0 { "# " } else { " " });
        text.push_str(word);
        width += 1 + word.chars().count();
    }
    text.push('\n');
}

/// A basic string. What JSON escapes, TOML escapes alike, but for DEL.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A key: bare where it may be.
fn key(name: &str) -> String {
    let bare = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if bare { name.to_owned() } else { quote(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_quoted_where_toml_wants_it() {
        assert_eq!((key("pr-review").as_str(), key("18.0").as_str()), ("pr-review", "\"18.0\""));
        assert_eq!(quote("a \"b\"\\\u{7f}\n"), "\"a \\\"b\\\"\\\\\\u007f\\n\"");
    }

    #[test]
    fn comments_wrap_and_never_carry_a_line_that_is_no_comment() {
        let mut text = String::new();
        comment(&mut text, &format!("a\nb = 3 {}", "word ".repeat(50)));
        assert!(text.lines().all(|line| line.starts_with("# ") && line.len() <= WIDTH + 2), "{text}");
    }
}
