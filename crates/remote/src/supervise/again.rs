//! `supervise again`: the process of an instance ends, and its supervisor starts it again with all that it was given.

use std::thread::sleep;
use std::time::{Duration, Instant};

use pleach_core::error::{Failure, Kind, quote_path};

use super::container;
use super::record::{Activity, InstanceRecord};
use super::request::{AgainRequest, StartedAgain};
use super::stop::end_group;
use crate::directory::ServiceLayout;

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What a supervisor may take until the process is there again; it waits longer before each next attempt.
const PATIENCE: Duration = Duration::from_secs(20);

/// Without a supervisor there is nobody to start it again: then nothing is ended.
pub(super) fn again(request: &AgainRequest) -> Result<StartedAgain, Failure> {
    let layout = ServiceLayout::new(&request.directory);
    let path = layout.instance(&request.release);
    if let Some(record) = InstanceRecord::load(&path).filter(|record| record.container.is_some()) {
        if record.activity != Activity::Stopped {
            container::again(&layout, record, request.stop_grace.0)?;
        }
        return Ok(StartedAgain { process: None });
    }
    let supervised = || InstanceRecord::load(&path).and_then(InstanceRecord::supervised).map(|(record, _)| record);
    let Some(before) = supervised().filter(|record| matches!(record.activity, Activity::Running | Activity::Waiting))
    else {
        return Ok(StartedAgain { process: None });
    };
    if let Some(group) = &before.group {
        end_group(group, request.stop_grace.0);
    }
    let begun = Instant::now();
    loop {
        let Some(record) = supervised() else { return Ok(StartedAgain { process: None }) };
        let leader = record.group.filter(|group| Some(group) != before.group.as_ref() && group.leader.is_alive());
        if let Some(group) = leader {
            return Ok(StartedAgain { process: Some(group.leader.pid) });
        }
        if begun.elapsed() > PATIENCE {
            return Err(Failure::new(Kind::Rejected, format!("release `{}` was not started again", request.release))
                .because(record.last_end.unwrap_or_else(|| "its supervisor did not do so in time".to_owned()))
                .next(format!("look with `tail {}`", quote_path(&path.with_extension("log")))));
        }
        sleep(LOOK_AGAIN);
    }
}
