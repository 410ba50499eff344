//! A service's process with all that it started.

use std::fs;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use super::identity::{Identity, read_stat};
use super::stat::ProcessStat;

/// A process group inside a session that Pleach made for it. The leader may be gone while others of it live; the pair of
/// group and session names them still, because the kernel gives neither number away while one of them lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The process that was started; its id is the group's.
    pub leader: Identity,
    /// The session's id; 0 if its leader cannot be seen from here.
    pub session: i32,
    /// What the variable `PLEACH_INSTANCE` is for it and, by inheritance, for all that it starts: some of these leave the
    /// group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
}

/// The variable that tells whose a process is after it has left its group.
pub(crate) const MARK: &str = "PLEACH_INSTANCE";

impl Group {
    /// The group that a process leads; nothing if it has ended. The session is read as [`members`](Self::members) reads it:
    /// it is 0 where its leader is outside of this space of process ids, as for whatever `docker exec` starts.
    pub(crate) fn led_by(pid: u32, mark: Option<String>) -> Option<Self> {
        let leader = Identity::of(pid)?;
        Some(Self { leader, session: read_stat(pid)?.session, mark })
    }

    /// The ids of all living members.
    pub fn members(&self) -> Vec<u32> {
        if self.leader.boot != Identity::own().map(|own| own.boot).unwrap_or_default() {
            return Vec::new();
        }
        // A living process that has the leader's id without being it means that the group is long gone.
        let leads = read_stat(self.leader.pid);
        let is_gone = leads.is_some_and(|stat| stat.is_alive() && stat.start != self.leader.start);
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let ours = |pid: &u32| {
            let Some(stat) = read_stat(*pid).filter(ProcessStat::is_alive) else { return false };
            (!is_gone && self.has(stat.group, stat.session)) || self.marks(*pid)
        };
        pids.filter(ours).collect()
    }

    /// Whether a process bears the mark. The variables of other users' processes cannot be read: those are not ours.
    fn marks(&self, pid: u32) -> bool {
        let Some(mark) = &self.mark else { return false };
        let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let marked = |variable: &[u8]| {
            let value = variable.strip_prefix(MARK.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
            value == Some(mark.as_bytes())
        };
        variables.split(|byte| *byte == 0).any(marked)
    }

    fn has(&self, group: i32, session: i32) -> bool {
        u32::try_from(group) == Ok(self.leader.pid) && session == self.session
    }

    /// Signals every member; `false` if none is left.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let members = self.members();
        let in_group = |pid: u32| read_stat(pid).is_some_and(|stat| self.has(stat.group, stat.session));
        // At once, so that none of them can start another in between.
        if members.iter().any(|pid| in_group(*pid))
            && let Some(group) = i32::try_from(self.leader.pid).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process_group(group, signal);
        }
        for pid in &members {
            let Some(process) = Identity::of(*pid) else { continue };
            if !in_group(*pid) && self.marks(*pid) {
                process.signal(signal);
            }
        }
        !members.is_empty()
    }
}
