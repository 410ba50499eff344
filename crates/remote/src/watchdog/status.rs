//! What the watchdog says of itself.

use jiff::Timestamp;
use pleach_core::word::RunId;
use serde::{Deserialize, Serialize};

use crate::guard::StateError;

/// Where a watchdog is; the table is in the [module's page](super).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchdogPhase {
    /// Waits for its deadline.
    Armed,
    /// Somebody said that all is well.
    Confirmed,
    /// Somebody stopped it.
    Disarmed,
    /// Nobody confirmed in time: it restores, or tries again.
    Fired,
    /// Nobody confirmed in time, and all was put back.
    Restored,
    /// Nobody confirmed in time, and a newer lease had been given: nothing more is put back.
    Aside,
}

impl WatchdogPhase {
    /// Whether it has nothing left to do.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Armed | Self::Fired)
    }
}

/// What goes on with it after a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootEntry {
    /// A timer of systemd.
    Systemd,
    /// A file in `/etc/cron.d`.
    Cron,
    /// A file in `/etc/local.d`.
    Local,
    /// A line of the user's crontab.
    Crontab,
    /// Nothing does.
    None,
}

/// What one watchdog says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchdogStatus {
    /// The run that it was armed for.
    pub run: RunId,
    /// Where it is.
    pub phase: WatchdogPhase,
    /// When it fires unless it is renewed or confirmed, by the target's wall clock.
    pub expires: Timestamp,
    /// The target's wall clock.
    pub now: Timestamp,
    /// Whether a process watches; one that was killed is started by the next renewal, by systemd, or at boot.
    pub watched: bool,
    /// What goes on with it after a reboot.
    pub boot_entry: BootEntry,
    /// The last forty lines of its journal: when, by the target's clock, and what.
    pub journal: Vec<String>,
}

impl WatchdogStatus {
    pub(super) fn parse_all(printed: &str) -> Result<Vec<Self>, StateError> {
        let (mut statuses, mut lines) = (Vec::new(), Vec::new());
        for line in printed.lines() {
            if line == "end" {
                statuses.push(Self::of(&std::mem::take(&mut lines))?);
            } else {
                lines.push(line);
            }
        }
        if lines.is_empty() { Ok(statuses) } else { Err(StateError::CutOff) }
    }

    fn of(lines: &[&str]) -> Result<Self, StateError> {
        let require = |key: &'static str| {
            let found = lines.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
            found.ok_or(StateError::Missing(key))
        };
        let bad = |key: &'static str, value: &str| StateError::Value { key, value: value.to_owned() };
        let moment = |key: &'static str| {
            let value = require(key)?;
            let seconds = value.parse().map_err(|_| bad(key, value))?;
            Timestamp::from_second(seconds).map_err(|_| bad(key, value))
        };
        let run = require("id")?;
        Ok(Self {
            run: RunId::new(run).map_err(|_| bad("id", run))?,
            phase: match require("phase")? {
                "armed" => WatchdogPhase::Armed,
                "confirmed" => WatchdogPhase::Confirmed,
                "disarmed" => WatchdogPhase::Disarmed,
                "fired" => WatchdogPhase::Fired,
                "restored" => WatchdogPhase::Restored,
                "aside" => WatchdogPhase::Aside,
                other => return Err(bad("phase", other)),
            },
            expires: moment("expires")?,
            now: moment("now")?,
            watched: require("watch")? != "gone",
            boot_entry: match require("entry")? {
                "systemd" => BootEntry::Systemd,
                "cron" => BootEntry::Cron,
                "local" => BootEntry::Local,
                "crontab" => BootEntry::Crontab,
                _ => BootEntry::None,
            },
            journal: lines.iter().filter_map(|line| line.strip_prefix("journal ")).map(str::to_owned).collect(),
        })
    }
}
