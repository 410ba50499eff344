//! `[environments.NAME.targets.NAME]`: one variant per kind of target.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where to, and of which kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum TargetConfig {
    /// A directory on this machine with releases in it.
    Directory(DirectoryConfig),
}

impl TargetConfig {
    /// The kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Directory(_) => "directory",
        }
    }
}

/// A directory: `PATH/SERVICE/releases/RELEASE`, `PATH/SERVICE/current`, `PATH/SERVICE/shared`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DirectoryConfig {
    /// The directory, from the repository's root.
    #[schemars(length(min = 1), example = &"../odoobo-local")]
    pub path: PathBuf,
    /// How many releases of a service are kept, the current one included. One that a rollback needs is never removed.
    #[serde(default = "default_keep")]
    #[schemars(range(min = 2), example = 5)]
    pub keep: u32,
    /// The address that services listen on.
    #[serde(default = "default_host")]
    #[schemars(length(min = 1), example = &"127.0.0.1")]
    pub host: String,
    /// Added to each service's port, for several targets on one machine.
    #[serde(default)]
    #[schemars(example = 100)]
    pub port_offset: u16,
}

fn default_keep() -> u32 {
    5
}

fn default_host() -> String {
    "127.0.0.1".into()
}
