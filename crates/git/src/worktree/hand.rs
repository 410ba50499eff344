//! One hand at a time on the worktrees of a repository, across processes and threads.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::Error;
use crate::repository::Repository;
use crate::worktree::WorktreeError;

/// The lock is held until this is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct Guard {
    _file: File,
}

/// Takes the lock, waiting for whoever holds it. Holders keep it for milliseconds.
pub(crate) fn acquire(repository: &Repository, interrupt: &AtomicBool) -> Result<Guard, WorktreeError> {
    let path = repository.ensure_state_dir()?.join("worktrees.lock");
    let file = open(&path)?;
    let mut pause = Duration::from_millis(1);
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Guard { _file: file }),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(error) => return Err(Error::file("lock", &path)(error).into()),
        }
        if interrupt.load(Ordering::Relaxed) {
            return Err(WorktreeError::Busy);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

pub(crate) fn open(path: &Path) -> Result<File, Error> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(Error::file("open", path))
}

/// Takes a lock that nobody living holds, at once or not at all.
pub(crate) fn is_free(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}
