//! What still runs of what the demo started.
//!
//! A process is the demo's if it works in the demo's directory or was started with a path in it: nobody else knows that
//! directory. A process id alone proves nothing, since the system gives it to the next process, so a signal is sent only
//! while the same process, by id and start time, still has it.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The longest that a process may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process of the demo's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leftover {
    id: i32,
    started: String,
    /// Its command line.
    pub(super) command: String,
}

/// All processes that belong to the demo in `place`, without this one.
pub(super) fn leftovers(place: &Path) -> Vec<Leftover> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id| *id != own)
        .filter_map(|id| leftover(id, place))
        .collect()
}

fn leftover(id: i32, place: &Path) -> Option<Leftover> {
    let proc = Path::new("/proc").join(id.to_string());
    let started = start_time(&proc)?;
    let line = fs::read(proc.join("cmdline")).ok()?;
    let works_there = fs::read_link(proc.join("cwd")).is_ok_and(|directory| directory.starts_with(place));
    // Pleach's own, that is: an editor or shell that somebody has open there is not ours to end.
    let named = contains(&line, place.as_os_str().as_bytes());
    let is_service = fs::read_link(proc.join("exe")).is_ok_and(|file| file.starts_with(place));
    let is_pleach = fs::read_link(proc.join("exe")).ok() == std::env::current_exe().ok();
    let ours = is_service || (is_pleach && (named || works_there));
    let command = String::from_utf8_lossy(&line).replace('\0', " ").trim_end().to_owned();
    ours.then_some(Leftover { id, started, command })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|window| window == part)
}

/// The start time of a living process, in clock ticks since the machine started (proc_pid_stat(5), field 22).
fn start_time(proc: &Path) -> Option<String> {
    let stat = fs::read_to_string(proc.join("stat")).ok()?;
    // The name may hold spaces and brackets; the fields behind it start after the last bracket, with the state.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if state == "Z" {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

/// Waits for what is ending, then ends the rest; gives what had to be ended by force.
pub(super) fn end_all(place: &Path) -> Vec<Leftover> {
    if wait_for_none(place, PATIENCE) {
        return Vec::new();
    }
    let forced = leftovers(place);
    for signal in [Signal::TERM, Signal::KILL] {
        leftovers(place).iter().for_each(|one| one.send(signal));
        if wait_for_none(place, PATIENCE / 2) {
            break;
        }
    }
    forced
}

fn wait_for_none(place: &Path, patience: Duration) -> bool {
    let start = Instant::now();
    loop {
        if leftovers(place).is_empty() {
            return true;
        }
        if start.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Leftover {
    fn send(&self, signal: Signal) {
        let same = start_time(&Path::new("/proc").join(self.id.to_string())).as_ref() == Some(&self.started);
        if let (true, Some(id)) = (same, Pid::from_raw(self.id)) {
            // It may have ended since: then there is nobody to tell.
            let _ = kill_process(id, signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_program_of_the_demo_is_found_and_ended_and_another_one_is_not() {
        let place = tempfile::tempdir().expect("a directory");
        let root = place.path().canonicalize().expect("it is there");
        let program = root.join("sleeper");
        fs::copy("/bin/sleep", &program).expect("copied");
        let mut ours = Command::new(&program).arg("60").spawn().expect("started");
        let mut other = Command::new("/bin/sleep").arg("60").current_dir(&root).spawn().expect("started");
        let found = leftovers(&root);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].send(Signal::TERM);
        assert!(!ours.wait().expect("ended").success());
        assert!(leftovers(&root).is_empty());
        assert!(other.try_wait().expect("asked").is_none(), "a process of somebody else's was ended");
        other.kill().expect("ended");
        other.wait().expect("ended");
    }
}
