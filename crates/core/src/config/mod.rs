//! `pleach.toml`: the types, and the way from text to them.
//!
//! The types below are the only description of the file: the JSON Schema is generated from them, parsing checks the text
//! against that schema so that all problems are found at once with their places, and each key's documentation is its
//! doc comment.

mod check;
mod environment;
mod nearest;
mod service;
mod target;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::word::{EnvironmentName, ServiceName};

pub use check::{CheckConfig, CheckKind, HttpCheck, ServiceTest, Thresholds};
pub use environment::{ConsentRule, EnvironmentConfig};
pub use nearest::nearest;
pub use service::{CommandLine, EnvironmentValue, ServiceConfig};
pub use target::{DirectoryConfig, TargetConfig};

/// The file's name, at the root of the repository.
pub const FILE_NAME: &str = "pleach.toml";

/// The whole of `pleach.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// What all of it has in common.
    pub project: ProjectConfig,
    /// What is deployed, by name.
    #[serde(default)]
    pub services: BTreeMap<ServiceName, ServiceConfig>,
    /// Where it is deployed to, by name.
    #[serde(default)]
    pub environments: BTreeMap<EnvironmentName, EnvironmentConfig>,
}

/// What all services and environments have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProjectConfig {
    /// The project's name, in messages and file names.
    #[schemars(example = &"odoobo")]
    pub name: String,
    /// The branch that healthy services are merged into.
    #[serde(default = "default_main")]
    #[schemars(example = &"main")]
    pub main: String,
    /// Where worktrees are made, from the repository's root. `{project}` stands for the project's name.
    #[serde(default = "default_worktrees")]
    #[schemars(example = &"../{project}-worktrees")]
    pub worktrees: PathBuf,
    /// The first of the ports that worktrees get for trying a service by hand, one each, in the order of the services.
    #[serde(default = "default_worktree_ports")]
    #[schemars(example = 18000)]
    pub worktree_ports: u16,
    /// Documents and files that no worktree removal may lose although git ignores them, as patterns.
    #[serde(default)]
    #[schemars(example = [".env", "*.sqlite3"])]
    pub precious: Vec<String>,
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
