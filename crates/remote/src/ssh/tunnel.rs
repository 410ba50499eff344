//! Streams through a host: to a TCP port that it reaches, or to a Unix socket on it.
//!
//! A server does not count these among its sessions, so they wait for nothing. Of a port or socket that nobody listens at
//! it says no more than that it could not connect.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pleach_core::error::{Explain, Kind};
use russh::ChannelStream;
use russh::client::Msg;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::{Connection, OpenError};
use super::link::{Link, LinkError};
use super::quote::quote_text;

/// Where a tunnel ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A TCP port, of the host itself or of one that it reaches.
    Tcp {
        /// The name or address, as the host resolves it.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket on the host.
    Socket(PathBuf),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(path) => path.display().fmt(f),
        }
    }
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// There is no way to the host.
    #[error("could not reach `{exit}` through `{host}`")]
    Link {
        /// The host.
        host: String,
        /// Where to.
        exit: Exit,
        /// Why.
        #[source]
        source: LinkError,
    },
    /// The host does not get there, or may not.
    #[error("`{host}` does not reach `{exit}`")]
    Refused {
        /// The host.
        host: String,
        /// Where to.
        exit: Exit,
        /// What the host says.
        #[source]
        source: russh::Error,
    },
}

impl Explain for TunnelError {
    fn kind(&self) -> Kind {
        match self {
            Self::Link { source, .. } => source.kind(),
            Self::Refused { .. } => Kind::Rejected,
        }
    }

    fn state(&self) -> Option<String> {
        Some("nothing was sent".into())
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Link { source, .. } => source.next(),
            Self::Refused { host, exit: Exit::Tcp { port, .. }, .. } => {
                Some(format!("look who listens: `ssh {} ss -ltn sport = :{port}`", quote_text(host)))
            }
            Self::Refused { host, exit: Exit::Socket(path), .. } => {
                Some(format!("look with `ssh {} ls -l {}`", quote_text(host), quote_text(&path.to_string_lossy())))
            }
        }
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Link { source, .. } => source.output(),
            Self::Refused { .. } => Vec::new(),
        }
    }
}

/// A stream through a host; closed when dropped.
pub struct Tunnel {
    stream: ChannelStream<Msg>,
    /// Lives as long as what runs through it.
    _connection: Arc<Connection>,
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tunnel").finish_non_exhaustive()
    }
}

impl Link {
    /// A stream to where `exit` says, as seen from the host.
    pub async fn open_tunnel(self: &Arc<Self>, exit: Exit) -> Result<Tunnel, TunnelError> {
        let host = self.host().to_owned();
        let failed = |source| TunnelError::Link { host: host.clone(), exit: exit.clone(), source };
        let mut lost = 0;
        loop {
            let (id, connection) = self.connection().await.map_err(failed)?;
            match connection.open_way(&exit).await {
                Ok(channel) => return Ok(Tunnel { stream: channel.into_stream(), _connection: connection }),
                Err(OpenError::Full) => {
                    let source = russh::Error::ChannelOpenFailure(russh::ChannelOpenFailure::ConnectFailed);
                    return Err(TunnelError::Refused { host, exit, source });
                }
                Err(OpenError::Lost(source @ russh::Error::ChannelOpenFailure(_))) => {
                    return Err(TunnelError::Refused { host, exit, source });
                }
                Err(OpenError::Lost(source)) => {
                    lost += 1;
                    self.forget(id);
                    if lost == 3 {
                        return Err(failed(LinkError::Lost { host: host.clone(), times: lost, source }));
                    }
                }
            }
        }
    }

    /// [`open_tunnel`](Self::open_tunnel) to a port.
    pub async fn open_tcp(self: &Arc<Self>, host: &str, port: u16) -> Result<Tunnel, TunnelError> {
        self.open_tunnel(Exit::Tcp { host: host.to_owned(), port }).await
    }

    /// [`open_tunnel`](Self::open_tunnel) to a socket.
    pub async fn open_socket(self: &Arc<Self>, path: &Path) -> Result<Tunnel, TunnelError> {
        self.open_tunnel(Exit::Socket(path.to_owned())).await
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
