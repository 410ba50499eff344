//! Images on this machine's engine, and their names.

use std::fmt;
use std::path::PathBuf;

use pleach_core::error::Failure;
use pleach_core::port::{ChannelNames, ImageId, ImageNames, NameChange, RegistryLogin, RegistryPlace, Secret};
use pleach_core::word::ServiceName;
use serde::{Deserialize, Serialize};

use super::container::run;
use crate::docker::{Engine, EngineWay, SeenImage};

/// Asks where names lead.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NamesRequest {
    /// The socket of the engine.
    pub socket: PathBuf,
    /// The names.
    pub names: Vec<String>,
}

/// Asks for names to lead elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RenameRequest {
    /// The socket of the engine.
    pub socket: PathBuf,
    /// Which, and where to.
    pub changes: Vec<NameChange>,
}

/// Asks for the versions of a channel that nothing needs any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SurplusRequest {
    /// The socket of the engine.
    pub socket: PathBuf,
    /// The channel.
    pub channel: ChannelNames,
    /// How many of the newest stay in any case.
    pub keep: usize,
}

/// Asks for all images of a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImagesRequest {
    /// The socket of the engine.
    pub socket: PathBuf,
    /// The service that is written on them.
    pub service: ServiceName,
}

/// Asks for an image from a registry. Holds a secret: it goes over standard input and is never stored.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PullRequest {
    /// The socket of the engine.
    pub socket: PathBuf,
    /// The image.
    pub image: ImageId,
    /// The name that keeps it here.
    pub name: String,
    /// Where it is in the registry.
    pub place: RegistryPlace,
    /// Its digest there.
    pub digest: String,
    /// Who asks, and the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<(String, String)>,
}

/// Shows no password.
impl fmt::Debug for PullRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullRequest").field("image", &self.image).field("place", &self.place).finish_non_exhaustive()
    }
}

pub(super) fn pull(request: PullRequest) -> Result<(), Failure> {
    let PullRequest { socket, image, name, place, digest, login } = request;
    let login = login.map(|(user, password)| RegistryLogin { user, password: Secret::new(password) });
    run(async {
        let engine = Engine::connect(EngineWay::socket(socket)).await?;
        Ok(engine.pull(&image, &name, &place, &digest, login.as_ref()).await?)
    })
}

pub(super) fn images(request: &ImagesRequest) -> Result<Vec<SeenImage>, Failure> {
    run(async { Ok(Engine::connect(EngineWay::socket(&request.socket)).await?.seen_images(&request.service).await?) })
}

pub(super) fn names(request: &NamesRequest) -> Result<ImageNames, Failure> {
    run(async { Ok(Engine::connect(EngineWay::socket(&request.socket)).await?.names(&request.names).await?) })
}

pub(super) fn rename(request: &RenameRequest) -> Result<ImageNames, Failure> {
    run(async { Ok(Engine::connect(EngineWay::socket(&request.socket)).await?.rename(&request.changes).await?) })
}

pub(super) fn surplus(request: &SurplusRequest) -> Result<Vec<String>, Failure> {
    run(async {
        let engine = Engine::connect(EngineWay::socket(&request.socket)).await?;
        Ok(engine.surplus(&request.channel, request.keep).await?)
    })
}

pub(super) fn forget(request: &SurplusRequest) -> Result<Vec<String>, Failure> {
    run(async {
        let engine = Engine::connect(EngineWay::socket(&request.socket)).await?;
        Ok(engine.forget_surplus(&request.channel, request.keep).await?)
    })
}
