//! What is asked of the target, and what it answers.

use std::path::PathBuf;

use pleach_core::period::Period;
use serde::{Deserialize, Serialize};

use crate::docker::{Container, label};

/// Asks for volumes to be kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct KeepVolumes {
    /// Where they are kept, absolute.
    pub(crate) place: PathBuf,
    /// The socket of the engine.
    pub(crate) socket: PathBuf,
    /// The name of the container through which they are read.
    pub(crate) holder: String,
    /// Whose containers they belong to.
    pub(crate) owner: Owner,
    /// As the config names them.
    pub(crate) volumes: Vec<String>,
    /// The resolved file of the project that is there, if one is: it tells the names on the engine.
    pub(crate) resolved: Option<PathBuf>,
}

/// Asks for volumes to be put back as they are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PutBackVolumes {
    /// Where the volumes of all runs are kept.
    pub(crate) all: PathBuf,
    /// Where what they are replaced with goes.
    pub(crate) aside: PathBuf,
    /// The socket of the engine.
    pub(crate) socket: PathBuf,
    /// The name of the container through which they are written.
    pub(crate) holder: String,
    /// Whose containers are ended for it.
    pub(crate) owner: Owner,
    /// How long each may take to end.
    pub(crate) stop_grace: Period,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct VolumesPutBack {
    /// All volumes that are as they were now.
    pub(crate) volumes: Vec<String>,
    /// Where what was in them lies.
    pub(crate) aside: Vec<PathBuf>,
    /// Whether this or an earlier call had to put something back.
    pub(crate) changed: bool,
    /// Whether this or an earlier call has ended what ran on them.
    pub(crate) stopped: bool,
}

/// Whose containers may be ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Owner {
    /// Those of the service in this directory.
    Service(String),
    /// Those of a Compose project.
    Project(String),
}

impl Owner {
    pub(super) fn label(&self) -> (&'static str, &str) {
        match self {
            Self::Service(directory) => (label::DIRECTORY, directory),
            Self::Project(project) => (label::COMPOSE_PROJECT, project),
        }
    }

    pub(super) fn owns(&self, container: &Container) -> bool {
        let (name, value) = self.label();
        container.labels.get(name).is_some_and(|text| text == value)
    }
}
