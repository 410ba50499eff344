//! Why a watchdog did not do what it was asked for.

use pleach_core::error::{Explain, Kind};
use pleach_core::word::RunId;

use super::status::{WatchdogPhase, WatchdogStatus};
use crate::guard::{GuardError, StateError};

/// Why a watchdog did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum WatchdogError {
    /// The target could not be asked.
    #[error(transparent)]
    Target(#[from] GuardError),
    /// A path is not absolute, not text, or ends in `/`.
    #[error("a watchdog cannot put back `{0}`")]
    Path(String),
    /// Something could not be kept, or its copy is not equal to it.
    #[error("the target could not keep and prove what may have to be put back for run `{run}`")]
    Unproven {
        /// The run.
        run: RunId,
        /// What the target said.
        output: Vec<String>,
    },
    /// It is in another phase already.
    #[error("the watchdog of run `{}` is no longer armed", .0.run)]
    TooLate(Box<WatchdogStatus>),
    /// There is none for this run.
    #[error("there is no watchdog for run `{0}` on the target")]
    Missing(RunId),
    /// The disk is full or may not be written, or no process could be started.
    #[error("the target could not keep the watchdog of run `{run}`")]
    Write {
        /// The run.
        run: RunId,
        /// What the target said.
        output: Vec<String>,
    },
    /// The script ended as it never does, or was ended.
    #[error("the watchdog on the target gave no answer")]
    NoAnswer {
        /// What the target said.
        output: Vec<String>,
    },
    /// The answer cannot be read.
    #[error("could not read the watchdog's answer")]
    Answer(#[source] StateError),
}

impl Explain for WatchdogError {
    fn kind(&self) -> Kind {
        match self {
            Self::Target(error) => error.kind(),
            Self::Path(_) => Kind::Internal,
            Self::Unproven { .. } | Self::Write { .. } | Self::Missing(_) => Kind::Rejected,
            Self::TooLate(_) => Kind::Conflict,
            Self::NoAnswer { .. } | Self::Answer(_) => Kind::UnknownOutcome,
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Target(error) => error.state(),
            Self::Path(_) | Self::Unproven { .. } => Some("nothing was touched".into()),
            Self::TooLate(status) => {
                let state = match status.phase {
                    WatchdogPhase::Armed => "it is armed",
                    WatchdogPhase::Confirmed => "the run was confirmed",
                    WatchdogPhase::Disarmed => "it was disarmed",
                    WatchdogPhase::Fired => "nobody confirmed in time: the target is taking itself back",
                    WatchdogPhase::Restored => "nobody confirmed in time: the target took itself back",
                    WatchdogPhase::Aside => "nobody confirmed in time, and it stood aside for a newer lease",
                };
                Some(state.into())
            }
            Self::Missing(_) | Self::Write { .. } | Self::NoAnswer { .. } | Self::Answer(_) => None,
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Target(error) => error.next(),
            Self::TooLate(_) | Self::Missing(_) | Self::NoAnswer { .. } | Self::Answer(_) => {
                Some("look with `pleach status`".into())
            }
            Self::Unproven { .. } | Self::Write { .. } => Some("look on the target with `df -h; df -i`".into()),
            Self::Path(_) => None,
        }
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Target(error) => error.output(),
            Self::Unproven { output, .. } | Self::Write { output, .. } | Self::NoAnswer { output } => output.clone(),
            Self::TooLate(status) => status.journal.clone(),
            Self::Path(_) | Self::Missing(_) | Self::Answer(_) => Vec::new(),
        }
    }
}
