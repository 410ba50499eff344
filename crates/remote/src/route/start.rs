//! `route start` and `route stop`.

use std::fs::TryLockError;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pleach_core::error::{Failure, Kind, quote_path};
use rustix::process::Signal;

use super::record::{RouteRequest, RouteStop, RouterRecord};
use crate::daemon::{ask_to_end, cannot_lock, launch, lock_file, see_to_end};
use crate::directory::ServiceLayout;

const LOOK_AGAIN: Duration = Duration::from_millis(10);
const OTHER_STARTER: Duration = Duration::from_secs(10);

/// Starts a router unless one has the port; gives the record of the one that has.
pub(super) fn start(request: &RouteRequest) -> Result<RouterRecord, Failure> {
    let layout = ServiceLayout::new(&request.directory);
    let begun = Instant::now();
    loop {
        let path = layout.router_lock(request.port);
        let lock = lock_file(&path)?;
        match lock.try_lock() {
            Ok(()) => {
                let address = format!("{}:{}", request.host, request.port);
                return launch(["route", "run"], &[request.service.as_str(), &address], request, lock);
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(cannot_lock(&path, &error)),
        }
        let record = RouterRecord::load(&layout.router(request.port)).filter(|record| record.router.is_alive());
        let leaving = record.as_ref().and_then(|record| see_to_end(&path, &record.router, begun.elapsed()));
        let limit = OTHER_STARTER + leaving.unwrap_or_default();
        match record.filter(|_| leaving.is_none()) {
            Some(record) if record.host == request.host => return Ok(record),
            Some(record) => {
                return Err(Failure::new(Kind::Conflict, format!("port {} has a router already", request.port))
                    .because(format!("it listens on `{}`, not on `{}`", record.host, request.host))
                    .next("stop the service with `pleach stop`, then deploy again"));
            }
            None if begun.elapsed() > limit => {
                let what = format!("port {} is being given a router, or is given up", request.port);
                return Err(Failure::new(Kind::Conflict, what)
                    .because(format!("`{}` is locked by something that does not end", path.display()))
                    .next(format!("look with `fuser {}`", quote_path(&path))));
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
                asked = ask_to_end(&layout.router_lock(request.port), &record.router, request.drain);
            }
            if begun.elapsed() > request.drain.0 {
                record.router.signal(Signal::KILL);
            }
        }
        if begun.elapsed() > request.drain.0 + OTHER_STARTER {
            return Err(Failure::new(Kind::Conflict, format!("the router of port {} does not end", request.port))
                .next(format!("look with `fuser {}`", quote_path(&layout.router_lock(request.port)))));
        }
        sleep(LOOK_AGAIN);
    }
}
