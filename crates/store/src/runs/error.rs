//! Why a run could not be begun or found.

use std::path::PathBuf;

use pleach_core::error::{Explain, Kind, quote_path};
use pleach_core::word::{EnvironmentName, PlanId, RunId};

use crate::{FileError, JournalError};

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
        /// Where that run went, if it can be read.
        environment: Option<EnvironmentName>,
    },
    /// Another run has that name.
    #[error("run `{0}` is there already")]
    Taken(RunId),
    /// No run of that name.
    #[error("there is no run `{run}`")]
    Unknown {
        /// The name.
        run: RunId,
        /// Where runs are.
        folder: PathBuf,
    },
    /// The run was stopped before its first record.
    #[error("run `{0}` never began")]
    NeverBegan(RunId),
}

impl Explain for RunsError {
    fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Used { .. } | Self::Taken(_) => Kind::Conflict,
            Self::Unknown { .. } | Self::NeverBegan(_) => Kind::Rejected,
        }
    }
    fn state(&self) -> Option<String> {
        match self {
            Self::File(error) => error.state(),
            Self::Journal(error) => error.state(),
            Self::Used { .. } | Self::Taken(_) | Self::Unknown { .. } | Self::NeverBegan(_) => {
                Some("nothing was touched".into())
            }
        }
    }
    fn next(&self) -> Option<String> {
        match self {
            Self::File(error) => error.next(),
            Self::Journal(error) => error.next(),
            Self::Used { environment: Some(environment), .. } => {
                Some(format!("make a new plan with `pleach plan {environment}`"))
            }
            Self::Used { environment: None, .. } | Self::Taken(_) => {
                Some("make a new plan with `pleach plan ENVIRONMENT`".into())
            }
            Self::Unknown { folder, .. } => Some(format!("see which there are with `ls {}`", quote_path(folder))),
            Self::NeverBegan(_) => Some("start another with `pleach deploy`".into()),
        }
    }
}
