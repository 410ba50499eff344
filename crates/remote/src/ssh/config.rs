//! What the user's own `ssh` would do for a host.
//!
//! The one true reader of `ssh_config` is `ssh` itself: `Include`, `Match exec` and the order of blocks are its own. So
//! `ssh -G HOST` is asked, once for each host on the way, and its answer, one keyword and value a line, is read. What it
//! leaves raw (`~`, `%h` and the like in file names) is expanded as `ssh_config(5)` says under TOKENS.
//!
//! Where there is no `ssh` program, host, port and user are taken as given and OpenSSH's default files are used; but where
//! a config file exists that then cannot be read, that is an error: guessing would reach the wrong machine.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use pleach_core::config::SshConfig;
use pleach_core::error::{Explain, Kind};
use tokio::process::Command;
use tokio::time::timeout;

use super::answer::{Surroundings, read_answer};
use super::quote::quote_text;

/// The longest that `ssh -G` may take; a `Match exec` can hang.
const EVALUATION_LIMIT: Duration = Duration::from_secs(10);

/// The longest chain of jump hosts.
const MOST_JUMPS: usize = 8;

/// What is asked for: a host as the user would write it behind `ssh`, and what overrides the config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// A name of the config, a host name or an address.
    pub host: String,
    /// Instead of the config's port.
    pub port: Option<u16>,
    /// Instead of the config's user.
    pub user: Option<String>,
    /// Instead of the user's and the system's config files.
    pub config: Option<PathBuf>,
}

impl Destination {
    /// A host with all else as the config says.
    pub fn new(host: impl Into<String>) -> Self {
        Self { host: host.into(), ..Self::default() }
    }

    /// The host of a target, with its config file as it is written there.
    pub fn of(config: &SshConfig) -> Self {
        Self {
            host: config.host.clone(),
            port: config.port,
            user: config.user.clone(),
            config: config.ssh_config.clone(),
        }
    }

    /// How `ssh` is called for it: for messages, to be pasted.
    pub fn command_line(&self) -> String {
        let mut line = String::from("ssh");
        if let Some(config) = &self.config {
            line += &format!(" -F {}", quote_text(&config.to_string_lossy()));
        }
        if let Some(port) = self.port {
            line += &format!(" -p {port}");
        }
        if let Some(user) = &self.user {
            line += &format!(" -l {}", quote_text(user));
        }
        line + " " + &quote_text(&self.host)
    }
}

/// Where the agent listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentSocket {
    /// Where `SSH_AUTH_SOCK` says, if it is set.
    Environment,
    /// There.
    Path(PathBuf),
    /// It is not to be asked.
    None,
}

/// Which of the agent's keys may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentKeys {
    /// All.
    All,
    /// Those whose public halves lie beside the config's identity files.
    Named,
}

/// One host, with everything that reaching it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// What was asked for.
    pub destination: Destination,
    /// The name or address to connect to.
    pub host_name: String,
    /// The port.
    pub port: u16,
    /// The login.
    pub user: String,
    /// Under which name the host's key is known, where that is not `host_name` and `port`.
    pub host_key_alias: Option<String>,
    /// Private keys to try, in order.
    pub identity_files: Vec<PathBuf>,
    /// Certificates to try with them.
    pub certificate_files: Vec<PathBuf>,
    /// The agent.
    pub agent: AgentSocket,
    /// Which of its keys.
    pub agent_keys: AgentKeys,
    /// Files with known host keys: the user's, then the system's.
    pub known_hosts_files: Vec<PathBuf>,
    /// A file with host keys that are not to be trusted.
    pub revoked_keys_file: Option<PathBuf>,
    /// How long connecting may take, with the greeting and the login.
    pub connect_timeout: Duration,
    /// After how long a silence the server is asked whether it lives.
    pub alive_interval: Duration,
    /// How many of these may stay without an answer.
    pub alive_count: usize,
    /// Hosts to go through, the nearest first; each as its own config says.
    pub jumps: Vec<HostConfig>,
}

/// Why the config of a host could not be told.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It would be taken for an option, or it is empty.
    #[error("`{0}` cannot be the name of a host")]
    BadHost(String),
    /// `ssh` could not be started or waited for.
    #[error("could not run `{line}`")]
    Start {
        /// The command line.
        line: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `ssh` took too long.
    #[error("`{line}` did not answer within {} s", EVALUATION_LIMIT.as_secs())]
    Slow {
        /// The command line.
        line: String,
    },
    /// `ssh` does not understand its config.
    #[error("`{line}` refused the config")]
    Refused {
        /// The command line.
        line: String,
        /// What it said.
        output: Vec<String>,
    },
    /// There is a config, and nothing that could read it.
    #[error("there is no `ssh` program here that could read `{config}`")]
    NoReader {
        /// The config file.
        config: PathBuf,
    },
    /// A line of the answer has no sense.
    #[error("`{line}` told no usable `{keyword}`: `{value}`")]
    BadValue {
        /// The command line.
        line: String,
        /// The keyword.
        keyword: &'static str,
        /// What stands behind it.
        value: String,
    },
    /// The config asks for something that only `ssh` itself can do.
    #[error("the config of `{host}` uses `{keyword}`, which is not supported")]
    Unsupported {
        /// The host.
        host: String,
        /// The keyword.
        keyword: &'static str,
        /// The command that shows it.
        line: String,
    },
    /// Jump hosts lead in a circle or too far.
    #[error("the way to `{host}` has more than {MOST_JUMPS} jump hosts")]
    TooFar {
        /// The host.
        host: String,
        /// The command that shows it.
        line: String,
    },
}

impl Explain for ConfigError {
    fn kind(&self) -> Kind {
        match self {
            Self::Slow { .. } | Self::Start { .. } => Kind::Transient,
            Self::Unsupported { .. } => Kind::Unsupported,
            _ => Kind::Rejected,
        }
    }

    fn state(&self) -> Option<String> {
        Some("nothing was reached, nothing was touched".into())
    }

    fn next(&self) -> Option<String> {
        Some(match self {
            Self::BadHost(_) => "name the host as you would behind `ssh`".into(),
            Self::NoReader { .. } => "install OpenSSH's client: `sudo apt-get install openssh-client`".into(),
            Self::Start { line, .. }
            | Self::Slow { line }
            | Self::Refused { line, .. }
            | Self::BadValue { line, .. } => format!("look with `{line}`"),
            Self::Unsupported { keyword, line, .. } => format!("replace it by `ProxyJump`; `{line}` shows `{keyword}`"),
            Self::TooFar { line, .. } => format!("look for a circle with `{line}`"),
        })
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Refused { output, .. } => output.clone(),
            _ => Vec::new(),
        }
    }
}

/// Asks `ssh` how `destination` and the hosts on the way to it are reached.
pub async fn load_config(destination: &Destination) -> Result<HostConfig, ConfigError> {
    let (mut config, jumps) = load_one(destination).await?;
    let mut hops = jumps;
    let mut way = Vec::new();
    // The nearest host of each list may itself have jump hosts; the others are reached from the one before them.
    while let Some((nearest, further)) = hops.split_first() {
        let (nearest, jumps) = load_one(nearest).await?;
        let mut between = Vec::new();
        for hop in further {
            between.push(load_one(hop).await?.0);
        }
        way.splice(0..0, std::iter::once(nearest).chain(between));
        if way.len() > MOST_JUMPS {
            let line = show_line(destination);
            return Err(ConfigError::TooFar { host: destination.host.clone(), line });
        }
        hops = jumps;
    }
    config.jumps = way;
    Ok(config)
}

pub(super) fn show_line(destination: &Destination) -> String {
    destination.command_line().replacen("ssh", "ssh -G", 1)
}

/// One host, and the jump hosts that its config names.
async fn load_one(destination: &Destination) -> Result<(HostConfig, Vec<Destination>), ConfigError> {
    let host = &destination.host;
    if host.is_empty() || host.starts_with('-') || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(ConfigError::BadHost(host.clone()));
    }
    let line = show_line(destination);
    let mut command = Command::new("ssh");
    command.arg("-G");
    if let Some(config) = &destination.config {
        command.arg("-F").arg(config);
    }
    if let Some(port) = destination.port {
        command.args(["-p", &port.to_string()]);
    }
    if let Some(user) = &destination.user {
        command.args(["-l", user]);
    }
    command.arg("--").arg(host).stdin(Stdio::null()).kill_on_drop(true);
    let output = match timeout(EVALUATION_LIMIT, command.output()).await {
        Err(_) => return Err(ConfigError::Slow { line }),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return without_reader(destination, &Surroundings::here());
        }
        Ok(Err(source)) => return Err(ConfigError::Start { line, source }),
        Ok(Ok(output)) => output,
    };
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
        return Err(ConfigError::Refused { line, output });
    }
    read_answer(destination, &String::from_utf8_lossy(&output.stdout), &Surroundings::here())
}

/// Host, port and user as given, OpenSSH's defaults for the rest.
fn without_reader(
    destination: &Destination,
    here: &Surroundings,
) -> Result<(HostConfig, Vec<Destination>), ConfigError> {
    let config = destination.config.clone().unwrap_or_else(|| here.home.join(".ssh/config"));
    if destination.config.is_some() || config.exists() {
        return Err(ConfigError::NoReader { config });
    }
    let mut answer = format!("hostname {}\nport 22\nuser {}\n", destination.host, here.user);
    for kind in ["rsa", "ecdsa", "ed25519"] {
        answer += &format!("identityfile ~/.ssh/id_{kind}\n");
    }
    answer += "userknownhostsfile ~/.ssh/known_hosts ~/.ssh/known_hosts2\n";
    answer += "globalknownhostsfile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2\n";
    read_answer(destination, &answer, here)
}

impl HostConfig {
    /// `ssh` waits for ever and asks nothing unless told to; a deployment must notice a silent host.
    pub(super) fn with_defaults(mut self) -> Self {
        if self.connect_timeout.is_zero() {
            self.connect_timeout = Duration::from_secs(15);
        }
        if self.alive_interval.is_zero() {
            self.alive_interval = Duration::from_secs(15);
        }
        self
    }

    /// Under which name the host's key is known, as it would stand in `known_hosts`.
    pub fn known_name(&self) -> String {
        match &self.host_key_alias {
            Some(alias) => alias.to_lowercase(),
            None if self.port == 22 => self.host_name.to_lowercase(),
            None => format!("[{}]:{}", self.host_name.to_lowercase(), self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_ssh_program_a_host_is_taken_as_given_unless_a_config_says_more() {
        let home = tempfile::tempdir().expect("a directory");
        let here = Surroundings { home: home.path().into(), user: "me".into(), host_name: "x".into() };
        let asked = Destination { port: Some(2022), ..Destination::new("web") };
        let (config, _) = without_reader(&asked, &here).expect("as given");
        assert_eq!((config.host_name.as_str(), config.port, config.user.as_str()), ("web", 2022, "me"));
        assert!(config.identity_files.contains(&home.path().join(".ssh/id_ed25519")));
        assert!(config.known_hosts_files.contains(&home.path().join(".ssh/known_hosts")));
        std::fs::create_dir(home.path().join(".ssh")).expect("made");
        std::fs::write(home.path().join(".ssh/config"), "").expect("written");
        let error = without_reader(&asked, &here).expect_err("nobody reads it");
        assert!(error.next().is_some_and(|next| next.contains("openssh-client")), "{error:?}");
        let named = Destination { config: Some("/no/such/file".into()), ..asked };
        assert!(matches!(without_reader(&named, &here), Err(ConfigError::NoReader { .. })));
    }
}
