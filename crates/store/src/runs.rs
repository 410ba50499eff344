//! All runs of a project.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use pleach_core::error::{Explain, Failure, Kind};
use pleach_core::journal::Outcome;
use pleach_core::port::{Journal, RunEntry, Runs};
use pleach_core::word::{EnvironmentName, PlanId, RunId};
use serde::Deserialize;

use crate::journal::{FileJournal, JournalError, Journaled, Summary, summary_lines};
use crate::{FileError, file};

/// Why a run could not be begun or found.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The journal is not as it should be.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A plan is used once.
    #[error("plan `{}` was used by run `{run}`", .plan.short())]
    Used {
        /// The plan.
        plan: PlanId,
        /// The run that used it.
        run: String,
    },
    /// No run of that name.
    #[error("there is no run `{0}`")]
    Unknown(RunId),
}

impl Explain for RunsError {
    fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Used { .. } => Kind::Conflict,
            Self::Unknown(_) => Kind::Rejected,
        }
    }
    fn state(&self) -> Option<String> {
        match self {
            Self::File(error) => error.state(),
            Self::Journal(error) => error.state(),
            Self::Used { .. } | Self::Unknown(_) => Some("nothing was touched".into()),
        }
    }
    fn next(&self) -> Option<String> {
        match self {
            Self::File(error) => error.next(),
            Self::Journal(error) => error.next(),
            Self::Used { .. } => Some("make a new plan with `pleach plan`".into()),
            Self::Unknown(_) => Some("list them with `pleach runs`".into()),
        }
    }
}

/// The journals of all runs below one state directory.
#[derive(Clone, Debug)]
pub struct FileRuns {
    state: PathBuf,
}

impl FileRuns {
    /// Uses `state`, and makes it if it is not there.
    pub fn open(state: &Path) -> Result<Self, RunsError> {
        file::ensure_directory(&state.join("runs"))?;
        file::ensure_directory(&state.join("plans-used"))?;
        Ok(Self { state: state.to_owned() })
    }

    /// Where all that belongs to a run lies.
    pub fn run_dir(&self, run: &RunId) -> PathBuf {
        self.state.join("runs").join(run.as_str())
    }

    /// The journal of a run.
    pub fn journal_path(&self, run: &RunId) -> PathBuf {
        self.run_dir(run).join("journal.jsonl")
    }

    /// Takes the plan for the run. A claim of a run that never began is void: it ended between the two.
    fn claim(&self, run: &RunId, plan: &PlanId) -> Result<(), RunsError> {
        let claim = self.state.join("plans-used").join(plan.as_str());
        if let Some(earlier) = file::read_if_there(&claim)? {
            let earlier = String::from_utf8_lossy(&earlier).trim().to_owned();
            let began = RunId::new(&earlier).is_ok_and(|earlier| self.summary(&earlier).is_ok_and(|s| s.is_some()));
            if began {
                return Err(RunsError::Used { plan: plan.clone(), run: earlier });
            }
        }
        Ok(file::write_whole(&claim, format!("{run}\n").as_bytes())?)
    }

    /// The run's line in a list; `None` if it never began.
    fn summary(&self, run: &RunId) -> Result<Option<RunEntry>, RunsError> {
        let path = self.journal_path(run);
        if !path.exists() {
            return Ok(None);
        }
        let Some(Summary { first, last }) = summary_lines(&path)? else { return Ok(None) };
        let Ok(first) = serde_json::from_slice::<Journaled<First>>(&first) else { return Ok(None) };
        let last = serde_json::from_slice::<Journaled<Last>>(&last).ok();
        let outcome = last.filter(|last| last.record.entry == "run-finished").and_then(|last| last.record.outcome);
        let First { at, plan } = first.record;
        Ok(Some(RunEntry {
            run: run.clone(),
            plan: plan.consent.plan,
            environment: plan.plan.environment,
            started: at,
            outcome,
        }))
    }

    /// All runs, the newest first. Runs whose journal cannot be read are left out: opening them tells why.
    pub fn entries(&self) -> Result<Vec<RunEntry>, RunsError> {
        let folder = self.state.join("runs");
        let mut entries = Vec::new();
        for found in std::fs::read_dir(&folder).map_err(FileError::of("list", &folder))?.flatten() {
            let Ok(run) = RunId::new(found.file_name().to_string_lossy()) else { continue };
            entries.extend(self.summary(&run).ok().flatten());
        }
        entries.sort_by(|a, b| (b.started, &b.run).cmp(&(a.started, &a.run)));
        Ok(entries)
    }
}

#[async_trait]
impl Runs for FileRuns {
    async fn create(&self, run: &RunId, plan: &PlanId) -> Result<Arc<dyn Journal>, Failure> {
        self.claim(run, plan)?;
        file::ensure_directory(&self.run_dir(run))?;
        file::flush_directory(&self.state.join("runs"))?;
        Ok(Arc::new(FileJournal::create(&self.journal_path(run))?))
    }

    async fn open(&self, run: &RunId) -> Result<Arc<dyn Journal>, Failure> {
        let path = self.journal_path(run);
        if !path.exists() {
            return Err(RunsError::Unknown(run.clone()).into());
        }
        Ok(Arc::new(FileJournal::open(&path)?))
    }

    async fn list(&self) -> Result<Vec<RunEntry>, Failure> {
        Ok(self.entries()?)
    }
}

/// What a list needs of the first record; the rest of a plan is passed over.
#[derive(Deserialize)]
struct First {
    at: Timestamp,
    plan: FirstPlan,
}

#[derive(Deserialize)]
struct FirstPlan {
    plan: PlanPart,
    consent: ConsentPart,
}

#[derive(Deserialize)]
struct PlanPart {
    environment: EnvironmentName,
}

#[derive(Deserialize)]
struct ConsentPart {
    plan: PlanId,
}

#[derive(Deserialize)]
struct Last {
    entry: String,
    outcome: Option<Outcome>,
}
