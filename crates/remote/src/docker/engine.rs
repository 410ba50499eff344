//! One engine.

use std::io;
use std::sync::Arc;

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Incoming};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use pleach_core::error::Failure;
use pleach_core::port::{Call, Command, ExitStatus, NoLines, Shell};
use tokio_util::sync::CancellationToken;

use super::error::{EngineError, OLDEST_API, Said};
use super::missing::MissingEngine;
use super::way::{Connector, EngineWay, WayError};
use crate::ssh::{SshShell, TunnelError, quote_text};

/// Time limits belong to whoever asks: the longest that a request may be without an answer, in seconds.
const LONG: u64 = 30 * 24 * 60 * 60;

/// A host is named because HTTP wants one; all requests go to the engine's socket.
const ADDRESS: &str = "http://engine";

/// Connections that wait for the next request.
const IDLE: usize = 4;

/// What a host answers of a socket that it does not lead to.
const NOT_THERE: i32 = 3;
const NO_RIGHTS: i32 = 4;

type Broken = Box<dyn std::error::Error + Send + Sync>;
type Requests = Client<Connector, UnsyncBoxBody<Bytes, Broken>>;

/// An engine that has been spoken to. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    docker: Docker,
    client: Requests,
    way: EngineWay,
    facts: Arc<EngineFacts>,
}

/// What an engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineFacts {
    /// Of the engine: `20.10.24`.
    pub version: String,
    /// The newest API that both sides know, which is the one that is spoken: `1.41`.
    pub api: String,
    /// What it runs images of: `linux/amd64`.
    pub platform: String,
}

impl Engine {
    /// Speaks to an engine, and agrees with it on the API.
    pub async fn connect(way: EngineWay) -> Result<Self, EngineError> {
        // The library tells no more of a connection than that it failed.
        if let Err(error) = way.open().await {
            return Err(explain(&way, error).await);
        }
        let place = way.place();
        let of = |error| EngineError::of("tell its version", &place, error, |command| pasted(&way, command));
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(IDLE).build(Connector(way.clone()));
        let docker = library(client.clone()).map_err(of)?.negotiate_version().await.map_err(of)?;
        let version = docker.version().await.map_err(of)?;
        let spoken = docker.client_version();
        let has = format!("{}.{}", spoken.major_version, spoken.minor_version);
        if (spoken.major_version, spoken.minor_version) < OLDEST_API {
            return Err(EngineError::TooOld { place, has, look: pasted(&way, "docker version") });
        }
        let (Some(engine), Some(os), Some(arch)) = (version.version, version.os, version.arch) else {
            let source = Said("it says nothing of its version, system or processor".into());
            return Err(EngineError::Answer { what: "tell its version".into(), place, source });
        };
        let facts = EngineFacts { version: engine, api: has, platform: format!("{os}/{arch}") };
        Ok(Self { docker, client, way, facts: Arc::new(facts) })
    }

    /// What it says of itself.
    pub fn facts(&self) -> &EngineFacts {
        &self.facts
    }

    /// What a person calls the place where it runs.
    pub fn place(&self) -> String {
        self.way.place()
    }

    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Where a request goes that the library does not know.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{ADDRESS}/v{}{path}", self.facts.api)
    }

    /// Asks past the library.
    pub(super) async fn ask<B>(&self, request: Request<B>) -> Result<Response<Incoming>, bollard::errors::Error>
    where
        B: Body<Data = Bytes, Error: Into<Broken>> + Send + 'static,
    {
        ask(&self.client, request).await
    }

    /// Tells what became of a request.
    pub(super) fn failed(&self, what: &str) -> impl Fn(bollard::errors::Error) -> EngineError {
        let (what, way) = (what.to_owned(), self.way.clone());
        move |error| EngineError::of(&what, &way.place(), error, |command| pasted(&way, command))
    }

    /// An answer that lacks something.
    pub(super) fn lacks(&self, what: &str, lacking: &str) -> EngineError {
        let source = Said(format!("it says no {lacking}"));
        EngineError::Answer { what: what.to_owned(), place: self.place(), source }
    }
}

fn pasted(way: &EngineWay, command: &str) -> String {
    format!("`{}`", way.command(command))
}

fn library(client: Requests) -> Result<Docker, bollard::errors::Error> {
    let transport = move |request: BollardRequest| {
        let client = client.clone();
        async move { ask(&client, request).await }
    };
    Docker::connect_with_custom_transport(transport, Some(ADDRESS), LONG, API_DEFAULT_VERSION)
}

async fn ask<B>(client: &Requests, request: Request<B>) -> Result<Response<Incoming>, bollard::errors::Error>
where
    B: Body<Data = Bytes, Error: Into<Broken>> + Send + 'static,
{
    let answer = client.request(request.map(|body| body.map_err(Into::into).boxed_unsync())).await;
    answer.map_err(|error| bollard::errors::Error::IOError { err: io::Error::other(Chain::of(&error)) })
}

/// All of an error's causes in one line: the library that hands it on drops its sources.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Chain(String);

impl Chain {
    fn of(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self(text)
    }
}

/// Why there is no connection.
async fn explain(way: &EngineWay, error: WayError) -> EngineError {
    let place = way.place();
    match error {
        WayError::Socket { source: ref error, .. } => match error.kind() {
            io::ErrorKind::PermissionDenied => no_rights(way, error_of(error, way)),
            _ => absent(way, error_of(error, way)),
        },
        WayError::Tunnel(TunnelError::Refused { .. }) => match ask_host(way).await {
            Ok(ExitStatus::Code(NO_RIGHTS)) => no_rights(way, error),
            Ok(_) => absent(way, error),
            Err(source) => EngineError::Way { place, source: Box::new(source) },
        },
        WayError::Tunnel(error) => EngineError::Way { place, source: Box::new(error.into()) },
    }
}

fn error_of(error: &io::Error, way: &EngineWay) -> WayError {
    WayError::Socket { socket: way.path().to_owned(), source: io::Error::new(error.kind(), error.to_string()) }
}

fn absent(way: &EngineWay, source: WayError) -> EngineError {
    let start = MissingEngine::Absent.advice(|command| pasted(way, command));
    EngineError::Absent { place: way.place(), start, source: Box::new(source) }
}

fn no_rights(way: &EngineWay, source: WayError) -> EngineError {
    let grant = MissingEngine::Rights.advice(|command| pasted(way, command));
    EngineError::NoRights { place: way.place(), grant, source: Box::new(source) }
}

/// Of a socket that it does not lead to, a host says no more than that it does not; so it is looked at.
async fn ask_host(way: &EngineWay) -> Result<ExitStatus, Failure> {
    let Some(link) = way.link() else { return Ok(ExitStatus::Code(NOT_THERE)) };
    let socket = quote_text(&way.path().to_string_lossy());
    let text = format!("[ -e {socket} ] || exit {NOT_THERE}; [ -w {socket} ] || exit {NO_RIGHTS}");
    let cancel = CancellationToken::new();
    let call = Call { token: None, lines: &NoLines, cancel: &cancel };
    let command = Command::read(["sh", "-c", &text]);
    Ok(SshShell::new(link.clone(), "/").run(&command, call).await?.status)
}
