//! One connection to one host.
//!
//! With `guard` and `login` the only file that speaks to `russh`'s client, whose interface changes with most of its releases;
//! others see channels alone.
//!
//! A server under `MaxStartups` closes connections before its greeting, at random and without saying why; so connecting is
//! tried again, with growing pauses, until the time for connecting is used up. Nothing else is: a host that refuses, does
//! not answer or shows a wrong key gives the same answer again.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pleach_core::error::{Explain, Kind};
use russh::client::{self, Handle, Msg};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Channel, ChannelOpenFailure, Preferred, cipher};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use super::config::HostConfig;
use super::guard::{GreetingError, Guard};
use super::known_hosts::{HostKeyError, KnownHosts};
use super::login::{LoginError, log_in};
use super::quote::quote_text;
use super::tunnel::Exit;

/// The pause after the first connection that was dropped; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(30);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Bytes of one channel that may be under way unread.
const WINDOW: u32 = 2 * 1024 * 1024;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("could not find the address of `{host}`")]
    NoAddress {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing listens there, or there is no way there.
    #[error("could not reach `{host}` at port {port}")]
    Unreachable {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It does not answer in time.
    #[error("`{host}` at port {port} did not answer within {} s: {phase}", limit.as_secs_f32())]
    Silent {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// What was waited for.
        phase: &'static str,
        /// How long.
        limit: Duration,
    },
    /// It closes connections before they are one.
    #[error("`{host}` at port {port} closed the connection before the login, {tries} times")]
    Dropped {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// How often it was tried.
        tries: u32,
        /// The last reason.
        #[source]
        source: russh::Error,
    },
    /// Its key is not trusted.
    #[error("did not connect to `{host}`")]
    HostKey {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: HostKeyError,
    },
    /// It speaks otherwise.
    #[error("could not agree with `{host}` on how to speak")]
    Protocol {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: russh::Error,
    },
    /// It did not let the user in.
    #[error("could not log in at `{host}`")]
    Login {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: LoginError,
    },
    /// A host on the way could not be reached.
    #[error("could not reach `{host}` through `{jump}`")]
    Jump {
        /// The host.
        host: String,
        /// The host on the way.
        jump: String,
        /// Why.
        #[source]
        source: Box<ConnectError>,
    },
    /// A host on the way does not reach the next one.
    #[error("`{jump}` does not reach `{host}` at port {port}")]
    Way {
        /// The host.
        host: String,
        /// Its port.
        port: u16,
        /// The host on the way.
        jump: String,
        /// Why.
        #[source]
        source: russh::Error,
    },
}

impl Explain for ConnectError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoAddress { .. }
            | Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Dropped { .. }
            | Self::Way { .. } => Kind::Transient,
            Self::HostKey { source, .. } => source.kind(),
            Self::Protocol { .. } => Kind::Rejected,
            Self::Login { source, .. } => source.kind(),
            Self::Jump { source, .. } => source.kind(),
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::HostKey { source, .. } => source.state(),
            Self::Login { source, .. } => source.state(),
            Self::Jump { source, .. } => source.state(),
            _ => Some("nothing was touched by this call".into()),
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::NoAddress { host, .. } => Some(format!("look with `getent hosts {}`", quote_text(host))),
            Self::Unreachable { host, port, .. }
            | Self::Silent { host, port, .. }
            | Self::Dropped { host, port, .. } => {
                Some(format!("look whether it answers: `ssh-keyscan -p {port} {}`", quote_text(host)))
            }
            Self::HostKey { source, .. } => source.next(),
            Self::Protocol { host, .. } => Some(format!("look with `ssh -v {} true`", quote_text(host))),
            Self::Login { source, .. } => source.next(),
            Self::Jump { source, .. } => source.next(),
            Self::Way { host, port, jump, .. } => {
                Some(format!("look with `ssh {} nc -vz {} {port}`", quote_text(jump), quote_text(host)))
            }
        }
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Login { source, .. } => source.output(),
            Self::Jump { source, .. } => source.output(),
            _ => Vec::new(),
        }
    }
}

/// Why a session was not opened.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The server has as many sessions as it allows, or has not yet noticed that one ended.
    Full,
    /// The connection is gone.
    Lost(russh::Error),
}

/// A live connection to one host, logged in.
pub(super) struct Connection {
    handle: Arc<Handle<Guard>>,
    /// The connection that this one runs through.
    _through: Option<Box<Connection>>,
}

impl Connection {
    /// Connects as the host's config says, through its jump hosts.
    pub(super) async fn open(config: &HostConfig) -> Result<Self, ConnectError> {
        let mut through: Option<Box<Connection>> = None;
        let mut jump: Option<String> = None;
        for hop in config.jumps.iter().chain([config]) {
            let opened = Self::open_one(hop, through, jump.as_deref()).await;
            let host = config.destination.host.clone();
            let connection = opened.map_err(|source| match std::ptr::eq(hop, config) {
                true => source,
                false => ConnectError::Jump { host, jump: hop.destination.host.clone(), source: Box::new(source) },
            })?;
            through = Some(Box::new(connection));
            jump = Some(hop.destination.host.clone());
        }
        match through {
            Some(connection) => Ok(*connection),
            // The chain above always ends with the host itself.
            None => Err(ConnectError::Protocol { host: config.host_name.clone(), source: russh::Error::Disconnect }),
        }
    }

    async fn open_one(
        config: &HostConfig,
        through: Option<Box<Connection>>,
        jump: Option<&str>,
    ) -> Result<Self, ConnectError> {
        let known = || {
            KnownHosts::load(config).map_err(|source| ConnectError::HostKey { host: config.host_name.clone(), source })
        };
        let protocol = Arc::new(protocol(config, &known()?));
        let deadline = Instant::now() + config.connect_timeout;
        let mut pause = FIRST_PAUSE;
        let mut tries = 0;
        loop {
            tries += 1;
            let guard = Guard { known: known()? };
            let greeted = Self::greet(config, &protocol, guard, through.as_deref(), jump, deadline).await?;
            let (host, port) = (config.host_name.clone(), config.port);
            match greeted {
                Ok(mut handle) => {
                    let login = timeout_at(deadline, log_in(&mut handle, config)).await;
                    let limit = config.connect_timeout;
                    login
                        .map_err(|_| ConnectError::Silent { host: host.clone(), port, phase: "the login", limit })?
                        .map_err(|source| ConnectError::Login { host, source })?;
                    return Ok(Self { handle: Arc::new(handle), _through: through });
                }
                Err(GreetingError::Key(source)) => return Err(ConnectError::HostKey { host, source }),
                Err(GreetingError::Protocol(source)) if was_dropped(&source) => {
                    // Not all at the same time again: many may have been dropped together.
                    let next = Instant::now() + pause.mul_f64(0.5 + spread());
                    if next >= deadline {
                        return Err(ConnectError::Dropped { host, port, tries, source });
                    }
                    sleep(next - Instant::now()).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(GreetingError::Protocol(source)) => return Err(ConnectError::Protocol { host, source }),
            }
        }
    }

    /// Reaches the host and agrees with it on keys.
    async fn greet(
        config: &HostConfig,
        protocol: &Arc<client::Config>,
        guard: Guard,
        through: Option<&Connection>,
        jump: Option<&str>,
        deadline: Instant,
    ) -> Result<Result<Handle<Guard>, GreetingError>, ConnectError> {
        let (host, port, limit) = (config.host_name.clone(), config.port, config.connect_timeout);
        let silent = |phase| ConnectError::Silent { host: host.clone(), port, phase, limit };
        let greeting = match through {
            Some(through) => {
                let opened = through.handle.channel_open_direct_tcpip(&host, u32::from(port), "127.0.0.1", 0);
                let opened = timeout_at(deadline, opened).await.map_err(|_| silent("the way through the jump host"))?;
                let channel = opened.map_err(|source| {
                    let jump = jump.unwrap_or_default().to_owned();
                    ConnectError::Way { host: host.clone(), port, jump, source }
                })?;
                let stream = channel.into_stream();
                timeout_at(deadline, client::connect_stream(protocol.clone(), stream, guard)).await
            }
            None => {
                let stream = reach(&host, port, deadline, limit).await?;
                // Without it, small packets wait for each other's receipt.
                let _ = stream.set_nodelay(true);
                timeout_at(deadline, client::connect_stream(protocol.clone(), stream, guard)).await
            }
        };
        greeting.map_err(|_| silent("its greeting"))
    }

    pub(super) fn is_lost(&self) -> bool {
        self.handle.is_closed()
    }

    pub(super) async fn open_session(&self) -> Result<Channel<Msg>, OpenError> {
        let handle = self.handle.clone();
        open(async move { handle.channel_open_session().await }).await
    }

    pub(super) async fn open_way(&self, exit: &Exit) -> Result<Channel<Msg>, OpenError> {
        let (handle, exit) = (self.handle.clone(), exit.clone());
        let opening = async move {
            match exit {
                Exit::Tcp { host, port } => {
                    handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0).await
                }
                Exit::Socket(path) => handle.channel_open_direct_streamlocal(path.to_string_lossy()).await,
            }
        };
        open(opening).await
    }
}

/// A channel that nobody has taken yet.
struct Opened(Option<Channel<Msg>>);

/// Opens a channel. The server is asked to its end, also where whoever asks goes away meanwhile: an answer that nobody waits
/// for leaves a channel open as long as the connection, with all that it holds on the host.
async fn open(
    opening: impl Future<Output = Result<Channel<Msg>, russh::Error>> + Send + 'static,
) -> Result<Channel<Msg>, OpenError> {
    let opened = tokio::spawn(async move { opening.await.map(|channel| Opened(Some(channel))) }).await;
    let mut opened = opened.map_err(|_| OpenError::Lost(russh::Error::Disconnect))?.map_err(open_error)?;
    opened.0.take().ok_or(OpenError::Lost(russh::Error::Disconnect))
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let (Some(channel), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            // A connection that is gone has closed it.
            runtime.spawn(async move { drop(channel.close().await) });
        }
    }
}

fn open_error(error: russh::Error) -> OpenError {
    match error {
        russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed | ChannelOpenFailure::ResourceShortage) => {
            OpenError::Full
        }
        error => OpenError::Lost(error),
    }
}

/// Tries the host's addresses in turn, as `getaddrinfo` orders them.
async fn reach(host: &str, port: u16, deadline: Instant, limit: Duration) -> Result<TcpStream, ConnectError> {
    let silent = |phase| ConnectError::Silent { host: host.to_owned(), port, phase, limit };
    let found = timeout_at(deadline, tokio::net::lookup_host((host, port))).await;
    let addresses = found
        .map_err(|_| silent("the name service"))?
        .map_err(|source| ConnectError::NoAddress { host: host.to_owned(), source })?;
    let mut last = io::Error::other("the name has no address");
    for address in addresses {
        match timeout_at(deadline, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => return Err(silent("the connection")),
        }
    }
    Err(ConnectError::Unreachable { host: host.to_owned(), port, source: last })
}

/// Whether the other side hung up before it said anything of substance.
fn was_dropped(error: &russh::Error) -> bool {
    match error {
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::Version => true,
        russh::Error::IO(error) => matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof
        ),
        _ => false,
    }
}

/// A number from 0 to 1 that differs from call to call.
fn spread() -> f64 {
    f64::from(u16::try_from(RandomState::new().build_hasher().finish() & 0xffff).unwrap_or_default()) / 65536.0
}

fn protocol(config: &HostConfig, known: &KnownHosts) -> client::Config {
    let rsa = |hash| Algorithm::Rsa { hash: Some(hash) };
    let ecdsa = |curve| Algorithm::Ecdsa { curve };
    let mut keys = vec![
        Algorithm::Ed25519,
        ecdsa(EcdsaCurve::NistP256),
        ecdsa(EcdsaCurve::NistP384),
        ecdsa(EcdsaCurve::NistP521),
        rsa(HashAlg::Sha512),
        rsa(HashAlg::Sha256),
    ];
    // A host has several keys; it must show one of those that are known.
    let wanted = known.algorithms();
    let same = |key: &Algorithm| {
        wanted.iter().any(|wanted| wanted == key || (wanted.clone().is_rsa() && key.clone().is_rsa()))
    };
    keys.sort_by_key(|key| !same(key));
    let certificates = if known.trusts_authorities() { keys.clone() } else { Vec::new() };
    let preferred = Preferred {
        key: Cow::Owned(keys),
        host_key_certificates: Cow::Owned(certificates),
        // About twice as fast as ChaCha20 where the processor knows AES.
        cipher: Cow::Borrowed(&[
            cipher::AES_256_GCM,
            cipher::CHACHA20_POLY1305,
            cipher::AES_256_CTR,
            cipher::AES_192_CTR,
            cipher::AES_128_CTR,
        ]),
        ..Preferred::DEFAULT
    };
    client::Config {
        preferred,
        window_size: WINDOW,
        keepalive_interval: Some(config.alive_interval),
        keepalive_max: config.alive_count,
        nodelay: true,
        ..client::Config::default()
    }
}
