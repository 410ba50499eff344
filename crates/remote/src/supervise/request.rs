//! What is asked of `supervise`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use pleach_core::period::Period;
use pleach_core::port::ImageId;
use pleach_core::size::Size;
use pleach_core::word::{EnvironmentName, ReleaseId, RunId, ServiceName};
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
    /// Program and arguments; none for a container.
    pub argv: Vec<String>,
    /// The container that is its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerRequest>,
    /// Variables, secrets included. `HOST` and `PORT` are added.
    pub variables: BTreeMap<String, String>,
    /// How long the process may take to end after SIGTERM.
    pub stop_grace: Period,
}

/// What the container of a release is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ContainerRequest {
    /// The socket of its engine.
    pub socket: PathBuf,
    /// The executable on the target that can ask the engine.
    pub program: PathBuf,
    /// Its name.
    pub name: String,
    /// What it runs.
    pub image: ImageId,
    /// The run that made its release.
    pub made_by: RunId,
    /// The environment that it belongs to.
    pub environment: EnvironmentName,
    /// The port that it listens on.
    pub port: Option<u16>,
    /// The command; that of the image if empty.
    pub command: Vec<String>,
    /// The most memory that it may have.
    pub memory: Option<Size>,
    /// The most processors that it may use, in thousandths of one.
    pub millicpus: Option<u32>,
    /// Named volumes and folders.
    pub volumes: Vec<String>,
}

/// Asks for a name of an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageRequest {
    /// The socket of the engine.
    pub socket: PathBuf,
    /// The image.
    pub image: ImageId,
    /// The name: `NAME:TAG`.
    pub name: String,
}

/// Asks for a release's container and image to be removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RemoveRequest {
    /// The service's directory on the target.
    pub directory: PathBuf,
    /// Which release.
    pub release: ReleaseId,
    /// The socket of the engine.
    pub socket: PathBuf,
    /// The container's name.
    pub container: String,
    /// The image's name.
    pub image_name: String,
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
