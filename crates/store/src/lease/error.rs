//! Why a lease was not given.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use pleach_core::error::{Explain, Kind, quote_path};
use pleach_core::port::Lease;

use crate::{FileError, Life};

/// Why a lease was not given or kept.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A living process, or one that nothing can be said of, holds it.
    #[error("target `{}` of `{}` is leased", .0.lease.target, .0.lease.environment)]
    Held(#[source] Box<HeldBy>),
    /// It was taken over, or given back.
    #[error("the lease of target `{}` of `{}` has passed on", .0.target, .0.environment)]
    Lost(Box<Lease>),
    /// A file of the lease cannot be read as one.
    #[error("lease file `{}` is damaged", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// Who holds a lease, since when, why, and what is known of it.
#[derive(Debug)]
pub struct HeldBy {
    /// The lease.
    pub lease: Lease,
    /// What can be said of its holder from here; never [`Life::Dead`].
    pub life: Life,
    /// When it was asked for.
    pub asked: Timestamp,
    /// The lease's file.
    pub path: PathBuf,
}

impl HeldBy {
    fn is_own(&self) -> bool {
        self.life == Life::Running && self.lease.holder.process == std::process::id()
    }
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lease { holder, started, expires, run, reason, .. } = &self.lease;
        write!(
            f,
            "`{}` on `{}` (process {}) holds it since {} for run `{run}`: {reason}; ",
            holder.user,
            holder.host,
            holder.process,
            started.strftime("%Y-%m-%d %H:%M:%SZ"),
        )?;
        f.write_str(match self.life {
            Life::Running if self.is_own() => "that is this process itself",
            Life::Running => "its process lives",
            Life::Stopped => "its process is stopped, not ended",
            // Not reached: a dead holder's lease is taken over.
            Life::Dead => "its process is dead",
            Life::Elsewhere => "its process is on another machine or in another container, and may live",
        })?;
        if *expires < self.asked {
            write!(f, ", though it was to be renewed before {}", expires.strftime("%Y-%m-%d %H:%M:%SZ"))?;
        }
        Ok(())
    }
}

impl std::error::Error for HeldBy {}

impl Explain for LeaseError {
    fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Held(_) | Self::Lost(_) => Kind::Conflict,
            Self::Damaged { .. } => Kind::Rejected,
        }
    }
    fn state(&self) -> Option<String> {
        match self {
            Self::File(error) => error.state(),
            Self::Held(_) => Some("nothing was touched".into()),
            Self::Lost(_) => Some("the target refuses further writes of this run".into()),
            Self::Damaged { .. } => Some("the file is untouched".into()),
        }
    }
    fn next(&self) -> Option<String> {
        match self {
            Self::File(error) => error.next(),
            Self::Held(held) => Some(next_of(held)),
            Self::Lost(lease) => Some(format!("see who holds it with `pleach status {}`", lease.environment)),
            Self::Damaged { path, .. } => Some(format!(
                "see with `pleach status` that no run is under way, then `mv '{path}' '{path}.damaged'`",
                path = path.display()
            )),
        }
    }
}

fn next_of(held: &HeldBy) -> String {
    let Lease { run, holder, .. } = &held.lease;
    let process = holder.process;
    match held.life {
        _ if held.is_own() => format!("wait for run `{run}`, or give its lease back"),
        Life::Stopped => {
            format!(
                "let it go on with `kill -CONT {process}`, or end it with `kill -KILL {process}`, then `pleach resume`"
            )
        }
        Life::Elsewhere => format!(
            "end run `{run}` on `{}`; if that machine is gone for good, give the lease back with `rm {}`",
            holder.host,
            quote_path(&held.path)
        ),
        Life::Running | Life::Dead => format!(
            "wait for run `{run}` (`pleach status --watch`), or end it with `kill {process}`, then `pleach resume`"
        ),
    }
}
