//! One container: looked at, started, stopped, removed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use pleach_core::port::ImageId;
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::error::{EngineError, Said};
use super::health::EngineHealth;

/// The engine's word for never is a time of the year 1.
const NEVER: &str = "0001-";

/// What is read of a container's log at a time. Escaped for an answer it may become six times as much.
const MOST: usize = 128 << 10;

/// What is read of a line: with a replacement character for each of its bytes it has room in a part.
const LONGEST: usize = MOST / 4;

/// What a line takes beside its time and its text.
const FRAME: usize = 8;

/// A part of a container's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Printed {
    /// Each line with its time as the engine writes it, oldest first.
    pub(crate) lines: VecDeque<(String, String)>,
    /// Whether there was more behind them.
    pub(crate) more: bool,
}

/// A container that an engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id on this engine.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it runs.
    pub image: ImageId,
    /// Whether it runs.
    pub state: ContainerState,
    /// What the engine's own check says, where it has one.
    pub health: Option<EngineHealth>,
    /// Its first process, as the engine's host numbers it, while it runs.
    pub pid: Option<u32>,
    /// How often the engine has started it again by itself.
    pub restarts: u64,
    /// When it was started last, as RFC 3339 writes it.
    pub started: Option<String>,
    /// Where its ports are reached on the host, by port.
    pub ports: BTreeMap<u16, u16>,
    /// Its address on the engine's own networks; none while it does not run.
    pub address: Option<String>,
    /// What was written on it when it was made.
    pub labels: BTreeMap<String, String>,
}

/// Whether a container runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// It was made and never started.
    Made,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It ended, and the engine starts it again.
    Restarting {
        /// With this code.
        code: i64,
        /// Because it asked for more memory than it may have.
        out_of_memory: bool,
    },
    /// It ended.
    Ended {
        /// With this code; 128 and the signal's number where one has ended it.
        code: i64,
        /// Because it asked for more memory than it may have.
        out_of_memory: bool,
        /// What the engine says, where it could not run it.
        error: String,
    },
    /// It is being removed, or could not be.
    Removing,
}

impl Container {
    /// Whether it runs, and is not frozen.
    pub fn runs(&self) -> bool {
        self.state == ContainerState::Running
    }

    /// Whether it runs, also where it is frozen or about to run again.
    pub(crate) fn is_up(&self) -> bool {
        use ContainerState::{Paused, Restarting, Running};
        matches!(self.state, Running | Restarting { .. } | Paused)
    }
}

impl Engine {
    /// A container by name or id; nothing where this engine has none.
    pub async fn container(&self, name: &str) -> Result<Option<Container>, EngineError> {
        let what = format!("look at container `{name}`");
        match self.docker().inspect_container(name, None).await.map_err(self.failed(&what)) {
            Ok(found) => self.read_container(&what, found).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A container that has to be there.
    pub async fn require_container(&self, name: &str) -> Result<Container, EngineError> {
        let source = Said("no container has this name".into());
        let missing =
            || EngineError::NotFound { what: format!("find container `{name}`"), place: self.place(), source };
        self.container(name).await?.ok_or_else(missing)
    }

    fn read_container(&self, what: &str, found: ContainerInspectResponse) -> Result<Container, EngineError> {
        let lacks = |lacking| self.lacks(what, lacking);
        let state = found.state.ok_or_else(|| lacks("state of the container"))?;
        let config = found.config.unwrap_or_default();
        let health = EngineHealth::read(state.health, config.healthcheck);
        let networks = found.network_settings.unwrap_or_default();
        let mut ports = BTreeMap::new();
        for (inside, bindings) in networks.ports.unwrap_or_default() {
            let inside = inside.split('/').next().and_then(|port| port.parse::<u16>().ok());
            let outside = bindings.unwrap_or_default().into_iter().find_map(|one| one.host_port?.parse::<u16>().ok());
            ports.extend(inside.zip(outside));
        }
        let mut addresses =
            networks.networks.unwrap_or_default().into_values().filter_map(|network| network.ip_address);
        let started = state.started_at.filter(|text| !text.starts_with(NEVER));
        let pid = state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
        let (code, out_of_memory) = (state.exit_code.unwrap_or_default(), state.oom_killed.unwrap_or_default());
        let state = match state.status {
            Some(ContainerStateStatusEnum::CREATED) => ContainerState::Made,
            Some(ContainerStateStatusEnum::RUNNING) => ContainerState::Running,
            Some(ContainerStateStatusEnum::PAUSED) => ContainerState::Paused,
            Some(ContainerStateStatusEnum::RESTARTING) => ContainerState::Restarting { code, out_of_memory },
            Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD) => ContainerState::Removing,
            _ => ContainerState::Ended { code, out_of_memory, error: state.error.unwrap_or_default() },
        };
        Ok(Container {
            id: found.id.ok_or_else(|| lacks("id of the container"))?,
            name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
            image: found.image.and_then(|id| ImageId::new(id).ok()).ok_or_else(|| lacks("image of the container"))?,
            state,
            health,
            pid,
            restarts: found.restart_count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default(),
            started,
            ports,
            address: addresses.find(|address| !address.is_empty()),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
        })
    }

    /// All containers on which all of these labels are written, whether they run or not, by name.
    pub async fn containers(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Container>, EngineError> {
        let labels = labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        let filters = HashMap::from([("label", labels)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed = self.docker().list_containers(Some(options)).await.map_err(self.failed("list its containers"))?;
        let mut containers = Vec::new();
        for one in listed {
            // Gone since it was listed: then it is not there.
            containers.extend(self.container(&one.id.unwrap_or_default()).await?);
        }
        containers.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(containers)
    }

    /// Has a container run; does nothing where it does.
    pub async fn ensure_started(&self, name: &str) -> Result<(), EngineError> {
        let what = format!("start container `{name}`");
        self.docker().start_container(name, None).await.map_err(self.failed(&what))
    }

    /// Has a container stopped: told to end, and ended after `grace`. Succeeds where it does not run, or is not there.
    pub async fn ensure_stopped(&self, name: &str, grace: Duration) -> Result<(), EngineError> {
        // To the second, and never less than was asked for.
        let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        let stopped = self.docker().stop_container(name, Some(options)).await;
        match stopped.map_err(self.failed(&format!("stop container `{name}`"))) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes a container, which must have been stopped; its named volumes stay. Succeeds where it is gone.
    pub async fn ensure_no_container(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::default().force(false).v(false).build();
        let removed = self.docker().remove_container(name, Some(options)).await;
        match removed.map_err(self.failed(&format!("remove container `{name}`"))) {
            Ok(()) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error @ EngineError::Conflict { .. }) => {
                // Somebody else removes it at this moment: then it is waited for.
                let removing = |there: Container| there.state == ContainerState::Removing;
                if !self.container(name).await?.is_none_or(removing) {
                    return Err(error);
                }
                let options = WaitContainerOptionsBuilder::default().condition("removed").build();
                let waiting = self.docker().wait_container(name, Some(options));
                std::pin::pin!(waiting).next().await;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The last lines that a container has printed, oldest first.
    pub async fn last_lines(&self, name: &str, count: usize) -> Result<Vec<String>, EngineError> {
        Ok(self.printed(name, Some(count), None).await?.lines.into_iter().map(|(_, line)| line).collect())
    }

    /// What a container has printed after the time `since`: the last `count` lines, of which the last 128 KiB; without a count the
    /// first 128 KiB, and the rest since the last of these. A line of more than 32 KiB is cut.
    pub(crate) async fn printed(
        &self,
        name: &str,
        count: Option<usize>,
        since: Option<&str>,
    ) -> Result<Printed, EngineError> {
        let tail = count.map_or_else(|| "all".to_owned(), |count| count.to_string());
        // To the second; what was read before is left out below.
        let second = since.and_then(|since| since.parse::<Timestamp>().ok()).map_or(0, Timestamp::as_second);
        let second = i32::try_from(second).unwrap_or_default();
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).since(second);
        let mut log = std::pin::pin!(self.docker().logs(name, Some(options.tail(&tail).build())));
        let taken = |(time, line): &(String, String)| time.len() + line.len() + FRAME;
        let (mut begun, mut printed, mut held) = (BegunLine::default(), Printed::default(), 0);
        while let Some(part) = log.next().await {
            let part = part.map_err(self.failed(&format!("read the log of container `{name}`")))?;
            let (LogOutput::StdOut { message }
            | LogOutput::StdErr { message }
            | LogOutput::StdIn { message }
            | LogOutput::Console { message }) = part;
            for part in message.split_inclusive(|byte| *byte == b'\n') {
                let Some(line) = begun.add(part) else { continue };
                let (time, line) = line.split_once(' ').unwrap_or((&line, ""));
                // All times have the same width, so their order is that of the text.
                if since.is_some_and(|since| time <= since) {
                    continue;
                }
                let line = (time.to_owned(), line.trim_end_matches('\r').to_owned());
                held += taken(&line);
                if held > MOST && count.is_none() {
                    printed.more = true;
                    return Ok(printed);
                }
                printed.lines.push_back(line);
                while held > MOST {
                    held -= printed.lines.pop_front().as_ref().map_or(held, taken);
                }
            }
        }
        Ok(printed)
    }
}

/// A line of which the end has not come yet.
#[derive(Default)]
struct BegunLine(Vec<u8>);

impl BegunLine {
    /// Adds up to one line end; gives the line behind it. However long a line is, no more is held than is read of it.
    fn add(&mut self, part: &[u8]) -> Option<String> {
        let text = part.strip_suffix(b"\n").unwrap_or(part);
        self.0.extend_from_slice(&text[..text.len().min(LONGEST - self.0.len())]);
        let ended = text.len() < part.len();
        ended.then(|| String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned())
    }
}

/// The engine may hear that a container ended before it hears that memory was the reason.
pub(crate) fn how_it_ended(code: i64, out_of_memory: bool) -> String {
    match code {
        _ if out_of_memory => "asked for more memory than it may have".into(),
        137 => "was killed (exit code 137), as where it asks for more memory than it may have".into(),
        _ => format!("exited with {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_line_without_an_end_no_more_is_held_than_is_read_of_a_line() {
        let mut begun = BegunLine::default();
        assert_eq!(begun.add(b"one "), None);
        assert_eq!(begun.add(b"line\n").as_deref(), Some("one line"));
        for _ in 0..1000 {
            assert_eq!(begun.add(&[b'x'; 1000]), None);
            assert!(begun.0.len() <= LONGEST);
        }
        assert_eq!(begun.add(b"\n").map(|line| line.len()), Some(LONGEST));
        assert_eq!(begun.add(b"\n").as_deref(), Some(""));
    }
}
