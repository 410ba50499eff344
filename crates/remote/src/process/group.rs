//! A service's process with all that it started.

use std::fs;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use super::identity::{Identity, read_stat};

/// A process group inside a session that Pleach made for it. The leader may be gone while others of it live; the pair of
/// group and session names them still, because the kernel gives neither number away while one of them lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The process that was started; its id is the group's.
    pub leader: Identity,
    /// The session's id.
    pub session: i32,
}

impl Group {
    /// The ids of all living members.
    pub fn members(&self) -> Vec<u32> {
        if self.leader.boot != Identity::own().map(|own| own.boot).unwrap_or_default() {
            return Vec::new();
        }
        // A living process that has the leader's id without being it means that the group is long gone.
        let leads = read_stat(self.leader.pid);
        if leads.is_some_and(|stat| stat.is_alive() && stat.start != self.leader.start) {
            return Vec::new();
        }
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| read_stat(*pid).is_some_and(|stat| stat.is_alive() && self.has(stat.group, stat.session)))
            .collect()
    }

    fn has(&self, group: i32, session: i32) -> bool {
        u32::try_from(group) == Ok(self.leader.pid) && session == self.session
    }

    /// Signals every member; `false` if none is left.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let Some(group) = i32::try_from(self.leader.pid).ok().and_then(Pid::from_raw) else { return false };
        !self.members().is_empty() && kill_process_group(group, signal).is_ok()
    }
}
