//! `supervise start`: an instance runs, or why not.

use std::fs::TryLockError;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pleach_core::error::{Failure, Kind, quote_path};

use super::record::InstanceRecord;
use super::request::StartRequest;
use crate::daemon::{cannot_lock, launch, lock_file, see_to_end};
use crate::directory::ServiceLayout;

/// How long another starter may take until its record is there.
const OTHER_STARTER: Duration = Duration::from_secs(10);

/// Starts a supervisor unless one runs; gives the record of the one that runs.
pub(super) fn start(request: &StartRequest) -> Result<InstanceRecord, Failure> {
    let layout = ServiceLayout::new(&request.directory);
    let begun = Instant::now();
    loop {
        let path = layout.instance_lock(&request.release);
        let lock = lock_file(&path)?;
        match lock.try_lock() {
            Ok(()) => {
                let labels = [request.service.as_str(), request.release.as_str()];
                return launch(["supervise", "run"], &labels, request, lock);
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(cannot_lock(&path, &error));
            }
        }
        // Somebody has it: a supervisor, whose record names it, or a starter or stopper, which will be done soon.
        let record = InstanceRecord::load(&layout.instance(&request.release));
        let mut limit = OTHER_STARTER;
        if let Some((record, supervisor)) = record.and_then(InstanceRecord::supervised) {
            match see_to_end(&path, &supervisor, begun.elapsed()) {
                Some(within) => limit += within,
                None => return Ok(record),
            }
        }
        if begun.elapsed() > limit {
            return Err(Failure::new(
                Kind::Conflict,
                format!("release `{}` is being started or stopped", request.release),
            )
            .because(format!("`{}` is locked by something that does not end", path.display()))
            .next(format!("look with `fuser {}`", quote_path(&path))));
        }
        sleep(Duration::from_millis(20));
    }
}
