//! Journals whose calls go wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::FaultPlan;
use crate::error::{Failure, Kind};
use crate::journal::Record;
use crate::port::{Journal, Replay, RunEntry, Runs};
use crate::word::{PlanId, RunId};

/// Keeps a journal, except where it is planned otherwise. After a failed append nothing can be appended any more.
pub struct FaultyJournal {
    inner: Arc<dyn Journal>,
    plan: Arc<FaultPlan>,
    poisoned: AtomicBool,
}

impl FaultyJournal {
    /// Wraps a journal.
    pub fn new(inner: Arc<dyn Journal>, plan: Arc<FaultPlan>) -> Self {
        Self { inner, plan, poisoned: AtomicBool::new(false) }
    }
}

#[async_trait]
impl Journal for FaultyJournal {
    async fn append(&self, records: Vec<Record>) -> Result<(), Failure> {
        if self.poisoned.load(Ordering::SeqCst) {
            return Err(Failure::new(Kind::Rejected, "could not append: an earlier append failed"));
        }
        let once = AtomicBool::new(false);
        let append = || async {
            // A second time would be another record, not the same one again.
            if once.swap(true, Ordering::SeqCst) { Ok(()) } else { self.inner.append(records.clone()).await }
        };
        let result = self.plan.around("journal.append", append).await;
        self.poisoned.fetch_or(result.is_err(), Ordering::SeqCst);
        result
    }

    async fn replay(&self) -> Result<Replay, Failure> {
        self.plan.around("journal.replay", || self.inner.replay()).await
    }
}

/// Keeps the journals of all runs, except where it is planned otherwise.
pub struct FaultyRuns {
    /// What is called.
    pub inner: Arc<dyn Runs>,
    /// What goes wrong here and in the journals that it makes or opens.
    pub plan: Arc<FaultPlan>,
}

#[async_trait]
impl Runs for FaultyRuns {
    async fn create(&self, run: &RunId, plan: &PlanId) -> Result<Arc<dyn Journal>, Failure> {
        let journal = self.plan.around("runs.create", || self.inner.create(run, plan)).await?;
        Ok(Arc::new(FaultyJournal::new(journal, self.plan.clone())))
    }

    async fn open(&self, run: &RunId) -> Result<Arc<dyn Journal>, Failure> {
        let journal = self.plan.around("runs.open", || self.inner.open(run)).await?;
        Ok(Arc::new(FaultyJournal::new(journal, self.plan.clone())))
    }

    async fn list(&self) -> Result<Vec<RunEntry>, Failure> {
        self.plan.around("runs.list", || self.inner.list()).await
    }
}
