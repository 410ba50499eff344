//! The journal's model: what may be written in it.
//!
//! An entry that announces an effect (`…-started`, `…-paused`) is durable before the effect begins; the entry that tells
//! its end follows. The report, the status and the state of the engine are all folds of these entries, so there is one
//! truth and it survives a crash. [`FORMAT`] grows with every change that an older reader would misread.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::phase::{Applied, Evidence, Inspection};
use crate::plan::ApprovedPlan;
use crate::port::Lease;
use crate::snapshot::SnapshotRecord;
use crate::word::{LaneId, RunId, SnapshotId, StageName, StepName};

/// The version of the journal's entries. A journal of a newer version is refused, an older one is read.
pub const FORMAT: u32 = 1;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All lanes are done, and seen to be done.
    Succeeded,
    /// Something failed or was taken back on request; all that failed is as it was before.
    RolledBack,
    /// Something failed; all is kept as it is and waits for a person.
    Held,
    /// Something could not be taken back.
    Stuck,
}

/// How hard somebody asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cancel {
    /// Start nothing new, stop at a safe point, take back.
    Gently,
    /// Stop waiting for safe points: end what runs, and take back.
    AtOnce,
}

/// One event in a run, with the time of day for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When, by the wall clock. Order comes from the place in the journal.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Entry {
    /// The first of every journal.
    RunStarted {
        /// [`FORMAT`] of the writer.
        format: u32,
        /// The run.
        run: RunId,
        /// All that will be done, with the consent to it.
        plan: Arc<ApprovedPlan>,
    },
    /// A lease was taken; from here on the target refuses older tokens.
    LeaseTaken {
        /// The lease.
        lease: Lease,
    },
    /// A new process goes on with the run: what was under way is now unknown.
    Resumed,
    /// A snapshot is being captured.
    CaptureStarted {
        /// Which.
        snapshot: SnapshotId,
    },
    /// It was captured by an earlier process and is being proven again.
    ProofStarted {
        /// Which.
        snapshot: SnapshotId,
    },
    /// It was captured and left this behind.
    Captured {
        /// Which.
        snapshot: SnapshotId,
        /// What restores it.
        record: SnapshotRecord,
    },
    /// It was read back and can be restored.
    Proven {
        /// Which.
        snapshot: SnapshotId,
        /// What was read back.
        evidence: Evidence,
    },
    /// It could not be captured or proven.
    SnapshotFailed {
        /// Which.
        snapshot: SnapshotId,
        /// Why.
        failure: Failure,
    },
    /// A step is being applied.
    StepStarted {
        /// The lane.
        lane: LaneId,
        /// The step.
        step: StepName,
        /// 1 for the first.
        attempt: u32,
        /// How long it waits before it begins, in milliseconds: the backoff of a retry.
        #[serde(default, skip_serializing_if = "is_zero")]
        delay_ms: u64,
    },
    /// It was not begun after all: before its wait was over the run turned back, or was held.
    StepWithdrawn {
        /// The lane.
        lane: LaneId,
        /// The step.
        step: StepName,
    },
    /// It was applied.
    StepFinished {
        /// The lane.
        lane: LaneId,
        /// The step.
        step: StepName,
        /// What it did.
        #[serde(flatten)]
        applied: Applied,
    },
    /// It was not applied.
    StepFailed {
        /// The lane.
        lane: LaneId,
        /// The step.
        step: StepName,
        /// Why.
        failure: Failure,
    },
    /// It is not known whether it was applied.
    StepUnknown {
        /// The lane.
        lane: LaneId,
        /// The step.
        step: StepName,
        /// Why not.
        failure: Failure,
    },
    /// A step of unknown outcome is being looked at.
    InspectStarted {
        /// The lane.
        lane: LaneId,
        /// The step.
        step: StepName,
        /// How long it waits before it looks, in milliseconds.
        #[serde(default, skip_serializing_if = "is_zero")]
        delay_ms: u64,
    },
    /// It was looked at.
    Inspected {
        /// The lane.
        lane: LaneId,
        /// The step.
        step: StepName,
        /// What was seen.
        #[serde(flatten)]
        inspection: Inspection,
    },
    /// It could not be looked at.
    InspectFailed {
        /// The lane.
        lane: LaneId,
        /// The step.
        step: StepName,
        /// Why.
        failure: Failure,
    },
    /// A step is being taken back.
    UndoStarted {
        /// The lane.
        lane: LaneId,
        /// The step.
        step: StepName,
        /// 1 for the first.
        attempt: u32,
        /// How long it waits before it begins, in milliseconds.
        #[serde(default, skip_serializing_if = "is_zero")]
        delay_ms: u64,
    },
    /// It was taken back.
    UndoFinished {
        /// The lane.
        lane: LaneId,
        /// The step.
        step: StepName,
        /// What was read back.
        evidence: Evidence,
    },
    /// It was not taken back.
    UndoFailed {
        /// The lane.
        lane: LaneId,
        /// The step.
        step: StepName,
        /// Why.
        failure: Failure,
    },
    /// The next batch waits.
    BatchPaused {
        /// The stage.
        stage: StageName,
        /// Which of its batches, from 0.
        batch: u32,
        /// How long, in milliseconds.
        pause_ms: u64,
    },
    /// Its lanes may start.
    BatchReleased {
        /// The stage.
        stage: StageName,
        /// Which of its batches, from 0.
        batch: u32,
    },
    /// Somebody asked to stop.
    Cancelled {
        /// How hard.
        how: Cancel,
        /// In words: "SIGINT", "by `ada`".
        by: String,
    },
    /// Somebody asked to take back what was done.
    RollbackRequested {
        /// The lanes; all if empty.
        #[serde(default)]
        lanes: Vec<LaneId>,
        /// Who asked.
        by: String,
    },
    /// A snapshot is given up.
    DiscardStarted {
        /// Which.
        snapshot: SnapshotId,
    },
    /// It is given up; a failure to do so costs space, nothing else.
    Discarded {
        /// Which.
        snapshot: SnapshotId,
        /// Why it could not be, if so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
    /// The last, unless the run is resumed or rolled back later.
    RunFinished {
        /// How it ended.
        outcome: Outcome,
    },
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
