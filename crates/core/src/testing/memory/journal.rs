//! Journals in memory.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::error::{Failure, Kind};
use crate::journal::{Entry, Record};
use crate::port::{Journal, Replay, RunEntry, Runs};
use crate::word::{PlanId, RunId};

/// A run that writes more than this goes round in circles.
const MOST_RECORDS: usize = 200_000;

/// Is told of every record the moment it is durable.
pub trait Watcher: Send + Sync {
    /// One more record is durable.
    fn durable(&self, record: &Record);
    /// Nothing can be written any more.
    fn broken(&self);
}

/// What becomes of the appends of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// All are durable.
    #[default]
    Good,
    /// The process is killed once so many records are durable: the append that would write one more never returns.
    KilledAfter(usize),
    /// The disk is full once so many records are durable; nothing is written afterwards.
    BrokenAfter(usize),
    /// The write that reaches so many records is durable and reported as failed; nothing is written afterwards.
    BrokenUnnoticedAfter(usize),
}

#[derive(Default)]
struct Kept {
    records: Vec<Record>,
    fate: Fate,
    written: usize,
    poisoned: bool,
}

/// One run's journal. Durable as long as the test lives.
pub struct MemoryJournal {
    plan: PlanId,
    kept: Mutex<Kept>,
    killed: Arc<Notify>,
    watcher: Option<Arc<dyn Watcher>>,
}

impl MemoryJournal {
    /// An empty journal of a run of `plan`.
    pub fn new(plan: PlanId, watcher: Option<Arc<dyn Watcher>>) -> Self {
        Self { plan, kept: Mutex::default(), killed: Arc::default(), watcher }
    }

    /// What is durable.
    pub fn records(&self) -> Vec<Record> {
        self.kept.lock().unwrap().records.clone()
    }

    /// A new process begins, with this fate.
    pub fn begin_life(&self, fate: Fate) {
        let mut kept = self.kept.lock().unwrap();
        (kept.fate, kept.written, kept.poisoned) = (fate, 0, false);
    }

    /// Returns once the process is to be killed.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }
}

fn refuse() -> Failure {
    Failure::new(Kind::Rejected, "could not write the journal").because("no space left on device")
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, records: Vec<Record>) -> Result<(), Failure> {
        let mut killed = false;
        {
            let mut kept = self.kept.lock().unwrap();
            if kept.poisoned {
                return Err(refuse());
            }
            for record in records {
                killed = kept.fate == Fate::KilledAfter(kept.written);
                kept.poisoned = kept.fate == Fate::BrokenAfter(kept.written);
                if killed || kept.poisoned {
                    break;
                }
                if let Some(watcher) = &self.watcher {
                    watcher.durable(&record);
                }
                assert!(kept.records.len() < MOST_RECORDS, "the journal has no end");
                kept.records.push(record);
                kept.written += 1;
            }
            let unnoticed = matches!(kept.fate, Fate::BrokenUnnoticedAfter(count) if count <= kept.written);
            kept.poisoned |= unnoticed;
            if kept.poisoned {
                if let Some(watcher) = &self.watcher {
                    watcher.broken();
                }
                return Err(refuse());
            }
            // An append that ends exactly at the last durable record returns no more than one that goes beyond it.
            killed |= kept.fate == Fate::KilledAfter(kept.written);
        }
        if killed {
            self.killed.notify_one();
            return pending().await;
        }
        Ok(())
    }

    async fn replay(&self) -> Result<Replay, Failure> {
        Ok(Replay { records: self.records(), torn: None })
    }
}

/// The journals of all runs.
#[derive(Default)]
pub struct MemoryRuns {
    killed: Arc<Notify>,
    journals: Mutex<BTreeMap<RunId, Arc<MemoryJournal>>>,
    watcher: Option<Arc<dyn Watcher>>,
    fate: Mutex<Fate>,
}

impl MemoryRuns {
    /// No runs yet; `watcher` is told of the records of all.
    pub fn watched(watcher: Arc<dyn Watcher>) -> Self {
        Self { watcher: Some(watcher), ..Self::default() }
    }

    /// The journal of a run, if it was begun.
    pub fn journal(&self, run: &RunId) -> Option<Arc<MemoryJournal>> {
        self.journals.lock().unwrap().get(run).cloned()
    }

    /// A new process begins, with this fate for the journals that it opens or makes.
    pub fn begin_life(&self, fate: Fate) {
        *self.fate.lock().unwrap() = fate;
    }

    /// Returns once the process is to be killed.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }

    /// Adds a journal that was kept elsewhere.
    pub fn adopt(&self, run: RunId, plan: PlanId, records: Vec<Record>) {
        let killed = self.killed.clone();
        let journal = MemoryJournal { killed, ..MemoryJournal::new(plan, self.watcher.clone()) };
        journal.kept.lock().unwrap().records = records;
        self.journals.lock().unwrap().insert(run, Arc::new(journal));
    }
}

#[async_trait]
impl Runs for MemoryRuns {
    async fn create(&self, run: &RunId, plan: &PlanId) -> Result<Arc<dyn Journal>, Failure> {
        let mut journals = self.journals.lock().unwrap();
        if journals.contains_key(run) || journals.values().any(|journal| journal.plan == *plan) {
            return Err(Failure::new(Kind::Conflict, format!("plan `{}` was used before", plan.short()))
                .state("nothing was touched")
                .next("make a new plan: `pleach plan`"));
        }
        let killed = self.killed.clone();
        let journal = Arc::new(MemoryJournal { killed, ..MemoryJournal::new(plan.clone(), self.watcher.clone()) });
        journal.begin_life(*self.fate.lock().unwrap());
        journals.insert(run.clone(), journal.clone());
        Ok(journal)
    }

    async fn open(&self, run: &RunId) -> Result<Arc<dyn Journal>, Failure> {
        let Some(journal) = self.journal(run) else {
            return Err(Failure::new(Kind::Rejected, format!("there is no run `{run}`"))
                .state("nothing was touched")
                .next("see what runs with `pleach status`"));
        };
        journal.begin_life(*self.fate.lock().unwrap());
        Ok(journal)
    }

    async fn list(&self) -> Result<Vec<RunEntry>, Failure> {
        let journals = self.journals.lock().unwrap();
        let entries = journals.iter().rev().map(|(run, journal)| {
            let records = journal.records();
            let outcome = records.last().and_then(|record| match record.entry {
                Entry::RunFinished { outcome } => Some(outcome),
                _ => None,
            });
            let started = records.first().map_or(Timestamp::UNIX_EPOCH, |record| record.at);
            let environment = super::super::shape::environment();
            RunEntry { run: run.clone(), plan: journal.plan.clone(), environment, started, outcome }
        });
        Ok(entries.collect())
    }
}
