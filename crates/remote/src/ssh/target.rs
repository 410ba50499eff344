//! A directory on a host over SSH as a target.
//!
//! # Facts
//!
//! Besides those of [`probe_directory`](crate::directory::probe_directory):
//!
//! | fact | value |
//! |---|---|
//! | `host/name`, `host/system`, `host/user` | as the host tells them |
//! | `host/clock-offset` | seconds by which its clock is ahead of ours, to the whole second |
//! | `host/free-bytes` | room for the target's directory |
//! | `host/sudo` | whether `sudo` asks for nothing |
//! | `host/missing` | programs that it lacks and that this target needs |
//! | `docker/missing` | `absent` where there is no Docker engine, `rights` where its socket may not be used, `old` with the API of one that is too old |
//! | `docker/builder-missing` | the same of the engine that builds images |
//! | `docker/platform`, `docker/builder` | what its Docker engine runs, and what the one that builds images runs on: `linux/amd64` |
//! | `program/missing` | why `program` cannot be used yet |
//! | `program/install` | whether Pleach can put its own executable there |
//! | `port/N` | that somebody listens on port N |

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use pleach_core::config::{HostLimits, SshConfig, TotalLimits};
use pleach_core::error::Failure;
use pleach_core::plan::TargetDescription;
use pleach_core::port::{Containers, FencingToken, Files, Holder, Http, Shell};
use pleach_core::target::{Facet, Facts, Target};
use pleach_core::word::{EnvironmentName, TargetName};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::config::Destination;
use super::execution::Feed;
use super::files::{Errand, SshFiles};
use super::http::SshHttp;
use super::link::Link;
use super::shell::SshShell;
use crate::directory::probe_directory;
use crate::docker::{DockerContainers, EngineWay, SOCKET};
use crate::guard::{Guard, ProvenDead, TargetLeases};
use crate::process::listening_ports;
use crate::program::place_of_own;

/// What a plan says of a host: all that a later process needs to reach it. Keys, users and ways that are not named here
/// are taken from the user's own `ssh` config at the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SshSettings {
    /// The host as one would write it behind `ssh`.
    pub host: String,
    /// The directory there, absolute.
    pub path: PathBuf,
    /// Instead of the config's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Instead of the config's user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Instead of the user's and the system's config files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// The executable there that knows `supervise` and `route`, absolute.
    pub program: PathBuf,
    /// Whether Pleach puts its own executable there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub install: bool,
    /// The socket of its Docker engine, where it is another than the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_socket: Option<PathBuf>,
    /// How much the host takes.
    #[serde(default, skip_serializing_if = "HostLimits::is_none")]
    pub limits: HostLimits,
    /// How much all hosts of the environment together are asked for.
    #[serde(default, skip_serializing_if = "TotalLimits::is_none")]
    pub total_limits: TotalLimits,
}

impl SshSettings {
    /// Where it leads.
    pub fn destination(&self) -> Destination {
        Destination { host: self.host.clone(), port: self.port, user: self.user.clone(), config: self.config.clone() }
    }
}

/// A host as plans name it. `root` is the repository's root, where relative paths start.
pub fn describe_ssh(config: &SshConfig, root: &Path, total: &TotalLimits) -> Result<TargetDescription, Failure> {
    let settings = SshSettings {
        host: config.host.clone(),
        path: config.path.clone(),
        port: config.port,
        user: config.user.clone(),
        config: config.ssh_config.as_ref().map(|path| root.join(path)),
        program: match &config.program {
            Some(program) => program.clone(),
            None => place_of_own(&config.path)?,
        },
        install: config.program.is_none(),
        docker_socket: config.docker_socket.clone(),
        limits: config.limits,
        total_limits: *total,
    };
    Ok(TargetDescription {
        kind: "ssh".to_owned(),
        settings: json!(settings),
        facets: vec![Facet::Shell, Facet::Files, Facet::Http, Facet::Containers],
    })
}

/// A directory on a host.
#[derive(Debug)]
pub struct SshTarget {
    environment: EnvironmentName,
    name: TargetName,
    settings: SshSettings,
    shell: SshShell,
    files: SshFiles,
    http: SshHttp,
    containers: DockerContainers,
}

impl SshTarget {
    /// The target behind a link that others may use as well; nothing is reached yet.
    pub fn new(environment: EnvironmentName, name: TargetName, settings: SshSettings, link: Arc<Link>) -> Self {
        let shell = SshShell::new(link.clone(), settings.path.clone());
        let files = SshFiles::new(shell.clone());
        let engine = match &settings.docker_socket {
            Some(socket) => EngineWay::socket_on(link.clone(), socket),
            None => EngineWay::on(link.clone()),
        };
        let containers = DockerContainers::new(EngineWay::of_environment(), engine);
        Self { environment, name, settings, shell, files, http: SshHttp::new(link), containers }
    }

    /// What it was made from.
    pub fn settings(&self) -> &SshSettings {
        &self.settings
    }

    /// The leases that lie on the host, taken in the name of `holder`.
    pub fn leases(&self, holder: Holder, proven_dead: Arc<ProvenDead>) -> TargetLeases {
        TargetLeases::new(Arc::new(self.shell.clone()), self.guard(), holder, proven_dead)
    }

    /// The guard of the target's directory.
    pub fn guard(&self) -> Guard {
        Guard::below(&self.settings.path)
    }

    /// Its shell, with all that it can do beyond core's port.
    pub fn ssh_shell(&self) -> &SshShell {
        &self.shell
    }

    /// Why services cannot be kept running with the settings' program yet.
    fn program_missing(&self, facts: &mut Facts) -> Option<String> {
        let program = self.settings.program.display();
        match facts.remove("program/there").and_then(|there| there.as_bool()) {
            Some(true) => None,
            Some(false) => Some(format!("`{program}` cannot be executed")),
            None => Some(format!("there is no `{program}`")),
        }
    }

    /// What the host tells of itself.
    async fn host_facts(&self) -> Result<Facts, Failure> {
        let script = r#"__q=$__a; while [ -n "$__q" ] && ! [ -d "$__q" ]; do __q=${__q%/*}; done;
printf 'name '; uname -n; printf 'system '; uname -srm; printf 'user '; id -un || echo; printf 'clock '; date +%s;
df -Pk -- "${__q:-/}" | { read -r __q; read -r __q __q __q __free __q; printf 'free %s\n' "$__free"; };
if sudo -n true 2>/dev/null; then echo 'sudo yes'; else echo 'sudo no'; fi;
for __q in flock stat find sha256sum tar xargs readlink sync; do
command -v "$__q" >/dev/null || printf 'missing %s\n' "$__q"; done;
if ! [ -S "$__d" ]; then echo 'docker absent'; elif ! [ -w "$__d" ]; then echo 'docker rights'; fi;
if [ -x "$__p" ]; then echo 'program there'; elif [ -e "$__p" ]; then echo 'program no'; fi;
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null"#;
        let program = self.settings.program.as_os_str().as_encoded_bytes();
        let engine = self.settings.docker_socket.as_deref().unwrap_or(SOCKET.as_ref()).as_os_str().as_encoded_bytes();
        let variables = [("__p", program), ("__d", engine)];
        let errand = Errand { doing: "look at", path: &self.settings.path, variables: &variables, script };
        let answer = self.files.look(&errand, Feed::Nothing).await?.unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let text = String::from_utf8_lossy(&answer);
        let mut facts = read_facts(&text, now);
        if let Some(why) = self.program_missing(&mut facts) {
            facts.insert("program/missing".into(), json!(why));
            facts.insert("program/install".into(), json!(self.settings.install && fits(&facts)));
        }
        let ports = listening_ports(&text).into_iter();
        facts.extend(ports.map(|(port, _)| (format!("port/{port}"), json!("somebody"))));
        Ok(facts)
    }
}

/// Whether this executable may run on the host: the same kind of system on the same kind of processor.
fn fits(facts: &Facts) -> bool {
    let own = rustix::system::uname();
    let host = facts.get("host/system").and_then(serde_json::Value::as_str).unwrap_or_default();
    host.split(' ').next() == own.sysname().to_str().ok() && host.split(' ').next_back() == own.machine().to_str().ok()
}

fn read_facts(text: &str, now: u64) -> Facts {
    let mut facts = Facts::new();
    let mut missing = Vec::new();
    for (word, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        let number = || value.trim().parse::<i64>().ok();
        match word {
            "name" | "system" | "user" => {
                facts.insert(format!("host/{word}"), json!(value));
            }
            "clock" => {
                let ours = i64::try_from(now).unwrap_or_default();
                facts.extend(number().map(|theirs| ("host/clock-offset".to_owned(), json!(theirs - ours))));
            }
            "free" => facts.extend(number().map(|blocks| ("host/free-bytes".to_owned(), json!(blocks * 1024)))),
            "sudo" => {
                facts.insert("host/sudo".into(), json!(value == "yes"));
            }
            "missing" => missing.push(value),
            "docker" => {
                facts.insert("docker/missing".into(), json!(value));
            }
            "program" => {
                facts.insert("program/there".into(), json!(value == "there"));
            }
            _ => {}
        }
    }
    if !missing.is_empty() {
        facts.insert("host/missing".into(), json!(missing));
    }
    facts
}

/// Lets in no write with an older token from now on, as [`Fence::raise`](crate::local::Fence::raise) does. What became of
/// commands of a week ago nobody asks any more.
const RAISE: &str = r#"[ -d "$__r/.pleach" ] || mkdir -p -- "$__r/.pleach" || exit 1;
{ flock 9 || exit 1;
__old=0; if [ -e "$__r/.pleach/fence" ]; then IFS= read -r __old <"$__r/.pleach/fence" || exit 1; fi;
case $__old in ''|*[!0-9]*) printf 'damaged %s\n' "$__old"; exit 0;; esac;
if [ "$__old" -gt "$__new" ]; then printf 'passed %s\n' "$__old"; exit 0; fi;
if [ "$__old" -lt "$__new" ]; then
printf '%s\n' "$__new" >"$__r/.pleach/fence.new-$__id" && flush "$__r/.pleach/fence.new-$__id"
&& mv -fT -- "$__r/.pleach/fence.new-$__id" "$__r/.pleach/fence" && settle "$__r/.pleach/fence" || exit 1;
fi;
if [ -d "$__r/.pleach/command" ]; then find "$__r/.pleach/command" -type f -mtime +7 -exec rm -f -- {} + || true; fi;
echo raised;
} 9>>"$__r/.pleach/fence.lock""#;

#[async_trait]
impl Target for SshTarget {
    fn id(&self) -> &TargetName {
        &self.name
    }

    fn environment(&self) -> &EnvironmentName {
        &self.environment
    }

    async fn probe(&self) -> Result<Facts, Failure> {
        let mut facts = self.host_facts().await?;
        let has_engine = !facts.contains_key("docker/missing");
        let engine = async { if has_engine { self.containers.facts().await } else { Facts::new() } };
        let directory = probe_directory(&self.files, &self.shell, &self.settings.path, &self.settings.program);
        let (engine, directory) = tokio::join!(engine, directory);
        facts.extend(engine);
        facts.extend(directory?);
        Ok(facts)
    }

    async fn fence(&self, token: FencingToken) -> Result<(), Failure> {
        let (id, number) = (super::fate::CommandId::new().to_string(), token.to_string());
        let variables = [("__id", id.as_bytes()), ("__new", number.as_bytes())];
        let path: &Path = &self.settings.path;
        let errand = Errand { doing: "raise the fence of", path, variables: &variables, script: RAISE };
        let answer = self.files.look(&errand, Feed::Nothing).await?.unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer).trim().to_owned();
        if answer == "raised" {
            // A build whose deployer died or lost the link would go on beside the next one.
            self.shell.end_all().await?;
            return Ok(());
        }
        Err(self.shell.refusal(&answer, String::new(), PathBuf::new(), Some(token)).into())
    }

    fn shell(&self) -> Option<&dyn Shell> {
        Some(&self.shell)
    }

    fn files(&self) -> Option<&dyn Files> {
        Some(&self.files)
    }

    fn containers(&self) -> Option<&dyn Containers> {
        Some(&self.containers)
    }

    fn http(&self) -> Option<&dyn Http> {
        Some(&self.http)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_and_what_is_not_told_is_absent() {
        let facts = read_facts("name uat\nclock 1060\nfree 2\nsudo no\nmissing flock\nnoise\n", 1000);
        assert_eq!(facts["host/clock-offset"], 60);
        assert_eq!(facts["host/free-bytes"], 2048);
        assert_eq!(facts["host/sudo"], false);
        assert_eq!(facts["host/missing"], json!(["flock"]));
        assert!(!facts.contains_key("host/user"));
    }
}
