//! What the user's own `ssh` would do for a host.
//!
//! The one true reader of `ssh_config` is `ssh` itself: `Include`, `Match exec` and the order of blocks are its own. So
//! `ssh -G HOST` is asked and its answer, one keyword and value a line, is read here. It is not asked twice for one host.
//! What it leaves raw (`~`, `%h` and the like in file names) is expanded as `ssh_config(5)` says under TOKENS.
//!
//! Where there is no `ssh` program, host, port and user are taken as given and OpenSSH's default files are used; but where
//! a config file exists that then cannot be read, that is an error: guessing would reach the wrong machine.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use pleach_core::error::{Explain, Kind};
use tokio::process::Command;
use tokio::time::timeout;

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

fn show_line(destination: &Destination) -> String {
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
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => return without_reader(destination),
        Ok(Err(source)) => return Err(ConfigError::Start { line, source }),
        Ok(Ok(output)) => output,
    };
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
        return Err(ConfigError::Refused { line, output });
    }
    read_answer(destination, &String::from_utf8_lossy(&output.stdout), &Surroundings::here())
}

/// What the expansion of file names depends on.
struct Surroundings {
    home: PathBuf,
    user: String,
    host_name: String,
}

impl Surroundings {
    fn here() -> Self {
        let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "root".into());
        let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { home: std::env::home_dir().unwrap_or_else(|| "/".into()), user, host_name }
    }
}

/// Host, port and user as given, OpenSSH's defaults for the rest.
fn without_reader(destination: &Destination) -> Result<(HostConfig, Vec<Destination>), ConfigError> {
    let surroundings = Surroundings::here();
    let config = destination.config.clone().unwrap_or_else(|| surroundings.home.join(".ssh/config"));
    if destination.config.is_some() || config.exists() {
        return Err(ConfigError::NoReader { config });
    }
    let mut answer = format!("hostname {}\nport 22\nuser {}\n", destination.host, surroundings.user);
    for kind in ["rsa", "ecdsa", "ed25519"] {
        answer += &format!("identityfile ~/.ssh/id_{kind}\n");
    }
    answer += "userknownhostsfile ~/.ssh/known_hosts ~/.ssh/known_hosts2\n";
    answer += "globalknownhostsfile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2\n";
    read_answer(destination, &answer, &surroundings)
}

/// Reads what `ssh -G` prints: a keyword in lower case, a blank, the value. A keyword can come more than once.
fn read_answer(
    destination: &Destination,
    text: &str,
    here: &Surroundings,
) -> Result<(HostConfig, Vec<Destination>), ConfigError> {
    let mut answer: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        answer.entry(keyword).or_default().push(value.trim());
    }
    let all = |keyword: &str| answer.get(keyword).cloned().unwrap_or_default();
    let first = |keyword: &str| all(keyword).first().copied().filter(|value| !value.is_empty() && *value != "none");
    let number = |keyword: &'static str, fallback: u64| match first(keyword) {
        None => Ok(fallback),
        Some(value) => value.parse::<u64>().map_err(|_| ConfigError::BadValue {
            line: show_line(destination),
            keyword,
            value: value.to_owned(),
        }),
    };
    if first("proxycommand").is_some() {
        let (host, line) = (destination.host.clone(), show_line(destination));
        return Err(ConfigError::Unsupported { host, keyword: "ProxyCommand", line });
    }
    let host_name = first("hostname").unwrap_or(&destination.host).to_owned();
    let port = destination.port.map_or_else(|| number("port", 22), |port| Ok(u64::from(port)))?;
    let port = u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(|| ConfigError::BadValue {
        line: show_line(destination),
        keyword: "port",
        value: port.to_string(),
    })?;
    let user = destination.user.clone().unwrap_or_else(|| first("user").unwrap_or(&here.user).to_owned());
    let tokens = Tokens { here, host: &destination.host, host_name: &host_name, port, user: &user };
    let files = |keyword: &str| -> Vec<PathBuf> {
        let values = all(keyword).into_iter().filter(|value| !value.is_empty() && *value != "none");
        values.map(|value| tokens.path(value)).collect()
    };
    let lists = |keyword: &str| -> Vec<PathBuf> {
        all(keyword).into_iter().flat_map(words).filter(|word| word != "none").map(|word| tokens.path(&word)).collect()
    };
    let seconds = |value| Duration::from_secs(value);
    let config = HostConfig {
        destination: destination.clone(),
        port,
        host_key_alias: first("hostkeyalias").map(str::to_owned),
        identity_files: files("identityfile"),
        certificate_files: files("certificatefile"),
        agent: match all("identityagent").first() {
            None | Some(&("" | "SSH_AUTH_SOCK")) => AgentSocket::Environment,
            Some(&"none") => AgentSocket::None,
            Some(value) => AgentSocket::Path(tokens.path(value)),
        },
        agent_keys: if first("identitiesonly") == Some("yes") { AgentKeys::Named } else { AgentKeys::All },
        known_hosts_files: [lists("userknownhostsfile"), lists("globalknownhostsfile")].concat(),
        revoked_keys_file: first("revokedhostkeys").map(|value| tokens.path(value)),
        connect_timeout: seconds(number("connecttimeout", 0)?.clamp(0, 3600)).max(Duration::ZERO),
        alive_interval: seconds(number("serveraliveinterval", 0)?),
        alive_count: usize::try_from(number("serveralivecountmax", 3)?).unwrap_or(3),
        jumps: Vec::new(),
        host_name: host_name.clone(),
        user: user.clone(),
    };
    let jumps = first("proxyjump").map(|value| jump_hosts(value, destination)).unwrap_or_default();
    Ok((config.with_defaults(), jumps))
}

impl HostConfig {
    /// `ssh` waits for ever and asks nothing unless told to; a deployment must notice a silent host.
    fn with_defaults(mut self) -> Self {
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

/// `[user@]host[:port]` or `ssh://[user@]host[:port]`, separated by commas, the nearest first.
fn jump_hosts(value: &str, from: &Destination) -> Vec<Destination> {
    let hops = value.split(',').map(str::trim).filter(|hop| !hop.is_empty());
    hops.map(|hop| {
        let hop = hop.strip_prefix("ssh://").unwrap_or(hop).trim_end_matches('/');
        let (user, place) = hop.rsplit_once('@').map_or((None, hop), |(user, place)| (Some(user.to_owned()), place));
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => match place.split_once(':') {
                // More than one colon is an address without a port.
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (place, None),
            },
        };
        let port = port.and_then(|port| port.parse().ok());
        Destination { host: host.to_owned(), port, user, config: from.config.clone() }
    })
    .collect()
}

/// Words of a list of files; a name with blanks stands in double quotes.
fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = value.trim_start();
    while !rest.is_empty() {
        let (word, behind) = match rest.strip_prefix('"') {
            Some(inner) => inner.split_once('"').unwrap_or((inner, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = behind.trim_start();
    }
    words
}

struct Tokens<'a> {
    here: &'a Surroundings,
    host: &'a str,
    host_name: &'a str,
    port: u16,
    user: &'a str,
}

impl Tokens<'_> {
    /// A file name with `~`, `%` tokens and `${VARIABLE}` replaced.
    fn path(&self, raw: &str) -> PathBuf {
        let raw = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
        let expanded = self.expand(raw);
        match expanded.strip_prefix("~/") {
            Some(rest) => self.here.home.join(rest),
            None if expanded == "~" => self.here.home.clone(),
            None => Path::new(&expanded).to_owned(),
        }
    }

    fn expand(&self, raw: &str) -> String {
        let mut text = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(at) = rest.find(['%', '$']) {
            let (before, from) = rest.split_at(at);
            text += before;
            if let Some((name, behind)) = from.strip_prefix("${").and_then(|inner| inner.split_once('}')) {
                text += &std::env::var(name).unwrap_or_default();
                rest = behind;
                continue;
            }
            let token = from.chars().nth(1).filter(|_| from.starts_with('%'));
            let value = token.and_then(|token| self.token(token));
            let length = if value.is_some() { 2 } else { 1 };
            text += value.as_deref().unwrap_or(&from[..1]);
            rest = &from[length..];
        }
        text + rest
    }

    fn token(&self, token: char) -> Option<String> {
        Some(match token {
            '%' => "%".into(),
            'd' => self.here.home.to_string_lossy().into_owned(),
            'h' => self.host_name.into(),
            'i' => rustix::process::getuid().as_raw().to_string(),
            'L' => self.here.host_name.split('.').next().unwrap_or_default().into(),
            'l' => self.here.host_name.clone(),
            'n' | 'k' => self.host.into(),
            'p' => self.port.to_string(),
            'r' => self.user.into(),
            'u' => self.here.user.clone(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (HostConfig, Vec<Destination>) {
        let here = Surroundings { home: "/home/me".into(), user: "me".into(), host_name: "desk.lan".into() };
        read_answer(&Destination::new("web"), text, &here).expect("understood")
    }

    #[test]
    fn file_names_are_expanded_as_ssh_does_when_it_opens_them() {
        let (config, _) = read(
            "user deploy\nhostname 10.0.0.1\nport 2022\nidentityfile ~/.ssh/%h-%r-%p\nidentityfile %d/k%%u\n\
             userknownhostsfile ~/.ssh/a \"/with blank/b\"\nglobalknownhostsfile none\nidentityfile /x/%L/%n/%q",
        );
        let files = ["/home/me/.ssh/10.0.0.1-deploy-2022", "/home/me/k%u", "/x/desk/web/%q"];
        assert_eq!(config.identity_files, files.map(PathBuf::from));
        assert_eq!(config.known_hosts_files, ["/home/me/.ssh/a", "/with blank/b"].map(PathBuf::from));
        assert_eq!(config.known_name(), "[10.0.0.1]:2022");
    }

    #[test]
    fn what_ssh_leaves_open_gets_a_limit() {
        let (config, _) =
            read("hostname h\nport 22\nconnecttimeout none\nserveraliveinterval 0\nserveralivecountmax 3");
        assert_eq!(config.connect_timeout, Duration::from_secs(15));
        assert_eq!((config.alive_interval, config.alive_count), (Duration::from_secs(15), 3));
        assert_eq!(config.known_name(), "h");
    }

    #[test]
    fn jump_hosts_are_read_in_all_their_forms() {
        let (_, jumps) = read("proxyjump a,me@b:2022,[fe80::1]:22,ssh://c@d:5/");
        let told: Vec<_> = jumps.iter().map(|jump| (jump.user.as_deref(), jump.host.as_str(), jump.port)).collect();
        let wanted =
            [(None, "a", None), (Some("me"), "b", Some(2022)), (None, "fe80::1", Some(22)), (Some("c"), "d", Some(5))];
        assert_eq!(told, wanted);
    }

    #[test]
    fn what_cannot_be_done_is_said_and_not_left_out() {
        let here = Surroundings { home: "/".into(), user: "me".into(), host_name: "x".into() };
        let read = |text| read_answer(&Destination::new("web"), text, &here);
        assert!(matches!(read("proxycommand nc %h %p"), Err(ConfigError::Unsupported { .. })));
        assert!(read("proxycommand none").is_ok());
        assert!(matches!(read("port 70000"), Err(ConfigError::BadValue { keyword: "port", .. })));
    }
}
