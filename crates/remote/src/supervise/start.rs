//! `supervise start`: an instance runs, or why not.

use std::fs::TryLockError;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pleach_core::error::{Failure, Kind};

use super::record::InstanceRecord;
use super::request::StartRequest;
use crate::daemon::{cannot_lock, launch, lock_file};
use crate::directory::ServiceLayout;

/// How long another starter may take until its record is there.
const OTHER_STARTER: Duration = Duration::from_secs(10);

/// Starts a supervisor unless one runs; gives the record of the one that runs.
pub(super) fn start(request: &StartRequest) -> Result<InstanceRecord, Failure> {
    let layout = ServiceLayout::new(&request.directory);
    let begun = Instant::now();
    loop {
        let lock = lock_file(&layout.instance_lock(&request.release))?;
        match lock.try_lock() {
            Ok(()) => {
                let labels = [request.service.as_str(), request.release.as_str()];
                return launch(["supervise", "run"], &labels, request, lock);
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(cannot_lock(&layout.instance_lock(&request.release), &error));
            }
        }
        // Somebody has it: a supervisor, whose record names it, or a starter or stopper, which will be done soon.
        let record = InstanceRecord::load(&layout.instance(&request.release));
        if let Some(record) = record.filter(|record| record.supervisor.is_alive()) {
            return Ok(record);
        }
        if begun.elapsed() > OTHER_STARTER {
            let lock = layout.instance_lock(&request.release);
            return Err(Failure::new(
                Kind::Conflict,
                format!("release `{}` is being started or stopped", request.release),
            )
            .because(format!("`{}` is locked and no record names by whom", lock.display()))
            .next(format!("look with `fuser '{}'`", lock.display())));
        }
        sleep(Duration::from_millis(20));
    }
}
