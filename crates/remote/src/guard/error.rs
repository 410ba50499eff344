//! Why a lease on a target was not given, or a command not let through.

use std::fmt;
use std::time::Duration;

use pleach_core::error::{Explain, Failure, Kind};
use pleach_core::port::{FencingToken, Lease};
use pleach_core::word::{EnvironmentName, TargetName};

use super::state::{HolderLife, LeaseState, StateError};

/// Why a lease was not given or kept, or a command not let through.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The target could not be asked.
    #[error("could not ask the target for {what}")]
    Shell {
        /// For what.
        what: String,
        /// Why.
        #[source]
        source: Box<Failure>,
    },
    /// The guard could not be put on the target.
    #[error("could not put the guard into `{folder}` on the target")]
    Install {
        /// Where to.
        folder: String,
        /// What the target said.
        output: Vec<String>,
    },
    /// A living holder, or one of which nothing can be said, has it.
    #[error("target `{}` of `{}` is leased", .0.lease.target, .0.lease.environment)]
    Held(#[source] Box<HeldOnTarget>),
    /// It was taken over, broken, or given back.
    #[error("the lease of target `{target}` of `{environment}` has passed on")]
    Lost {
        /// The environment.
        environment: EnvironmentName,
        /// The target.
        target: TargetName,
        /// Who has it now, if anybody.
        #[source]
        now: Option<Box<HeldOnTarget>>,
    },
    /// The target has seen a newer token.
    #[error("the target refused a command under token {given}: it has seen token {seen}")]
    Passed {
        /// What was given.
        given: FencingToken,
        /// What the target has seen.
        seen: FencingToken,
    },
    /// A change came without a lease.
    #[error("a change was refused: it came without a lease")]
    NoLease,
    /// The target cannot write where leases lie.
    #[error("the target could not write in `{place}`")]
    Write {
        /// Where.
        place: String,
        /// What the target said.
        output: Vec<String>,
    },
    /// A state on the target cannot be read.
    #[error("the lease in `{place}` on the target cannot be read")]
    Damaged {
        /// Where.
        place: String,
        /// What the target said.
        output: Vec<String>,
    },
    /// The guard ended as it never does, or was ended.
    #[error("the guard on the target gave no answer for `{place}`")]
    NoAnswer {
        /// Where.
        place: String,
        /// What the target said.
        output: Vec<String>,
    },
    /// The guard's answer cannot be read.
    #[error("could not read the guard's answer for `{place}`")]
    Answer {
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: StateError,
    },
}

impl Explain for GuardError {
    fn kind(&self) -> Kind {
        match self {
            Self::Shell { source, .. } => source.kind,
            Self::Held(_) | Self::Lost { .. } | Self::Passed { .. } => Kind::Conflict,
            Self::Install { .. } | Self::Write { .. } | Self::Damaged { .. } => Kind::Rejected,
            // What it was asked for may have been done.
            Self::NoAnswer { .. } | Self::Answer { .. } => Kind::UnknownOutcome,
            Self::NoLease => Kind::Internal,
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Shell { source, .. } => source.state.clone(),
            Self::Held(_) | Self::Install { .. } => Some("nothing was touched".into()),
            Self::Lost { .. } => Some("the target refuses further writes of this run".into()),
            Self::Passed { .. } | Self::NoLease => Some("nothing was changed by this call".into()),
            Self::Write { .. } | Self::Damaged { .. } => Some("the lease is as it was".into()),
            Self::NoAnswer { .. } | Self::Answer { .. } => None,
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Shell { source, .. } => source.next.clone(),
            Self::Install { folder, .. } => Some(format!("look on the target with `ls -ld '{folder}'; df '{folder}'`")),
            Self::Held(held) => Some(held.next()),
            Self::Lost { environment, .. } => Some(format!("see who holds it with `pleach status {environment}`")),
            Self::Passed { .. } => Some("another deployment has taken over: look with `pleach status`".into()),
            Self::Write { place, .. } => Some(format!("look on the target with `ls -ld '{place}'; df '{place}'`")),
            Self::Damaged { place, .. } => Some(format!("look on the target with `ls -l '{place}'`")),
            Self::NoAnswer { place, .. } | Self::Answer { place, .. } => {
                Some(format!("look on the target with `ls -l '{place}'`, then try again"))
            }
            Self::NoLease => None,
        }
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Shell { source, .. } => source.output.clone(),
            Self::Install { output, .. }
            | Self::Write { output, .. }
            | Self::Damaged { output, .. }
            | Self::NoAnswer { output, .. } => output.clone(),
            _ => Vec::new(),
        }
    }
}

/// Who holds a lease, since when, why, and what the target sees of it. As an error it says so in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldOnTarget {
    /// The lease.
    pub lease: Lease,
    /// What the target sees of the holder.
    pub life: HolderLife,
    /// How long, by the target's clock, until it expires; nothing if it has expired.
    pub left: Option<Duration>,
}

impl HeldOnTarget {
    pub(super) fn of(state: LeaseState) -> Option<Self> {
        let lease = state.lease?;
        let left = (!state.expired).then(|| lease.expires.duration_since(state.now).unsigned_abs());
        Some(Self { lease, life: state.life, left })
    }

    fn next(&self) -> String {
        let Lease { run, environment, target, holder, .. } = &self.lease;
        let take_away = format!("take it away with `pleach lease break {environment} {target}`");
        match self.life {
            HolderLife::Stopped => {
                format!("on `{}`, let it go on with `kill -CONT {}`, or {take_away}", holder.host, holder.process)
            }
            _ => format!("wait for run `{run}` (`pleach status --watch {environment}`), or {take_away}"),
        }
    }
}

impl fmt::Display for HeldOnTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lease { holder, started, run, reason, .. } = &self.lease;
        let started = started.strftime("%Y-%m-%d %H:%M:%SZ");
        write!(f, "`{}` on `{}` (process {}) holds it since {started} ", holder.user, holder.host, holder.process)?;
        write!(f, "by the target's clock for run `{run}`: {reason}; ")?;
        f.write_str(match self.life {
            HolderLife::Alive => "its process lives",
            HolderLife::Stopped => "its process is stopped, not ended",
            HolderLife::Gone => "its process is gone",
            HolderLife::Unknown => "its process is on another machine, and may live",
        })?;
        match self.left {
            Some(left) => write!(f, "; it expires in {} s unless it is renewed", left.as_secs().max(1)),
            None => f.write_str("; it has expired"),
        }
    }
}

impl std::error::Error for HeldOnTarget {}
