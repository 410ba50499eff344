//! Commands that may change a target and have not ended, as they are noted below its root.
//!
//! A deployer that is killed leaves its command running. Whoever holds the target next ends it before anything else: a
//! build would go on in the very directory in which the next one begins.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::process::Group;

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How long a killed process may take to be gone: one in an uninterruptible wait takes as long as its disk.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// One note; removed when dropped.
#[derive(Debug)]
pub(super) struct Begun {
    path: PathBuf,
}

fn folder(root: &Path) -> PathBuf {
    root.join(".pleach/command")
}

impl Begun {
    /// Notes a process that leads a group of its own. Where that cannot be written, as on a full disk, it runs all the
    /// same: what takes back must.
    pub(super) fn note(root: &Path, pid: u32) -> Option<Self> {
        let group = Group::led_by(pid, None)?;
        let path = folder(root).join(format!("{pid}-{}.json", group.leader.start));
        let bytes = serde_json::to_vec(&group).ok()?;
        fs::create_dir_all(folder(root)).ok()?;
        fs::write(&path, bytes).ok()?;
        Some(Self { path })
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // Left behind, it names a process that is gone.
        let _ = fs::remove_file(&self.path);
    }
}

/// Ends all that is noted below `root` and still runs.
pub(super) fn end_begun(root: &Path) {
    let Ok(notes) = fs::read_dir(folder(root)) else { return };
    for note in notes.flatten().map(|note| note.path()) {
        if note.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        if let Some(group) = fs::read(&note).ok().and_then(|bytes| serde_json::from_slice::<Group>(&bytes).ok()) {
            let begun = Instant::now();
            group.signal(Signal::KILL);
            while !group.members().is_empty() && begun.elapsed() < GONE_WITHIN {
                sleep(LOOK_AGAIN);
            }
        }
        let _ = fs::remove_file(&note);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::process::Identity;

    #[test]
    fn what_a_killed_deployer_left_running_is_ended_and_what_has_ended_is_forgotten() {
        let root = tempfile::tempdir().expect("a directory");
        let mut left =
            Command::new("sleep").arg("60").process_group(0).stdin(Stdio::null()).spawn().expect("it starts");
        std::mem::forget(Begun::note(root.path(), left.id()).expect("noted"));
        let mut over = Command::new("true").process_group(0).spawn().expect("it starts");
        drop(Begun::note(root.path(), over.id()));
        over.wait().expect("it ends");
        let other = Group { leader: Identity::own().expect("this one"), session: -1, mark: None };
        let other = Identity { start: other.leader.start - 1, ..other.leader };
        let reused = serde_json::to_vec(&Group { leader: other, session: 1, mark: None }).expect("plain data");
        fs::write(folder(root.path()).join("1-1.json"), reused).expect("written");
        end_begun(root.path());
        assert!(!left.wait().expect("it ended").success());
        assert_eq!(fs::read_dir(folder(root.path())).expect("there").count(), 0);
    }
}
