//! What other deployment tools left behind: app specs of a platform, and the status file of shell scripts.
//!
//! `WORKTREE_STATUS.json` and `infra/do-gradient/NAME/app-spec.yaml` are what the scripts that Pleach replaces write:
//! names, branches, worktrees, ports and health checks of services are in them already.

use std::collections::BTreeMap;

use serde_json::Value;

use super::place::{Found, Place};
use super::recipe::{Recipe, localise, port_in};
use super::yaml::Node;

/// Names of app specs.
pub(crate) const SPEC_NAMES: [&str; 5] = ["app-spec.yaml", "app-spec.yml", "app.yaml", ".do/app.yaml", "app_spec.yaml"];

/// A service of an app spec.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SpecService {
    /// Its name: that of the directory the spec lies in when the spec gives a longer one.
    pub(crate) name: String,
    /// Its branch.
    pub(crate) branch: Option<String>,
    /// Its directory in the repository.
    pub(crate) directory: Option<String>,
    /// The file.
    pub(crate) file: String,
    node: Node,
}

/// A service that a status file tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatusService {
    /// Its name.
    pub(crate) name: String,
    /// Its branch.
    pub(crate) branch: String,
    /// Where its worktree is.
    pub(crate) worktree: Option<String>,
}

/// The services of a `WORKTREE_STATUS.json`.
pub(crate) fn status_services(text: &str) -> Vec<StatusService> {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return Vec::new() };
    let groups = ["skills", "services", "worktrees"];
    let Some(services) = groups.iter().find_map(|group| value[group].as_object()) else { return Vec::new() };
    let of = |(name, service): (&String, &Value)| {
        Some(StatusService {
            name: name.clone(),
            branch: service["branch"].as_str()?.to_owned(),
            worktree: service["worktree"].as_str().map(str::to_owned),
        })
    };
    services.iter().filter_map(of).collect()
}

/// The services of one app spec; `file` is its path in the repository.
pub(crate) fn spec_services(file: &str, text: &str) -> Vec<SpecService> {
    let node = Node::parse(text);
    let folder = file.rsplit('/').nth(1).unwrap_or_default();
    let services = node.entry("services").map(Node::items).unwrap_or_default();
    // Some write one service at the top, without a list.
    let alone = (services.is_empty() && node.entry("http_port").is_some()).then_some(&node);
    services
        .iter()
        .chain(alone)
        .filter_map(|service| {
            let own = service.entry("name").and_then(Node::text);
            let named_by_folder = !folder.is_empty() && !folder.starts_with('.');
            let short = own.filter(|own| services.len() > 1 || !named_by_folder || !own.ends_with(folder));
            let name = short.or(named_by_folder.then_some(folder)).or(own)?.to_owned();
            let source = ["github", "gitlab", "git"].into_iter().find_map(|kind| service.entry(kind));
            let branch = source.and_then(|source| source.entry("branch")?.text()).map(str::to_owned);
            let directory = service.entry("source_dir").and_then(Node::text);
            let directory = directory.map(|path| path.trim_matches('/').to_owned());
            Some(SpecService { name, branch, directory, file: file.to_owned(), node: service.clone() })
        })
        .collect()
}

impl SpecService {
    /// What the spec says of how it is built, run and checked.
    pub(crate) fn recipe(&self, place: &Place<'_>) -> Recipe {
        let why = |key: &str| format!("`{key}` in {}", self.file);
        let text = |key: &str| self.node.entry(key).and_then(Node::text);
        let command = text("run_command");
        let run = command.map(|line| Found::new(localise(place, line), why("run_command")));
        let port = self.node.entry("http_port").and_then(Node::number);
        let port = port.map(|port: u16| Found::new(port, why("http_port")));
        let port = port.or_else(|| Some(Found::new(port_in(command?)?, why("run_command"))));
        let check = |key: &str| self.node.at(&["health_check", key]);
        let health = check("http_path").and_then(Node::text).map(|path| Found::new(path, why("health_check")));
        let delay = check("initial_delay_seconds").and_then(Node::number);
        let health_delay = delay.map(|seconds: u32| Found::new(seconds, why("initial_delay_seconds")));
        // What installs into the machine is left to the language, which installs beside the release.
        let build = text("build_command").filter(|line| !line.starts_with("pip install"));
        let build = build.map(|line| Found::new(line, why("build_command")));
        let variables = self.node.entry("envs").map(Node::items).unwrap_or_default();
        let variables = variables.iter().filter_map(|item| item.entry("key")?.text().map(str::to_owned)).collect();
        Recipe { build, run, port, health, health_delay, variables, ..Recipe::default() }
    }
}

/// What an app spec inside the service's own directory says.
pub(crate) fn spec_recipe(place: &Place<'_>) -> Recipe {
    let Some(file) = place.first_of(&SPEC_NAMES) else { return Recipe::default() };
    let text = place.text(file).unwrap_or_default();
    let services = spec_services(&place.path_of(file), &text);
    match services.as_slice() {
        [service] => service.recipe(place),
        _ => Recipe::default(),
    }
}

/// All app specs of a branch by the name of their service.
pub(crate) fn specs(root: &Place<'_>) -> BTreeMap<String, SpecService> {
    let is_spec = |file: &&String| {
        SPEC_NAMES.iter().any(|name| *file == name || file.strip_suffix(name).is_some_and(|rest| rest.ends_with('/')))
    };
    let files = root.files.iter().filter(is_spec).take(500);
    let services = files.flat_map(|file| spec_services(file, &root.text(file).unwrap_or_default()));
    services.map(|service| (service.name.clone(), service)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::place::tests::place;
    use super::*;

    const SPEC: &str = "name: odoobo-skill-nl-sql\nservices:\n- name: odoobo-skill-nl-sql\n  github:\n    branch: skill/nl-sql\n  \
        source_dir: /services/skills/nl-sql\n  build_command: pip install -r requirements.txt\n  \
        run_command: uvicorn main:app --host 0.0.0.0 --port 8080\n  http_port: 8080\n  health_check:\n    http_path: /health\n    \
        initial_delay_seconds: 30\n  envs:\n  - key: OPENAI_API_KEY\n    type: SECRET\n";

    #[test]
    fn an_app_spec_gives_branch_directory_and_checks() {
        let root = place(&[("infra/do-gradient/nl-sql/app-spec.yaml", SPEC)]);
        let specs = specs(&root);
        let service = specs.get("nl-sql").expect("named by its folder");
        assert_eq!(service.branch.as_deref(), Some("skill/nl-sql"));
        assert_eq!(service.directory.as_deref(), Some("services/skills/nl-sql"));
        let found = service.recipe(&place(&[("requirements.txt", "uvicorn\n"), ("main.py", "")]));
        assert_eq!(found.run.expect("a command").value, ".venv/bin/uvicorn main:app --host $HOST --port $PORT");
        assert_eq!(found.build, None);
        assert_eq!(
            (found.port.expect("a port").value, found.health.expect("a path").value.as_str()),
            (8080, "/health")
        );
        assert_eq!(found.variables, ["OPENAI_API_KEY"]);
    }

    #[test]
    fn a_status_file_gives_names_branches_and_worktrees() {
        let text = r#"{"deployment_id":"x","skills":{"pr-review":{"branch":"skill/pr-review","worktree":"/tmp/w/pr-review"}}}"#;
        let found = status_services(text);
        assert_eq!(found[0].branch, "skill/pr-review");
        assert_eq!(found[0].worktree.as_deref(), Some("/tmp/w/pr-review"));
        assert!(status_services("no json").is_empty());
        assert!(status_services("{\"skills\": 3}").is_empty());
    }
}
