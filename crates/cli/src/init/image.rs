//! What is proposed for a service that runs as a container.

use pleach_core::size::Size;

use super::place::Found;

/// A container: its Dockerfile, and what a Compose file says beside it. What is `None` is left to the Dockerfile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    /// Why the service is one.
    pub(crate) why: String,
    /// The port that it listens on in the container.
    pub(crate) port: Option<Found<u16>>,
    /// The port that a Compose file publishes it on.
    pub(crate) published: Option<Found<u16>>,
    /// The Dockerfile where it has another name, relative to the service's directory.
    pub(crate) file: Option<Found<String>>,
    /// The stage to build.
    pub(crate) stage: Option<Found<String>>,
    /// What its `ARG`s get.
    pub(crate) arguments: Option<Found<Vec<(String, String)>>>,
    /// What it runs instead of the image's own command.
    pub(crate) command: Option<Found<Vec<String>>>,
    /// The most memory.
    pub(crate) memory: Option<Found<Size>>,
    /// The most processors, as they are written.
    pub(crate) cpus: Option<Found<String>>,
    /// Named volumes and absolute folders.
    pub(crate) volumes: Option<Found<Vec<String>>>,
    /// Names of variables that it gets from outside.
    pub(crate) variables: Vec<String>,
    /// What a person should know before relying on it.
    pub(crate) notes: Vec<String>,
}

impl Image {
    /// Whether nothing but the port is said of it.
    pub(crate) fn is_plain(&self) -> bool {
        let Self { file, stage, arguments, command, memory, cpus, volumes, .. } = self;
        let texts = file.is_none() && stage.is_none() && cpus.is_none() && memory.is_none();
        texts && arguments.is_none() && command.is_none() && volumes.is_none()
    }
}
