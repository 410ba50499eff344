//! What is asked of `supervise`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use pleach_core::period::Period;
use pleach_core::word::{ReleaseId, RunId, ServiceName};
use serde::{Deserialize, Serialize};

/// Asks for a running instance of a release. Holds secrets: it goes over standard input and is never stored.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StartRequest {
    /// The service's directory on the target.
    pub directory: PathBuf,
    /// What it serves.
    pub service: ServiceName,
    /// Which release.
    pub release: ReleaseId,
    /// The run that asks.
    pub run: RunId,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables, secrets included. `HOST` and `PORT` are added.
    pub variables: BTreeMap<String, String>,
    /// How long the process may take to end after SIGTERM.
    pub stop_grace: Period,
}

/// Shows no value of a variable: some are secrets.
impl fmt::Debug for StartRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.variables.keys().collect();
        f.debug_struct("StartRequest")
            .field("directory", &self.directory)
            .field("release", &self.release)
            .field("variables", &names)
            .finish_non_exhaustive()
    }
}

/// Asks for the end of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StopRequest {
    /// The service's directory on the target.
    pub directory: PathBuf,
    /// Which release.
    pub release: ReleaseId,
    /// How long connections through the router may take to end by themselves.
    pub drain: Period,
    /// How long the process may take to end after SIGTERM.
    pub stop_grace: Period,
}

/// What came of a [`StopRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stopped {
    /// Whether anything ran.
    pub was_running: bool,
    /// Whether all connections had ended before.
    pub drained: bool,
    /// Whether it had to be killed.
    pub killed: bool,
}

/// Asks for the process of an instance to be ended and started again by its supervisor.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AgainRequest {
    /// The service's directory on the target.
    pub directory: PathBuf,
    /// Which release.
    pub release: ReleaseId,
    /// How long the process may take to end after SIGTERM.
    pub stop_grace: Period,
}

/// What came of an [`AgainRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StartedAgain {
    /// The process that runs now; none where no supervisor ran.
    pub process: Option<u32>,
}
