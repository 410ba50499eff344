//! Who a process is, and whether it still lives: the proof that a take-over needs.
//!
//! | what is seen of the process | what it proves |
//! |---|---|
//! | another kernel (boot id), same machine | dead: no process survives a boot |
//! | another kernel, another machine | nothing |
//! | same kernel, another space of process ids (a container) | nothing |
//! | no process of that id, or one that started at another time | dead: ids are used again |
//! | a zombie of one thread | dead: nothing of it can act any more |
//! | anything else, also what may not be looked at | alive |
//!
//! This file alone reads `/proc`. Without `/proc` a process counts as alive while its id is in use.

use std::fs;

use pleach_core::port::Holder;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// The space of process ids that a machine boots with: `PROC_PID_INIT_INO` in Linux' `include/linux/proc_ns.h`.
const FIRST_SPACE: &str = "pid:[4026531836]";

/// One process of one boot of one machine. A process id alone is not enough: ids are used again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The machine's name.
    pub host: String,
    /// The boot id; behind it, parted by spaces, `machine:` and the CRC-32 of the machine id if there is one, and
    /// `pid:[…]` in a container with process ids of its own. Empty where the system has no boot id.
    pub boot: String,
    /// The process id.
    pub process: u32,
    /// When it started, in clock ticks since boot; 0 where that cannot be known.
    pub start: u64,
}

/// What can be said of a process from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It runs on this machine, or it cannot be ruled out that it does.
    Running,
    /// It is stopped by a signal or a debugger, and goes on when it is told to.
    Stopped,
    /// It is proven to be gone.
    Dead,
    /// It is another machine's or container's: nothing can be proven from here.
    Elsewhere,
}

impl ProcessIdentity {
    /// This process.
    pub fn current() -> Self {
        let process = std::process::id();
        let start = match look_at(process) {
            Seen::There { start, .. } => start,
            Seen::Gone | Seen::Hidden => 0,
        };
        Self { host: host(), boot: boot(), process, start }
    }

    /// Whether it is known here that the process lives, be it running or stopped.
    pub fn is_alive(&self) -> bool {
        matches!(self.life(), Life::Running | Life::Stopped)
    }

    /// What can be said of the process from here.
    pub fn life(&self) -> Life {
        let (theirs, ours) = (Boot::parse(&self.boot), boot());
        let ours = Boot::parse(&ours);
        if theirs.id != ours.id {
            let known = !theirs.id.is_empty() && !ours.id.is_empty();
            let same_machine = self.host == host() && theirs.machine == ours.machine;
            return if known && same_machine { Life::Dead } else { Life::Elsewhere };
        }
        // Without a boot id the name is all there is; with one it may have changed since.
        if (ours.id.is_empty() && self.host != host()) || theirs.space != ours.space {
            return Life::Elsewhere;
        }
        match look_at(self.process) {
            Seen::Gone => Life::Dead,
            Seen::Hidden => Life::Running,
            Seen::There { start, .. } if self.start != 0 && start != self.start => Life::Dead,
            Seen::There { stopped: true, .. } => Life::Stopped,
            Seen::There { stopped: false, .. } => Life::Running,
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
pub fn holder() -> Holder {
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
    let read = |path| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let mut boot = read("/proc/sys/kernel/random/boot_id");
    if boot.is_empty() {
        return boot;
    }
    let machine = read("/etc/machine-id");
    if !machine.is_empty() {
        // Not the id itself, which machine-id(5) asks to keep on the machine.
        boot.push_str(&format!(" machine:{:08x}", crc32fast::hash(machine.as_bytes())));
    }
    if let Ok(space) = fs::read_link("/proc/self/ns/pid")
        && space.as_os_str() != FIRST_SPACE
    {
        boot.push_str(&format!(" {}", space.display()));
    }
    boot
}

/// The parts of [`ProcessIdentity::boot`].
#[derive(Default)]
struct Boot<'a> {
    id: &'a str,
    machine: Option<&'a str>,
    space: Option<&'a str>,
}

impl<'a> Boot<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(' ');
        let id = parts.next().unwrap_or_default();
        let (machines, spaces): (Vec<_>, Vec<_>) = parts.partition(|part| part.starts_with("machine:"));
        Self { id, machine: machines.first().copied(), space: spaces.first().copied() }
    }
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

/// What is seen of a process id of this machine.
enum Seen {
    /// No process has it, or only its parent's memory of one.
    Gone,
    /// A process has it.
    There { start: u64, stopped: bool },
    /// A process has it, and more cannot be seen: another user's, where `/proc` hides those (`hidepid` in proc(5)).
    Hidden,
}

fn look_at(process: u32) -> Seen {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok();
    if let Some(seen) = stat.as_deref().and_then(parse_stat) {
        return seen;
    }
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    match process.map(test_kill_process) {
        Some(Err(Errno::SRCH)) => Seen::Gone,
        _ => Seen::Hidden,
    }
}

/// Reads proc_pid_stat(5). The name in field 2 may hold spaces and parentheses.
fn parse_stat(stat: &str) -> Option<Seen> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let (state, threads): (&str, u64) = (field(3)?, field(20)?.parse().ok()?);
    // A first thread that ended while others go on is a zombie too.
    if matches!(state, "Z" | "X") && threads <= 1 {
        return Some(Seen::Gone);
    }
    Some(Seen::There { start: field(22)?.parse().ok()?, stopped: matches!(state, "T" | "t") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_a_forged_start_does_not() {
        let mut identity = ProcessIdentity::current();
        assert_eq!(identity.life(), Life::Running);
        identity.start += 1;
        assert_eq!(identity.life(), Life::Dead, "a process id that is used again is another process");
    }

    #[test]
    fn another_boot_is_dead_and_another_machine_cannot_be_judged() {
        let here = ProcessIdentity::current();
        let (_, machine) = here.boot.split_once(' ').unwrap_or((&here.boot, ""));
        let another = format!("another {machine}").trim().to_owned();
        let booted = ProcessIdentity { boot: another, ..here.clone() };
        assert_eq!(booted.life(), Life::Dead);
        let elsewhere = ProcessIdentity { host: "another".into(), ..booted.clone() };
        assert_eq!(elsewhere.life(), Life::Elsewhere);
        let namesake = ProcessIdentity { boot: "another machine:namesake".into(), ..here };
        assert_eq!(namesake.life(), Life::Elsewhere, "two machines may have the same name");
    }

    #[test]
    fn a_machine_that_was_renamed_is_the_same_and_a_container_is_not() {
        let here = ProcessIdentity::current();
        let renamed = ProcessIdentity { host: "another".into(), ..here.clone() };
        assert_eq!(renamed.life(), Life::Running);
        let gone = ProcessIdentity { start: here.start + 1, ..renamed };
        assert_eq!(gone.life(), Life::Dead);
        let boot = here.boot.split(" pid:").next().unwrap_or_default();
        let contained = ProcessIdentity { boot: format!("{boot} pid:[1]"), process: u32::MAX / 4, ..here };
        assert_eq!(contained.life(), Life::Elsewhere, "its process ids mean nothing here");
    }

    #[test]
    fn what_cannot_be_known_counts_as_alive() {
        let here = ProcessIdentity::current();
        assert_eq!(ProcessIdentity { start: 0, ..here.clone() }.life(), Life::Running);
        assert_eq!(ProcessIdentity { process: 0, ..here }.life(), Life::Running, "0 is nobody's id");
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_is_passed_over() {
        let stat = "7 (a) R 1 (b) c) T 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 8812 1 1";
        assert!(matches!(parse_stat(stat), Some(Seen::There { start: 8812, stopped: true })));
        let zombie = "7 (a) Z 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 8812 1 1";
        assert!(matches!(parse_stat(zombie), Some(Seen::Gone)));
        let first_thread = "7 (a) Z 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 2 0 8812 1 1";
        assert!(matches!(parse_stat(first_thread), Some(Seen::There { .. })), "its other threads go on");
    }
}
