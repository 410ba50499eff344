//! The whole file, and `[project]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::environment::EnvironmentConfig;
use super::registry::RegistryConfig;
use super::service::ServiceConfig;
use crate::word::{EnvironmentName, ServiceName, TargetName};

/// The whole of `pleach.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// What all of it has in common.
    #[schemars(example = serde_json::json!({ "name": "odoobo" }))]
    pub project: ProjectConfig,
    /// What is deployed, by name.
    #[serde(default)]
    #[schemars(example = serde_json::json!({ "pr-review": { "branch": "skill/pr-review" } }))]
    pub services: BTreeMap<ServiceName, ServiceConfig>,
    /// Where it is deployed to, by name.
    #[serde(default)]
    #[schemars(example = serde_json::json!({
        "local": { "targets": { "here": { "kind": "directory", "path": "../odoobo-local" } } }
    }))]
    pub environments: BTreeMap<EnvironmentName, EnvironmentConfig>,
    /// How one logs in to registries of images, by host. One that lets everybody in needs no entry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = serde_json::json!({
        "registry.example.com": { "user": "deployer", "password": "env:REGISTRY_PASSWORD" }
    }))]
    pub registries: BTreeMap<String, RegistryConfig>,
}

/// What all services and environments have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProjectConfig {
    /// The project's name, in messages and file names.
    #[schemars(length(min = 1), example = &"odoobo")]
    pub name: String,
    /// The branch that healthy services are merged into.
    #[serde(default = "default_main")]
    #[schemars(extend("format" = "branch"), example = &"main")]
    pub main: String,
    /// Where worktrees are made, from the repository's root. `{project}` stands for the project's name.
    #[serde(default = "default_worktrees")]
    #[schemars(length(min = 1), example = &"../{project}-worktrees")]
    pub worktrees: PathBuf,
    /// The first of the ports that worktrees get for trying a service by hand, one each, in the order of the services.
    #[serde(default = "default_worktree_ports")]
    #[schemars(range(min = 1), example = 18000)]
    pub worktree_ports: u16,
    /// Documents and files that no worktree removal may lose although git ignores them, as patterns.
    #[serde(default)]
    #[schemars(example = [".env", "*.sqlite3"])]
    pub precious: Vec<String>,
}

impl Config {
    /// Which services go to which targets of `environment`: the one place where `services` of an environment and `targets`
    /// of a service meet. A service that goes to none of them is left out.
    pub fn destinations<'a>(
        &'a self,
        environment: &'a EnvironmentConfig,
    ) -> BTreeMap<&'a ServiceName, Vec<&'a TargetName>> {
        let comes = |name: &ServiceName| environment.services.is_empty() || environment.services.contains(name);
        let services = self.services.iter().filter(|(name, _)| comes(name));
        let goes = services.map(|(name, service)| {
            let goes_to = |target: &&TargetName| service.targets.is_empty() || service.targets.contains(target);
            (name, environment.targets.keys().filter(goes_to).collect::<Vec<_>>())
        });
        goes.filter(|(_, targets)| !targets.is_empty()).collect()
    }
}

fn default_main() -> String {
    "main".into()
}

fn default_worktrees() -> PathBuf {
    "../{project}-worktrees".into()
}

fn default_worktree_ports() -> u16 {
    18000
}
