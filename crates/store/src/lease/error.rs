//! Why a lease was not given.

use pleach_core::error::{Explain, Kind};
use pleach_core::port::Lease;

use crate::FileError;

/// Why a lease was not given or kept.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A living process, or one that nothing can be said of, holds it.
    #[error("target `{}` of `{}` is leased", .0.target, .0.environment)]
    Held(Box<Lease>, #[source] HeldBy),
    /// It was taken over, or given back.
    #[error("the lease of target `{}` of `{}` has passed on", .0.target, .0.environment)]
    Lost(Box<Lease>),
    /// The lease file cannot be read as one.
    #[error("the lease file of target `{0}` is damaged")]
    Damaged(String, #[source] serde_json::Error),
}

/// Who holds it, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HeldBy(pub(crate) String);

impl Explain for LeaseError {
    fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Held(..) | Self::Lost(_) => Kind::Conflict,
            Self::Damaged(..) => Kind::Rejected,
        }
    }
    fn state(&self) -> Option<String> {
        match self {
            Self::File(error) => error.state(),
            Self::Held(..) => Some("nothing was touched".into()),
            Self::Lost(_) => Some("the target refuses further writes of this run".into()),
            Self::Damaged(..) => Some("the file is untouched".into()),
        }
    }
    fn next(&self) -> Option<String> {
        match self {
            Self::File(error) => error.next(),
            Self::Held(lease, _) => Some(format!(
                "wait for run `{}` (`pleach status --watch`), or end its process and `pleach resume`",
                lease.run
            )),
            Self::Lost(lease) => Some(format!("see who holds it with `pleach status {}`", lease.environment)),
            Self::Damaged(target, _) => {
                Some(format!("see that no run is under way, then remove the lease file of `{target}`"))
            }
        }
    }
}
