//! The way to an engine's socket.
//!
//! Requests share connections as HTTP does. Behind SSH, each connection is a channel of its own that ends at the socket on the
//! host: nothing of ours runs there, and no port is opened.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tower_service::Service;

use crate::ssh::{Link, Tunnel, TunnelError, quote_text};

/// Where an engine listens unless it is told otherwise.
pub(crate) const SOCKET: &str = "/var/run/docker.sock";

/// How an engine is reached.
#[derive(Clone, Debug)]
pub struct EngineWay {
    socket: PathBuf,
    link: Option<Arc<Link>>,
}

/// Why the socket was not reached.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// This machine says so.
    #[error("could not connect to `{socket}`")]
    Socket {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The host, or who should have led there, says so.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
}

impl EngineWay {
    /// The engine of this machine.
    pub fn here() -> Self {
        Self::socket(SOCKET)
    }

    /// An engine that listens at a socket of this machine.
    pub fn socket(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), link: None }
    }

    /// What `DOCKER_HOST` says, as other clients of an engine read it, or else the engine of this machine. Of its forms only
    /// `unix://PATH` is known.
    pub fn of_environment() -> Self {
        match std::env::var("DOCKER_HOST") {
            Ok(text) if !text.is_empty() => Self::socket(text.strip_prefix("unix://").unwrap_or(&text)),
            _ => Self::here(),
        }
    }

    /// The engine of a host.
    pub fn on(link: Arc<Link>) -> Self {
        Self { socket: SOCKET.into(), link: Some(link) }
    }

    /// An engine that listens at a socket of a host.
    pub fn socket_on(link: Arc<Link>, socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), link: Some(link) }
    }

    /// The host, if it is not this machine.
    pub(super) fn link(&self) -> Option<&Arc<Link>> {
        self.link.as_ref()
    }

    /// The socket, as seen from where the engine is.
    pub(super) fn path(&self) -> &Path {
        &self.socket
    }

    /// What a person calls the place.
    pub(super) fn place(&self) -> String {
        self.link.as_ref().map_or_else(|| "this machine".to_owned(), |link| link.host().to_owned())
    }

    /// A command as it is to be pasted here, so that it is run where the engine is.
    pub(super) fn command(&self, command: &str) -> String {
        match &self.link {
            Some(link) => format!("{} {}", link.destination().command_line(), quote_text(command)),
            None => command.to_owned(),
        }
    }

    /// A connection of its own.
    pub(super) async fn open(&self) -> Result<Stream, WayError> {
        Ok(match &self.link {
            Some(link) => Stream::Tunnel(Box::new(link.open_socket(&self.socket).await?)),
            None => Stream::Socket(
                UnixStream::connect(&self.socket)
                    .await
                    .map_err(|source| WayError::Socket { socket: self.socket.clone(), source })?,
            ),
        })
    }
}

/// A connection to an engine.
pub(super) enum Stream {
    Socket(UnixStream),
    Tunnel(Box<Tunnel>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tunnel(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tunnel(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tunnel(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tunnel(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Tells hyper how to connect.
#[derive(Clone, Debug)]
pub(super) struct Connector(pub(super) EngineWay);

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = WayError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let way = self.0.clone();
        Box::pin(async move { way.open().await.map(TokioIo::new) })
    }
}
