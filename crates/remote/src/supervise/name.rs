//! Images on this machine's engine, and their names.

use std::path::PathBuf;

use pleach_core::error::Failure;
use pleach_core::port::{ChannelNames, ImageNames, NameChange};
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
