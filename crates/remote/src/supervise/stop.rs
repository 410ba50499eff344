//! `supervise stop`: nothing of an instance runs any more.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pleach_core::error::{Failure, Kind, quote_path};
use pleach_core::period::Period;
use rustix::process::Signal;

use super::container;
use super::record::{Activity, InstanceRecord};
use super::request::{StopRequest, Stopped};
use crate::daemon::{ask_to_end, cannot_lock, lock_file};
use crate::directory::ServiceLayout;
use crate::process::Group;

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What a supervisor may take beyond the grace of its process.
const SUPERVISOR_GRACE: Duration = Duration::from_secs(5);

/// Ends supervisor, process and all that the process started.
pub(super) fn stop(request: &StopRequest) -> Result<Stopped, Failure> {
    let layout = ServiceLayout::new(&request.directory);
    let mut stopped = Stopped { was_running: false, drained: true, killed: false };
    if !layout.run().is_dir() {
        return Ok(stopped);
    }
    // Held until all has ended: a router takes it before each connection, so none can begin in between.
    let in_use = lock_file(&layout.instance_use(&request.release))?;
    stopped.drained = lock_within(&in_use, &layout.instance_use(&request.release), request.drain.0)?;
    let lock = lock_file(&layout.instance_lock(&request.release))?;
    let path = layout.instance(&request.release);
    let begun = Instant::now();
    let limit = request.stop_grace.0 + SUPERVISOR_GRACE;
    let mut asked = false;
    // A supervisor holds the lock for as long as it lives. One that has just been started has no record yet.
    while !try_lock(&lock, &layout.instance_lock(&request.release))? {
        stopped.was_running = true;
        let record = InstanceRecord::load(&path);
        if let Some((_, supervisor)) = record.and_then(InstanceRecord::supervised) {
            if !asked {
                asked = ask_to_end(&layout.instance_lock(&request.release), &supervisor, Period(limit));
            }
            if begun.elapsed() > limit {
                stopped.killed |= supervisor.signal(Signal::KILL);
            }
        }
        if begun.elapsed() > limit + SUPERVISOR_GRACE {
            return Err(Failure::new(Kind::Conflict, format!("release `{}` could not be stopped", request.release))
                .because(format!("`{}` is locked by something that does not end", lock_name(&layout, request)))
                .next(format!("look with `fuser {}`", quote_path(&layout.instance_lock(&request.release)))));
        }
        sleep(LOOK_AGAIN);
    }
    // From here on no supervisor lives, and none can begin. What one left behind is named by its record.
    let Some(mut record) = InstanceRecord::load(&path) else { return Ok(stopped) };
    if let Some(group) = record.group.take() {
        let ended = end_group(&group, request.stop_grace.0);
        stopped.was_running |= ended != Ended::WasGone;
        record.killed = ended == Ended::Killed;
        if !group.members().is_empty() {
            return Err(Failure::new(Kind::Conflict, format!("processes of release `{}` do not end", request.release))
                .next(format!("look with `ps -o pid,stat,args -g {}`", group.leader.pid)));
        }
    }
    if let Some(container) = record.container.clone() {
        let ended = container::stop(&mut record, &container, request.stop_grace.0)?;
        stopped.was_running |= ended.was_running;
    }
    stopped.killed |= stopped.was_running && record.killed;
    if record.activity != Activity::Stopped {
        record.activity = Activity::Stopped;
        record.save(&path).map_err(|error| {
            Failure::new(Kind::Rejected, format!("could not write `{}`", path.display()))
                .because(error.to_string())
                .state("nothing of the release runs")
                .next(format!("make room, or make it writable: `df -h {}`", quote_path(&layout.run())))
        })?;
    }
    Ok(stopped)
}

fn lock_name(layout: &ServiceLayout, request: &StopRequest) -> String {
    layout.instance_lock(&request.release).display().to_string()
}

fn try_lock(file: &File, path: &Path) -> Result<bool, Failure> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(cannot_lock(path, &error)),
    }
}

fn lock_within(file: &File, path: &Path, limit: Duration) -> Result<bool, Failure> {
    let begun = Instant::now();
    loop {
        if try_lock(file, path)? {
            return Ok(true);
        }
        if begun.elapsed() >= limit {
            return Ok(false);
        }
        sleep(LOOK_AGAIN);
    }
}

/// How a group came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    WasGone,
    Asked,
    Killed,
}

/// Asks all members to end, and kills those that have not after `grace`.
pub(super) fn end_group(group: &Group, grace: Duration) -> Ended {
    if !group.signal(Signal::TERM) {
        return Ended::WasGone;
    }
    let begun = Instant::now();
    while begun.elapsed() < grace {
        if group.members().is_empty() {
            return Ended::Asked;
        }
        sleep(LOOK_AGAIN);
    }
    if !group.signal(Signal::KILL) {
        return Ended::Asked;
    }
    let begun = Instant::now();
    while begun.elapsed() < SUPERVISOR_GRACE && !group.members().is_empty() {
        sleep(LOOK_AGAIN);
    }
    Ended::Killed
}
