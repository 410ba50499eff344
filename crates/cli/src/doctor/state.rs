//! What Pleach keeps: its state directory, runs, leases, worktrees.

use std::io::Write as _;
use std::path::Path;

use jiff::Timestamp;
use pleach_git::worktree::{self, State};
use rustix::fs::statvfs;

use super::Finding;
use crate::project::Workspace;
use crate::standing::{LeaseStanding, RunStanding};

const MEBIBYTE: u64 = 1024 * 1024;

/// Whether files can be written there, and how many.
pub(crate) fn place_findings(subject: &str, path: &Path) -> Vec<Finding> {
    // What is not there yet is made below the nearest directory that is.
    let Some(there) = path.ancestors().find(|path| path.is_dir()) else {
        return vec![Finding::fail(subject, format!("`{}` cannot be made", path.display()), "name another path")];
    };
    let probe = there.join(format!(".pleach-doctor-{}", std::process::id()));
    let written =
        std::fs::File::create_new(&probe).and_then(|mut file| file.write_all(b"x").and_then(|()| file.sync_all()));
    let _ = std::fs::remove_file(&probe);
    if let Err(error) = written {
        let mend = format!("ls -ld {}; df {0}", there.display());
        return vec![Finding::fail(subject, format!("cannot write to `{}`: {error}", there.display()), mend)];
    }
    let Ok(disk) = statvfs(there) else {
        return vec![Finding::ok(subject, format!("{} can be written", there.display()))];
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize) / MEBIBYTE;
    let seen = format!("{}, {free} MiB free", path.display());
    let mend = format!("du -xsh {}/* | sort -h | tail", there.display());
    vec![match free {
        0..100 => Finding::fail(subject, seen, mend),
        100..1024 => Finding::warn(subject, seen, mend),
        _ => Finding::ok(subject, seen),
    }]
}

/// Runs that are not at their end, and leases.
pub(crate) fn run_findings(unfinished: &[RunStanding], leases: &[LeaseStanding]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = unfinished
        .iter()
        .map(|run| {
            let subject = format!("run {}", run.run);
            match run.outcome {
                None if run.working => Finding::ok(subject, format!("at work in `{}`", run.environment)),
                None => Finding::fail(
                    subject,
                    format!("stopped before its end in `{}`", run.environment),
                    format!("pleach resume {}", run.run),
                ),
                Some(_) => Finding::warn(
                    subject,
                    format!("waits for a person in `{}`", run.environment),
                    format!("pleach report {}", run.run),
                ),
            }
        })
        .collect();
    for lease in leases {
        let subject = format!("lease of {} in {}", lease.target, lease.environment);
        findings.push(if lease.alive {
            Finding::ok(subject, format!("held by {}", lease.holder))
        } else {
            Finding::warn(
                subject,
                format!("{} is gone; the next run takes it over", lease.holder),
                format!("pleach resume {}", lease.run),
            )
        });
    }
    if findings.is_empty() {
        findings.push(Finding::ok("runs", "none is unfinished, no lease is held"));
    }
    findings
}

/// Whether the clock goes on from where it was.
pub(crate) fn clock_findings(now: Timestamp, newest_run: Option<Timestamp>) -> Vec<Finding> {
    vec![match newest_run {
        Some(run) if run > now => Finding::warn(
            "clock",
            format!("{now:.0} is before the newest run, which began at {run:.0}"),
            "timedatectl status; sudo timedatectl set-ntp true",
        ),
        _ => Finding::ok("clock", format!("{now:.0}")),
    }]
}

/// Whether each worktree can be worked in.
pub(crate) fn worktree_findings(workspace: &Workspace) -> Vec<Finding> {
    let worktrees = match worktree::list(&workspace.repository) {
        Ok(worktrees) => worktrees,
        Err(error) => return vec![Finding::fail("worktrees", error.to_string(), "git worktree list")],
    };
    let mut findings: Vec<Finding> = worktrees
        .iter()
        .filter_map(|found| {
            let subject = format!("worktree {}", found.name);
            match &found.state {
                State::Ok => None,
                State::Missing if found.locked.is_some() => Some(Finding::ok(subject, "missing, and locked")),
                State::Missing => Some(Finding::warn(
                    subject,
                    format!("`{}` is not there", found.path.display()),
                    "pleach worktree repair PATH (moved), or pleach worktree prune (gone)",
                )),
                State::Corrupt(why) => Some(Finding::fail(subject, why.clone(), "pleach worktree repair")),
                State::HalfMade => {
                    Some(Finding::warn(subject, "half-made by another program", "pleach worktree prune"))
                }
            }
        })
        .collect();
    let good = worktrees.iter().filter(|found| found.state == State::Ok).count();
    findings.push(Finding::ok("worktrees", format!("{good} can be worked in")));
    findings
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_place_that_cannot_be_written_is_a_failure_and_a_new_one_is_made_below_what_is_there() {
        let place = tempfile::tempdir().expect("a directory");
        let found = place_findings("state", &place.path().join("a/b"));
        assert_ne!(found[0].level, Level::Fail, "{found:?}");
        assert_eq!(std::fs::read_dir(place.path()).expect("readable").count(), 0, "nothing stays behind");
        let under_a_file = place_findings("state", Path::new("/proc/self/nothing"));
        assert_eq!(under_a_file[0].level, Level::Fail, "{under_a_file:?}");
    }

    #[test]
    fn a_clock_that_went_back_is_told() {
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(9).expect("in range"));
        assert_eq!(clock_findings(early, Some(late))[0].level, Level::Warn);
        assert_eq!(clock_findings(late, Some(early))[0].level, Level::Ok);
    }
}
