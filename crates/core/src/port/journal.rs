//! Where the truth of a run is kept.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::error::Failure;
use crate::journal::{Outcome, Record};
use crate::word::{EnvironmentName, PlanId, RunId};

/// What was cut from a journal's end because its last write was interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Where the cut was made, in bytes from the start.
    pub offset: u64,
    /// How many bytes were cut; they are kept beside the journal.
    pub bytes: u64,
}

/// A journal as it was read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// All records, in order.
    pub records: Vec<Record>,
    /// Set if the end was torn.
    pub torn: Option<TornTail>,
}

/// The journal of one run.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends in order; durable when it returns. After a failure nothing can be appended any more.
    async fn append(&self, records: Vec<Record>) -> Result<(), Failure>;

    /// Reads all records. A torn last one is cut and reported; damage before it is a failure that names the offset.
    async fn replay(&self) -> Result<Replay, Failure>;
}

/// One run in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEntry {
    /// Which run.
    pub run: RunId,
    /// Of which plan.
    pub plan: PlanId,
    /// Where.
    pub environment: EnvironmentName,
    /// When it started.
    pub started: Timestamp,
    /// How it ended; `None` while it has not.
    pub outcome: Option<Outcome>,
}

/// The journals of all runs of a project.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Runs: Send + Sync {
    /// Begins a journal. A plan is used once: a second run of the same plan is refused with
    /// [`Kind::Conflict`](crate::error::Kind::Conflict).
    async fn create(&self, run: &RunId, plan: &PlanId) -> Result<Arc<dyn Journal>, Failure>;

    /// Opens the journal of an earlier run to go on with it.
    async fn open(&self, run: &RunId) -> Result<Arc<dyn Journal>, Failure>;

    /// All runs, the newest first.
    async fn list(&self) -> Result<Vec<RunEntry>, Failure>;
}
