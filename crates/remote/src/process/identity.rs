//! One process and no other.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::stat::ProcessStat;

/// One process of one boot of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The process id.
    pub pid: u32,
    /// When it started, in clock ticks since the boot.
    pub start: u64,
    /// The boot's id.
    pub boot: String,
}

impl Identity {
    /// The process that has this id now, if there is one.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = read_stat(pid).filter(ProcessStat::is_alive)?;
        Some(Self { pid, start: stat.start, boot: boot_id() })
    }

    /// This very process.
    pub fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        self.boot == boot_id() && read_stat(self.pid).is_some_and(|stat| self.matches(&stat))
    }

    /// Whether what `/proc/PID/stat` says of its id is about it, and alive.
    pub fn matches(&self, stat: &ProcessStat) -> bool {
        stat.is_alive() && stat.start == self.start
    }

    /// Sends a signal to it; `false` if it is gone. The process is held while it is compared, so a process that got its
    /// id in between is not hit.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return false };
        let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
        self.is_alive() && pidfd_send_signal(held, signal).is_ok()
    }
}

pub(crate) fn read_stat(pid: u32) -> Option<ProcessStat> {
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    ProcessStat::parse(&String::from_utf8_lossy(&bytes))
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_process_id_is_another_process() {
        let own = Identity::own().expect("this process runs");
        assert!(own.is_alive());
        let earlier = Identity { start: own.start - 1, ..own.clone() };
        let other_boot = Identity { boot: "another".into(), ..own };
        for gone in [earlier, other_boot] {
            assert!(!gone.is_alive());
            assert!(!gone.signal(Signal::KILL), "this test would have ended itself");
        }
    }
}
