//! `route start` and `route stop`.

use std::fs::TryLockError;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pleach_core::error::{Failure, Kind};
use rustix::process::Signal;

use super::record::{RouteRequest, RouteStop, RouterRecord};
use crate::daemon::{cannot_lock, launch, lock_file};
use crate::directory::ServiceLayout;

const LOOK_AGAIN: Duration = Duration::from_millis(10);
const OTHER_STARTER: Duration = Duration::from_secs(10);

/// Starts a router unless one has the port; gives the record of the one that has.
pub(super) fn start(request: &RouteRequest) -> Result<RouterRecord, Failure> {
    let layout = ServiceLayout::new(&request.directory);
    let begun = Instant::now();
    loop {
        let lock = lock_file(&layout.router_lock(request.port))?;
        match lock.try_lock() {
            Ok(()) => {
                let address = format!("{}:{}", request.host, request.port);
                return launch(["route", "run"], &[request.service.as_str(), &address], request, lock);
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(cannot_lock(&layout.router_lock(request.port), &error)),
        }
        let record = RouterRecord::load(&layout.router(request.port)).filter(|record| record.router.is_alive());
        match record {
            Some(record) if record.host == request.host => return Ok(record),
            Some(record) => {
                return Err(Failure::new(Kind::Conflict, format!("port {} has a router already", request.port))
                    .because(format!("it listens on `{}`, not on `{}`", record.host, request.host))
                    .next("stop the service with `pleach stop`, then deploy again"));
            }
            None if begun.elapsed() > OTHER_STARTER => {
                return Err(Failure::new(Kind::Conflict, format!("port {} is being given a router", request.port))
                    .next(format!("look with `fuser '{}'`", layout.router_lock(request.port).display())));
            }
            None => sleep(LOOK_AGAIN),
        }
    }
}

/// Ends the router of a port; `false` if there was none.
pub(super) fn stop(request: &RouteStop) -> Result<bool, Failure> {
    let layout = ServiceLayout::new(&request.directory);
    let path = layout.router(request.port);
    if !layout.run().is_dir() {
        return Ok(false);
    }
    let lock = lock_file(&layout.router_lock(request.port))?;
    let begun = Instant::now();
    let (mut asked, mut was_running) = (false, false);
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(was_running),
            Err(TryLockError::WouldBlock) => was_running = true,
            Err(TryLockError::Error(error)) => return Err(cannot_lock(&layout.router_lock(request.port), &error)),
        }
        if let Some(record) = RouterRecord::load(&path).filter(|record| record.router.is_alive()) {
            if !asked {
                asked = record.router.signal(Signal::TERM);
            }
            if begun.elapsed() > request.drain.0 {
                record.router.signal(Signal::KILL);
            }
        }
        if begun.elapsed() > request.drain.0 + OTHER_STARTER {
            return Err(Failure::new(Kind::Conflict, format!("the router of port {} does not end", request.port))
                .next(format!("look with `fuser '{}'`", layout.router_lock(request.port).display())));
        }
        sleep(LOOK_AGAIN);
    }
}
