//! `[environments.NAME.targets.NAME]`: one variant per kind of target.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::port::SecretName;

/// Where to, and of which kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum TargetConfig {
    /// A directory on this machine with releases in it.
    Directory(DirectoryConfig),
    /// A directory on a host over SSH, with releases in it.
    Ssh(SshConfig),
}

impl TargetConfig {
    /// The kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Directory(_) => "directory",
            Self::Ssh(_) => "ssh",
        }
    }

    /// The machine, as one would write it behind `ssh`; `None` is this one.
    pub fn machine(&self) -> Option<&str> {
        match self {
            Self::Directory(_) => None,
            Self::Ssh(ssh) => Some(&ssh.host),
        }
    }

    /// The directory on that machine.
    pub fn path(&self) -> &Path {
        match self {
            Self::Directory(directory) => &directory.path,
            Self::Ssh(ssh) => &ssh.path,
        }
    }

    /// How many releases of a service are kept.
    pub fn keep(&self) -> u32 {
        match self {
            Self::Directory(directory) => directory.keep,
            Self::Ssh(ssh) => ssh.keep,
        }
    }

    /// The address that services listen on.
    pub fn listen(&self) -> &str {
        match self {
            Self::Directory(directory) => &directory.host,
            Self::Ssh(ssh) => &ssh.listen,
        }
    }

    /// What `sudo` asks for there, if it asks.
    pub fn sudo_password(&self) -> Option<&SecretName> {
        match self {
            Self::Directory(directory) => directory.sudo_password.as_ref(),
            Self::Ssh(ssh) => ssh.sudo_password.as_ref(),
        }
    }

    /// The socket of the Docker engine there, where it is another than the usual one.
    pub fn docker_socket(&self) -> Option<&Path> {
        match self {
            Self::Directory(directory) => directory.docker_socket.as_deref(),
            Self::Ssh(ssh) => ssh.docker_socket.as_deref(),
        }
    }

    /// What leads public ports to releases, if it is not a router of Pleach's own.
    pub fn proxy(&self) -> Option<&HaproxyConfig> {
        match self {
            Self::Directory(directory) => directory.proxy.as_ref(),
            Self::Ssh(ssh) => ssh.proxy.as_ref(),
        }
    }

    /// What is added to each service's port.
    pub fn port_offset(&self) -> u16 {
        match self {
            Self::Directory(directory) => directory.port_offset,
            Self::Ssh(ssh) => ssh.port_offset,
        }
    }
}

/// A directory: `PATH/SERVICE/releases/RELEASE`, `PATH/SERVICE/current`, `PATH/SERVICE/shared`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DirectoryConfig {
    /// The directory, from the repository's root.
    #[schemars(length(min = 1), example = &"../odoobo-local")]
    pub path: PathBuf,
    /// How many releases of a service are kept, the current one included. One that a rollback needs is never removed.
    #[serde(default = "default_keep")]
    #[schemars(range(min = 2), example = 5)]
    pub keep: u32,
    /// The address that services listen on.
    #[serde(default = "default_host")]
    #[schemars(length(min = 1), example = &"127.0.0.1")]
    pub host: String,
    /// The password that `sudo` asks the user for who is logged in: `env:NAME`, `file:PATH` or `command:LINE`. It goes over
    /// standard input. Without it `sudo` must ask for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"env:SUDO_PASSWORD")]
    pub sudo_password: Option<SecretName>,
    /// The socket of the Docker engine there, for services with `image`; `/var/run/docker.sock` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"/run/user/1000/docker.sock")]
    pub docker_socket: Option<PathBuf>,
    /// The HAProxy there that leads the public ports of services with `run` or `image` to their current releases, instead of a
    /// router of Pleach's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "socket": "/run/haproxy/admin.sock", "file": "/etc/haproxy/pleach.cfg" }))]
    pub proxy: Option<HaproxyConfig>,
    /// Added to each service's port, for several targets on one machine.
    #[serde(default)]
    #[schemars(example = 100)]
    pub port_offset: u16,
}

/// A directory on a host, laid out as that of the kind `directory`. Keys, jump hosts and known hosts are taken from the
/// user's own `ssh` config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SshConfig {
    /// The host as one would write it behind `ssh`: a `Host` of the `ssh` config, a name or an address.
    #[schemars(length(min = 1), example = &"uat.example.com")]
    pub host: String,
    /// The directory there, absolute.
    #[schemars(length(min = 1), example = &"/srv/odoobo")]
    pub path: PathBuf,
    /// The user to log in as, instead of the one in the `ssh` config.
    #[schemars(length(min = 1), example = &"deploy")]
    pub user: Option<String>,
    /// The port of the SSH server, instead of the one in the `ssh` config.
    #[schemars(range(min = 1), example = 2222)]
    pub port: Option<u16>,
    /// An `ssh` config file to read instead of the user's and the system's; from the repository's root.
    #[schemars(example = &"deploy/ssh_config")]
    pub ssh_config: Option<PathBuf>,
    /// Pleach's executable there, absolute; it keeps services with `run` running. Without it Pleach puts its own there.
    #[schemars(length(min = 1), example = &"/usr/local/bin/pleach")]
    pub program: Option<PathBuf>,
    /// How many releases of a service are kept, the current one included. One that a rollback needs is never removed.
    #[serde(default = "default_keep")]
    #[schemars(range(min = 2), example = 5)]
    pub keep: u32,
    /// The address of the host that services listen on.
    #[serde(default = "default_host")]
    #[schemars(length(min = 1), example = &"127.0.0.1")]
    pub listen: String,
    /// The password that `sudo` asks the user for who is logged in: `env:NAME`, `file:PATH` or `command:LINE`. It goes over
    /// standard input. Without it `sudo` must ask for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"env:SUDO_PASSWORD")]
    pub sudo_password: Option<SecretName>,
    /// The socket of the Docker engine there, for services with `image`; `/var/run/docker.sock` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"/run/user/1000/docker.sock")]
    pub docker_socket: Option<PathBuf>,
    /// The HAProxy there that leads the public ports of services with `run` or `image` to their current releases, instead of a
    /// router of Pleach's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "socket": "/run/haproxy/admin.sock", "file": "/etc/haproxy/pleach.cfg" }))]
    pub proxy: Option<HaproxyConfig>,
    /// Added to each service's port, for several targets on one host.
    #[serde(default)]
    #[schemars(example = 100)]
    pub port_offset: u16,
    /// How much the host takes: connections and commands, at once and in a second.
    #[serde(default, skip_serializing_if = "HostLimits::is_none")]
    #[schemars(example = serde_json::json!({ "connections": 2, "sessions-per-second": 20.0 }))]
    pub limits: HostLimits,
}

/// A HAProxy that runs on the target, 2.4 or newer. Its own config has `stats socket PATH level admin`, and it loads Pleach's file
/// behind that: `haproxy -W -f /etc/haproxy/haproxy.cfg -f /etc/haproxy/pleach.cfg`. The user who deploys may write the file, use the
/// socket, and reload HAProxy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HaproxyConfig {
    /// Its admin socket, absolute.
    #[schemars(length(min = 1), example = &"/run/haproxy/admin.sock")]
    pub socket: PathBuf,
    /// The file that is Pleach's alone, absolute. It must be there, and may be empty, when HAProxy is started first.
    #[schemars(length(min = 1), example = &"/etc/haproxy/pleach.cfg")]
    pub file: PathBuf,
    /// Its own config, which is loaded first and left alone.
    #[serde(default = "default_haproxy_config")]
    #[schemars(length(min = 1), example = &"/etc/haproxy/haproxy.cfg")]
    pub config: PathBuf,
    /// The command that lets it read its files again.
    #[serde(default = "default_haproxy_reload")]
    #[schemars(length(min = 1), example = ["sudo", "systemctl", "reload", "haproxy"])]
    pub reload: Vec<String>,
}

fn default_haproxy_config() -> PathBuf {
    "/etc/haproxy/haproxy.cfg".into()
}

fn default_haproxy_reload() -> Vec<String> {
    ["systemctl", "reload", "haproxy"].map(str::to_owned).to_vec()
}

/// How much a host, and whatever guards it, takes of one deployer. Absent: as the server allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct HostLimits {
    /// Connections at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), example = 2)]
    pub connections: Option<u32>,
    /// Commands and transfers at once, over all connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), example = 8)]
    pub sessions: Option<u32>,
    /// Connections that may start in one second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0), example = 0.5)]
    pub connections_per_second: Option<f64>,
    /// Commands and transfers that may start in one second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0), example = 20.0)]
    pub sessions_per_second: Option<f64>,
}

/// How much all hosts of an environment together are asked for at once, or whatever guards them takes: a jump host, a
/// gateway, a directory of users. Absent: as each of them takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct TotalLimits {
    /// Connections that may start in one second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0), example = 5.0)]
    pub connections_per_second: Option<f64>,
    /// Commands and transfers at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), example = 32)]
    pub sessions: Option<u32>,
    /// Commands and transfers that may start in one second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0), example = 100.0)]
    pub sessions_per_second: Option<f64>,
}

impl TotalLimits {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl HostLimits {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

fn default_keep() -> u32 {
    5
}

fn default_host() -> String {
    "127.0.0.1".into()
}
