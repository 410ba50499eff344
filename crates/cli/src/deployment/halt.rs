//! A journal that stops for ever after so many records: how tests kill a run at every one of its boundaries.
//!
//! It stands between the engine and the real journal, so what is killed is the real thing: the records before the
//! boundary are durable, none behind it is, and whatever the engine had begun goes on in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use pleach_core::error::Failure;
use pleach_core::journal::Record;
use pleach_core::port::{Journal, Replay, RunEntry, Runs};
use pleach_core::word::{PlanId, RunId};

use crate::print::narrate;

/// Journals of which each process writes so many records and then no more.
pub(super) struct HaltingRuns {
    inner: Arc<dyn Runs>,
    left: Arc<AtomicUsize>,
}

impl HaltingRuns {
    pub(super) fn new(inner: Arc<dyn Runs>, records: usize) -> Self {
        Self { inner, left: Arc::new(AtomicUsize::new(records)) }
    }

    fn halting(&self, inner: Arc<dyn Journal>) -> Arc<dyn Journal> {
        Arc::new(HaltingJournal { inner, left: self.left.clone() })
    }
}

#[async_trait]
impl Runs for HaltingRuns {
    async fn create(&self, run: &RunId, plan: &PlanId) -> Result<Arc<dyn Journal>, Failure> {
        Ok(self.halting(self.inner.create(run, plan).await?))
    }

    async fn open(&self, run: &RunId) -> Result<Arc<dyn Journal>, Failure> {
        Ok(self.halting(self.inner.open(run).await?))
    }

    async fn list(&self) -> Result<Vec<RunEntry>, Failure> {
        self.inner.list().await
    }
}

struct HaltingJournal {
    inner: Arc<dyn Journal>,
    left: Arc<AtomicUsize>,
}

#[async_trait]
impl Journal for HaltingJournal {
    async fn append(&self, mut records: Vec<Record>) -> Result<(), Failure> {
        let left = self.left.load(Ordering::Relaxed);
        if records.len() <= left {
            self.left.store(left - records.len(), Ordering::Relaxed);
            return self.inner.append(records).await;
        }
        records.truncate(left);
        if !records.is_empty() {
            self.inner.append(records).await?;
        }
        narrate("halted");
        std::future::pending().await
    }

    async fn replay(&self) -> Result<Replay, Failure> {
        self.inner.replay().await
    }
}
