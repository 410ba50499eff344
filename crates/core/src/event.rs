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
        /// The entry with its time.
        #[serde(flatten)]
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
