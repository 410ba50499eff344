//! `compose` of a service: what it runs is a Compose project.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Compose project that the `docker compose` of the target runs. Its files are resolved on the target, with the service's
/// `environment`, `HOST` and `PORT` as variables; images are pinned by their digests, and kept as long as the release is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ComposeConfig {
    /// The name of the project; the service's name in lower case if absent. Volumes are named after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), example = &"shop")]
    pub project: Option<String>,
    /// The Compose files, relative to the service's directory; later ones override earlier ones. What `docker compose` finds by
    /// itself if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["compose.yml", "compose.prod.yml"])]
    pub files: Vec<PathBuf>,
    /// The profiles whose services run as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1)), example = ["worker"])]
    pub profiles: Vec<String>,
    /// When images are pulled that are not built.
    #[serde(default, skip_serializing_if = "PullRule::is_missing")]
    #[schemars(example = &"always")]
    pub pull: PullRule,
}

/// When images are pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PullRule {
    /// Where the target has none of that name.
    #[default]
    Missing,
    /// In each deployment, so that a name that moved is followed.
    Always,
}

impl PullRule {
    /// Whether it is the usual one.
    pub fn is_missing(&self) -> bool {
        *self == Self::Missing
    }

    /// As `docker compose pull` calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Always => "always",
        }
    }
}
