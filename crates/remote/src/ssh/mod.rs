//! Hosts over SSH.
//!
//! | file | what |
//! |---|---|
//! | `config`, `answer` | what the user's own `ssh` would do for a host |
//! | `known_hosts`, `pattern` | whether a host's key is the one that it is known by |
//! | `connect`, `guard`, `login` | one connection: through jump hosts, host key judged, user logged in |
//! | [`Link`] | the way to one host: as few connections as do, made again when lost |
//! | `wrapper`, `quote` | the shell text that runs a command on the target; pure |
//! | `execution` | one such text running on one session |
//! | `resident` | one session that runs many such texts |
//! | `fate` | what became of a command, and its end |
//! | [`SshShell`] | core's port for commands |
//! | [`SshFiles`], `tree`, `listing`, `archive` | core's port for files, made of scripts |
//! | [`SshHttp`] | core's port for requests, which come out on the host |
//! | [`Tunnel`] | streams to ports and sockets through a host |
//! | [`SshTarget`] | a directory on a host, made of these |
//!
//! The target needs a POSIX `sh`, `flock` of util-linux for whatever changes something. Nothing of ours is needed but where
//! services are to be kept running: there the phase `install` puts this very executable.

mod answer;
pub(crate) mod archive;
mod config;
mod connect;
mod execution;
mod fate;
mod files;
mod guard;
mod http;
mod known_hosts;
mod limit;
mod link;
mod listing;
mod login;
mod pattern;
mod quote;
mod resident;
mod shell;
mod target;
mod tree;
mod tunnel;
mod wrapper;

pub use config::{AgentKeys, AgentSocket, ConfigError, Destination, HostConfig, load_config};
pub use connect::ConnectError;
pub use fate::{CommandId, CommandIdError, Fate};
pub use files::{FilesError, SshFiles};
pub use http::SshHttp;
pub use known_hosts::{HostKeyError, KnownHosts};
pub use link::{Link, LinkError};
pub use login::LoginError;
pub(crate) use quote::{quote_bytes, quote_text, quote_words};
pub use shell::{ShellError, SshShell};
pub use target::{SshSettings, SshTarget, describe_ssh};
pub use tunnel::{Exit, Tunnel, TunnelError};
