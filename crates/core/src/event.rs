//! What the engine tells while it works.
//!
//! Entries are the truth and are told once durable; lines are what commands print and are told as they come. One event
//! is one JSON line of `--json`. Readers must pass over kinds that they do not know.

use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::journal::Record;
use crate::word::{LaneId, RunId, SnapshotId, StepName, TargetName};

/// One thing told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// An entry of the journal, now durable.
    Entry {
        /// The run.
        run: RunId,
        /// The entry with its time. Not beside `run`: some entries have a `run` of their own.
        record: Record,
    },
    /// A line that a step printed.
    Line {
        /// The lane.
        lane: LaneId,
        /// The step.
        step: StepName,
        /// Without its end.
        line: String,
    },
    /// A line that a snapshot printed.
    SnapshotLine {
        /// Which.
        snapshot: SnapshotId,
        /// Without its end.
        line: String,
    },
    /// A lease could not be renewed; it is tried again until it expires.
    LeaseAtRisk {
        /// The target.
        target: TargetName,
        /// Why.
        failure: Failure,
    },
    /// The journal's last record was torn and has been cut.
    TornTail {
        /// Where, in bytes.
        offset: u64,
        /// How much.
        bytes: u64,
    },
}

/// Takes events. Must not block and must not fail.
pub trait Events: Send + Sync {
    /// One event, in order.
    fn emit(&self, event: Event);
}

/// Forgets every event.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvents;

impl Events for NoEvents {
    fn emit(&self, _: Event) {}
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use std::sync::Arc;

    use super::*;
    use crate::journal::{Entry, FORMAT};
    use crate::period::Period;
    use crate::plan::{Consent, OnFailure, Operation, Plan, Policy, approve};

    #[test]
    fn the_event_of_an_entry_that_names_its_run_reads_back() {
        let policy = Policy {
            on_failure: OnFailure::Hold,
            limits: Default::default(),
            batch: Vec::new(),
            failure_budget: None,
            pause: Period::ZERO,
            lease: Period::seconds(60),
        };
        let plan = Plan {
            format: crate::plan::FORMAT,
            project: "odoobo".into(),
            environment: "local".parse().expect("a name"),
            operation: Operation::Deploy,
            made: Timestamp::UNIX_EPOCH,
            policy,
            services: Vec::new(),
            targets: Vec::new(),
            snapshots: Vec::new(),
            stages: Vec::new(),
        };
        let (by, how, at) = ("ada".to_owned(), "--yes".to_owned(), Timestamp::UNIX_EPOCH);
        let consent = Consent { plan: plan.id(), by, at, how, answers: Default::default() };
        let plan = Arc::new(approve(plan, consent).expect("the same plan"));
        let run: RunId = "20261121-072804-ab12cd34ef56".parse().expect("a name");
        let entry = Entry::RunStarted { format: FORMAT, run: run.clone(), plan };
        let event = Event::Entry { run, record: Record { at: Timestamp::UNIX_EPOCH, entry } };
        let text = serde_json::to_string(&event).expect("written");
        assert_eq!(serde_json::from_str::<Event>(&text).expect("read"), event);
    }
}
