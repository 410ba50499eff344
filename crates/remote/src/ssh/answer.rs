//! Reading what `ssh -G` prints. Pure but for the variables and names of this machine that file names may mention.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::{AgentKeys, AgentSocket, ConfigError, Destination, HostConfig, show_line};

/// What the expansion of file names depends on.
pub(super) struct Surroundings {
    pub(super) home: PathBuf,
    pub(super) user: String,
    pub(super) host_name: String,
}

impl Surroundings {
    pub(super) fn here() -> Self {
        let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "root".into());
        let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { home: std::env::home_dir().unwrap_or_else(|| "/".into()), user, host_name }
    }
}

/// Reads what `ssh -G` prints: a keyword in lower case, a blank, the value. A keyword can come more than once.
pub(super) fn read_answer(
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
