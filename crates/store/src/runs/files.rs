//! One directory a run, and one claim a plan.
//!
//! | the claim of a plan names a run that | the plan |
//! |---|---|
//! | has a first record | is used |
//! | has none yet, and its journal is held by a living process | is being used |
//! | has none, and nobody holds its journal | is free: the process ended between claiming and beginning |
//!
//! Claims are made and judged under one lock, and the journal is made and held before it is given back.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Journal, RunEntry, Runs};
use pleach_core::word::{PlanId, RunId};

use super::error::RunsError;
use crate::journal::{Begin, FileJournal, Summary, load_summary};
use crate::{FileError, file};

/// The journals of all runs below one state directory.
#[derive(Clone, Debug)]
pub struct FileRuns {
    state: PathBuf,
}

impl FileRuns {
    /// Uses `state`, and makes it if it is not there.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn open(state: &Path) -> Result<Self, RunsError> {
        let runs = Self { state: state.to_owned() };
        file::ensure_directory(&runs.folder())?;
        file::ensure_directory(&runs.claims())?;
        Ok(runs)
    }

    /// Where all that belongs to a run lies.
    pub fn run_dir(&self, run: &RunId) -> PathBuf {
        self.folder().join(run.as_str())
    }

    /// The journal of a run.
    pub fn journal_path(&self, run: &RunId) -> PathBuf {
        self.run_dir(run).join("journal.jsonl")
    }

    /// All runs, the newest first; those that never began are left out.
    ///
    /// # Errors
    /// The begin of a journal cannot be read: without it nobody knows whether that run is at its end, so none is told
    /// rather than too few.
    pub fn entries(&self) -> Result<Vec<RunEntry>, RunsError> {
        let folder = self.folder();
        let mut entries = Vec::new();
        for found in std::fs::read_dir(&folder).map_err(FileError::of("list", &folder))? {
            let name = found.map_err(FileError::of("list", &folder))?.file_name();
            let Ok(run) = RunId::new(name.to_string_lossy()) else { continue };
            entries.extend(self.entry(run)?);
        }
        // By number: a clock that was set back would put the newest behind those before it.
        entries
            .sort_by(|(a_number, a), (b_number, b)| (b_number, b.started, &b.run).cmp(&(a_number, a.started, &a.run)));
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    fn entry(&self, run: RunId) -> Result<Option<(u64, RunEntry)>, RunsError> {
        let Some(Summary { begin, outcome }) = load_summary(&self.journal_path(&run))? else { return Ok(None) };
        let number = read_number(&self.run_dir(&run).join("number"))?;
        let Begin { started, plan, environment } = begin;
        Ok(Some((number, RunEntry { run, plan, environment, started, outcome })))
    }

    /// Gives the next run its number. The lock of the claims is held.
    fn count(&self, run: &RunId) -> Result<(), RunsError> {
        let last = self.claims().join(".last-number");
        let number = read_number(&last)? + 1;
        file::write_whole(&last, format!("{number}\n").as_bytes())?;
        Ok(file::write_whole(&self.run_dir(run).join("number"), format!("{number}\n").as_bytes())?)
    }

    fn folder(&self) -> PathBuf {
        self.state.join("runs")
    }

    fn claims(&self) -> PathBuf {
        self.state.join("plans-used")
    }

    /// Claims the plan and makes the journal.
    fn begin(&self, run: &RunId, plan: &PlanId) -> Result<FileJournal, RunsError> {
        let _held = file::lock(&self.claims().join(".lock"))?;
        let claim = self.claims().join(plan.as_str());
        if let Some(earlier) = file::read_if_there(&claim)? {
            let earlier = String::from_utf8_lossy(&earlier).trim().to_owned();
            // What names no run is in doubt, and what is in doubt is used.
            let is_void = RunId::new(&earlier).is_ok_and(|earlier| self.is_void(&earlier));
            if !is_void {
                let began = RunId::new(&earlier).ok().and_then(|run| load_summary(&self.journal_path(&run)).ok()?);
                let environment = began.map(|summary| summary.begin.environment);
                return Err(RunsError::Used { plan: plan.clone(), run: earlier, environment });
            }
        }
        let path = self.journal_path(run);
        // Begun again after it ended before its first record.
        let again = path.exists();
        if again && !self.is_void(run) {
            return Err(RunsError::Taken(run.clone()));
        }
        file::write_whole(&claim, format!("{run}\n").as_bytes())?;
        file::ensure_directory(&self.run_dir(run))?;
        self.count(run)?;
        Ok(if again { FileJournal::open(&path)? } else { FileJournal::create(&path)? })
    }

    /// Whether a run never began and never will.
    fn is_void(&self, run: &RunId) -> bool {
        let path = self.journal_path(run);
        let is_free = || match File::open(&path) {
            Ok(file) => match file.try_lock_shared() {
                Ok(()) => file.unlock().is_ok(),
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
            },
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        // The lock first: whoever holds it may be writing the first record.
        is_free() && matches!(load_summary(&path), Ok(None))
    }

    /// Opens the journal of a run that began.
    fn go_on(&self, run: &RunId) -> Result<FileJournal, RunsError> {
        let path = self.journal_path(run);
        if !path.exists() {
            return Err(RunsError::Unknown { run: run.clone(), folder: self.folder() });
        }
        let journal = FileJournal::open(&path)?;
        // Held by now, so nobody writes a first record behind this question.
        let began = load_summary(&path)?.is_some();
        if began { Ok(journal) } else { Err(RunsError::NeverBegan(run.clone())) }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, RunsError> + Send + 'static,
    ) -> Result<T, Failure> {
        let this = self.clone();
        let joined = tokio::task::spawn_blocking(move || work(&this)).await;
        let broken = |error: tokio::task::JoinError| {
            Failure::new(Kind::Internal, "could not reach the journals").because(error.to_string())
        };
        Ok(joined.map_err(broken)??)
    }
}

/// The how manieth run it is; 0 for one that was begun before runs were counted.
fn read_number(path: &Path) -> Result<u64, RunsError> {
    let text = file::read_if_there(path)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).trim().parse().unwrap_or(0))
}

#[async_trait]
impl Runs for FileRuns {
    async fn create(&self, run: &RunId, plan: &PlanId) -> Result<Arc<dyn Journal>, Failure> {
        let (run, plan) = (run.clone(), plan.clone());
        Ok(Arc::new(self.blocking(move |this| this.begin(&run, &plan)).await?))
    }

    async fn open(&self, run: &RunId) -> Result<Arc<dyn Journal>, Failure> {
        let run = run.clone();
        Ok(Arc::new(self.blocking(move |this| this.go_on(&run)).await?))
    }

    async fn list(&self) -> Result<Vec<RunEntry>, Failure> {
        self.blocking(Self::entries).await
    }
}
