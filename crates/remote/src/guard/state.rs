//! Reading what the guard prints.

use std::time::Duration;

use jiff::Timestamp;
use pleach_core::port::{FencingToken, Holder, Lease};
use pleach_core::word::{EnvironmentName, RunId, TargetName};

use super::unescape;

/// Why what the guard printed cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Its last line is missing.
    #[error("the answer ends before its end")]
    CutOff,
    /// A line of a held lease is missing.
    #[error("the answer has no `{0}`")]
    Missing(&'static str),
    /// A value is not what its line is for.
    #[error("the answer has `{value}` as `{key}`")]
    Value {
        /// The line.
        key: &'static str,
        /// What it holds.
        value: String,
    },
}

/// What the target sees of a holder's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderLife {
    /// It runs there.
    Alive,
    /// It is stopped there.
    Stopped,
    /// It ran there, and is gone.
    Gone,
    /// It is another machine's or container's.
    Unknown,
}

/// A command that was started under a token and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningCommand {
    /// Under which token.
    pub token: FencingToken,
    /// Its process id on the target.
    pub process: u32,
}

/// What the target knows of one lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseState {
    /// The lease; `None` if nobody holds it. Its times are those of the target's wall clock.
    pub lease: Option<Lease>,
    /// For which plan, if that was told.
    pub plan: Option<String>,
    /// The newest token that the target has seen; older ones are refused.
    pub seen: FencingToken,
    /// The newest token that was given; less than [`seen`](Self::seen) after a lease was broken.
    pub given: FencingToken,
    /// What is seen of the holder there; [`HolderLife::Unknown`] if there is none.
    pub life: HolderLife,
    /// Whether the lease has expired by the target's clock.
    pub expired: bool,
    /// The target's wall clock.
    pub now: Timestamp,
    /// Whether a watchdog waits for the lease's renewals; told by those alone.
    pub watched: bool,
    /// Guarded commands that still run, also those of older tokens.
    pub running: Vec<RunningCommand>,
}

impl LeaseState {
    /// Reads one answer.
    pub(super) fn parse(text: &str) -> Result<Self, StateError> {
        Self::parse_all(text)?.pop().ok_or(StateError::CutOff)
    }

    /// Reads several, one behind another.
    pub(super) fn parse_all(text: &str) -> Result<Vec<Self>, StateError> {
        let mut states = Vec::new();
        let mut lines = Vec::new();
        for line in text.lines() {
            if line == "end" {
                states.push(Self::of(&Lines(std::mem::take(&mut lines)))?);
            } else {
                lines.push(line);
            }
        }
        if lines.is_empty() { Ok(states) } else { Err(StateError::CutOff) }
    }

    fn of(lines: &Lines<'_>) -> Result<Self, StateError> {
        let token = FencingToken(lines.number("token")?);
        Ok(Self {
            lease: (token.0 != 0).then(|| lease(lines, token)).transpose()?,
            plan: lines.find("plan").map(unescape),
            seen: FencingToken(lines.number("seen")?),
            given: FencingToken(lines.number("given")?),
            life: match lines.find("life") {
                Some("alive") => HolderLife::Alive,
                Some("stopped") => HolderLife::Stopped,
                Some("gone") => HolderLife::Gone,
                _ => HolderLife::Unknown,
            },
            expired: lines.find("expired") == Some("yes"),
            now: lines.moment("now")?,
            watched: lines.find("watched") == Some("yes"),
            running: lines.running()?,
        })
    }
}

fn lease(lines: &Lines<'_>, token: FencingToken) -> Result<Lease, StateError> {
    let started = lines.moment("taken")?;
    // The target's clock may have been set back since.
    let expires = lines.moment("expires")?.max(started);
    Ok(Lease {
        environment: EnvironmentName::new(lines.require("environment")?).map_err(|_| lines.bad("environment"))?,
        target: TargetName::new(lines.require("target")?).map_err(|_| lines.bad("target"))?,
        run: RunId::new(unescape(lines.require("run")?)).map_err(|_| lines.bad("run"))?,
        holder: Holder {
            user: unescape(lines.require("user")?),
            host: unescape(lines.require("host")?),
            boot: unescape(lines.require("boot")?),
            process: u32::try_from(lines.number("process")?).map_err(|_| lines.bad("process"))?,
            process_start: lines.number("start")?,
        },
        reason: unescape(lines.require("reason")?),
        started,
        expires,
        token,
    })
}

struct Lines<'a>(Vec<&'a str>);

impl<'a> Lines<'a> {
    fn find(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
    }

    fn require(&self, key: &'static str) -> Result<&'a str, StateError> {
        self.find(key).ok_or(StateError::Missing(key))
    }

    fn bad(&self, key: &'static str) -> StateError {
        StateError::Value { key, value: self.find(key).unwrap_or_default().to_owned() }
    }

    fn number(&self, key: &'static str) -> Result<u64, StateError> {
        self.require(key)?.parse().map_err(|_| self.bad(key))
    }

    fn moment(&self, key: &'static str) -> Result<Timestamp, StateError> {
        let seconds = i64::try_from(self.number(key)?).map_err(|_| self.bad(key))?;
        Timestamp::from_second(seconds).map_err(|_| self.bad(key))
    }

    fn running(&self) -> Result<Vec<RunningCommand>, StateError> {
        let running = self.0.iter().filter_map(|line| line.strip_prefix("running "));
        let read = |value: &str| {
            let (token, process) = value.split_once(' ')?;
            Some(RunningCommand { token: FencingToken(token.parse().ok()?), process: process.parse().ok()? })
        };
        running
            .map(|value| read(value).ok_or_else(|| StateError::Value { key: "running", value: value.to_owned() }))
            .collect()
    }
}

/// A lifetime in the unit of the target's clock since boot: hundredths of a second, at least one.
pub(crate) fn hundredths(lifetime: Duration) -> u64 {
    // A hundred years; more would not fit the shell's numbers for ever.
    u64::try_from(lifetime.as_millis().div_ceil(10)).unwrap_or(u64::MAX).clamp(1, 315_576_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: &str = "generation 2\ntoken 0\ngiven 1\nseen 2\nlifetime 0\nexpires 0\nnow 1795258958\nend\n";

    #[test]
    fn a_free_place_is_read() {
        let state = LeaseState::parse(FREE).expect("readable");
        assert_eq!((state.lease, state.seen, state.given), (None, FencingToken(2), FencingToken(1)));
    }

    #[test]
    fn an_answer_that_was_cut_off_is_none() {
        for cut in 0..FREE.len() - 1 {
            assert!(LeaseState::parse(&FREE[..cut]).is_err(), "{cut}");
        }
        let held = FREE.replace("token 0", "token 2");
        assert_eq!(LeaseState::parse(&held), Err(StateError::Missing("taken")));
    }

    #[test]
    fn a_lifetime_is_never_nothing() {
        assert_eq!(hundredths(Duration::ZERO), 1);
        assert_eq!(hundredths(Duration::from_secs(60)), 6000);
        assert_eq!(hundredths(Duration::MAX), 315_576_000_000);
    }
}
