//! Who a process is, and whether it still lives: the proof that a take-over needs.

use std::fs;

use pleach_core::port::Holder;
use serde::{Deserialize, Serialize};

/// One process of one boot of one machine. A process id alone is not enough: ids are used again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The machine's name.
    pub host: String,
    /// The boot id; empty where the system has none.
    pub boot: String,
    /// The process id.
    pub process: u32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
}

/// What can be said of a process from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It runs, or is stopped, on this machine.
    Alive,
    /// It is proven to be gone.
    Dead,
    /// It is another machine's: nothing can be proven from here.
    Elsewhere,
}

impl ProcessIdentity {
    /// This process.
    pub fn current() -> Self {
        let process = std::process::id();
        Self { host: host(), boot: boot(), process, start: start_of(process).unwrap_or_default() }
    }

    /// Whether it is proven, on this machine, that the process lives.
    pub fn is_alive(&self) -> bool {
        self.life() == Life::Alive
    }

    pub(crate) fn life(&self) -> Life {
        if self.host != host() {
            return Life::Elsewhere;
        }
        // A process of another boot cannot have survived it.
        if self.boot != boot() {
            return Life::Dead;
        }
        match start_of(self.process) {
            Some(start) if start == self.start => Life::Alive,
            _ => Life::Dead,
        }
    }
}

impl From<&Holder> for ProcessIdentity {
    fn from(holder: &Holder) -> Self {
        Self {
            host: holder.host.clone(),
            boot: holder.boot.clone(),
            process: holder.process,
            start: holder.process_start,
        }
    }
}

/// This process as the holder of a lease.
pub(crate) fn holder() -> Holder {
    let identity = ProcessIdentity::current();
    Holder {
        user: user(),
        host: identity.host,
        boot: identity.boot,
        process: identity.process,
        process_start: identity.start,
    }
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn user() -> String {
    let id = rustix::process::geteuid().as_raw();
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id.to_string()).then(|| name.to_owned())
    });
    found.unwrap_or_else(|| format!("uid {id}"))
}

/// When a process started, in clock ticks since boot; `None` if there is none, or if only its parent's memory of it is
/// left. Field 22 of proc_pid_stat(5); the name in field 2 may hold spaces and parentheses.
fn start_of(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_a_forged_start_does_not() {
        let mut identity = ProcessIdentity::current();
        assert_eq!(identity.life(), Life::Alive);
        identity.start += 1;
        assert_eq!(identity.life(), Life::Dead, "a process id that is used again is another process");
    }

    #[test]
    fn another_boot_is_dead_and_another_machine_cannot_be_judged() {
        let mut identity = ProcessIdentity::current();
        identity.boot = "another".into();
        assert_eq!(identity.life(), Life::Dead);
        identity.host = "another".into();
        assert_eq!(identity.life(), Life::Elsewhere);
    }
}
