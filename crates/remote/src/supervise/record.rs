//! What a supervisor writes down about its process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pleach_core::port::ImageId;
use pleach_core::word::{ReleaseId, RunId, ServiceName};
use serde::{Deserialize, Serialize};

use crate::directory::InstanceState;
use crate::docker::EngineHealth;
use crate::process::{Group, Identity};

/// What the supervisor is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    /// The process runs.
    Running,
    /// The process has ended and is started again after a wait.
    Waiting,
    /// The process is asked to end, because somebody asked for it.
    Ending,
    /// The process was ended because somebody asked for it.
    Stopped,
}

/// A container that is a release's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ContainerRecord {
    /// Its name.
    pub name: String,
    /// The socket of its engine.
    pub socket: PathBuf,
    /// The executable on the target that can ask the engine.
    pub program: PathBuf,
}

/// A record, and what was seen of the process that it tells of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Looked {
    pub(crate) record: InstanceRecord,
    pub(crate) state: InstanceState,
    /// What its container is made of, where the engine has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) made: Option<MadeOf>,
}

/// What a container was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct MadeOf {
    pub(crate) image: ImageId,
    pub(crate) labels: BTreeMap<String, String>,
}

/// The record of a release's process: `run/RELEASE.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstanceRecord {
    /// What it serves.
    pub service: ServiceName,
    /// Which release.
    pub release: ReleaseId,
    /// The run that asked for it.
    pub run: RunId,
    /// What the supervisor is doing.
    pub activity: Activity,
    /// The supervisor; none where an engine keeps a container running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<Identity>,
    /// The container that is its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerRecord>,
    /// The process with all that it started; `None` while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// The address that the process was told to listen on.
    pub host: String,
    /// The port likewise.
    pub port: u16,
    /// How often the process has ended by itself.
    pub restarts: u32,
    /// How it ended the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_end: Option<String>,
    /// Whether it had to be killed when it was asked to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub killed: bool,
    /// What the engine's own check of its container says, where it has one. Looked up each time, and never written down: what a
    /// check prints may be secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<EngineHealth>,
    /// The first process of its container, as its host numbers it. Looked up each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When the process that runs now was started.
    pub since: Timestamp,
}

impl InstanceRecord {
    /// Reads a record; `None` if there is none or it is none.
    pub(crate) fn load(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// With its supervisor, if that lives.
    pub(crate) fn supervised(self) -> Option<(Self, Identity)> {
        let supervisor = self.supervisor.clone().filter(Identity::is_alive)?;
        Some((self, supervisor))
    }

    /// Writes it in one step; durable where a container is told of, which its engine starts again after a loss of power.
    pub(crate) fn save(&self, path: &Path) -> std::io::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        match &self.container {
            Some(_) => crate::local::replace_durably(path, &text),
            None => crate::local::replace_file(path, &text),
        }
    }
}
