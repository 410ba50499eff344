//! What is asked of a push, what came of it, and what may be wrong.

use pleach_core::error::{Explain, Kind};
use pleach_core::word::CommitId;

use crate::error::{Cause, Error};
use crate::repository::Repository;
use crate::system_git;

/// Which program pushes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushBackend {
    /// [`PushBackend::Git`] where git is installed, else [`PushBackend::Native`].
    #[default]
    Auto,
    /// This crate, over `gix`'s transports.
    Native,
    /// The system's `git push`.
    Git,
}

/// One ref that is to move on the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushUpdate {
    /// In full: `refs/heads/main`, `refs/tags/v1`.
    pub reference: String,
    /// Where it must be there before; nothing when it must not exist.
    pub expected: Option<CommitId>,
    /// Where it is afterwards: a commit or an annotated tag.
    pub new: CommitId,
}

/// A push that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushRequest {
    /// A configured remote (`origin`).
    pub remote: String,
    /// All of them happen, or none.
    pub updates: Vec<PushUpdate>,
    /// Which program pushes.
    pub backend: PushBackend,
}

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The other side said that each ref moved.
    Moved,
    /// Each ref was there already.
    UpToDate,
}

/// What a caller could do differently about a push.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// This side said no.
    #[error(transparent)]
    Repository(#[from] Error),
    /// The ref is not where it was expected on the other side; nothing moved.
    #[error("`{reference}` on `{remote}` is not where it was last seen")]
    Stale {
        /// The remote.
        remote: String,
        /// The ref.
        reference: String,
    },
    /// The other side understood and said no; nothing moved.
    #[error("`{remote}` refused `{reference}`: {reason}")]
    Refused {
        /// The remote.
        remote: String,
        /// The ref.
        reference: String,
        /// Its reason, as told.
        reason: String,
        /// What it printed.
        output: Vec<String>,
    },
    /// The other side was not reached, or did not let us in; nothing moved.
    #[error("could not reach `{remote}`")]
    Unreachable {
        /// The remote.
        remote: String,
        /// Why.
        #[source]
        cause: Cause,
        /// What the program printed.
        output: Vec<String>,
    },
    /// The connection ended before the other side said what it did.
    #[error("it is not known what `{remote}` did")]
    Unknown {
        /// The remote.
        remote: String,
        /// Why.
        #[source]
        cause: Cause,
    },
}

impl Explain for PushError {
    fn kind(&self) -> Kind {
        match self {
            Self::Repository(error) => error.kind(),
            Self::Stale { .. } => Kind::Conflict,
            Self::Refused { .. } => Kind::Rejected,
            Self::Unreachable { .. } => Kind::Transient,
            Self::Unknown { .. } => Kind::UnknownOutcome,
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Repository(error) => error.state(),
            Self::Stale { .. } | Self::Refused { .. } | Self::Unreachable { .. } => Some("nothing was pushed".into()),
            Self::Unknown { .. } => None,
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Repository(error) => error.next(),
            Self::Stale { remote, reference } => {
                let branch = reference.strip_prefix("refs/heads/").unwrap_or(reference);
                Some(format!("`git fetch {remote} && git log ..{remote}/{branch}`, then merge and push again"))
            }
            Self::Refused { .. } => None,
            Self::Unreachable { remote, .. } => Some(format!("`git ls-remote {remote}` shows what is wrong")),
            Self::Unknown { remote, .. } => Some(format!("look: `git ls-remote {remote}`")),
        }
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Refused { output, .. } | Self::Unreachable { output, .. } => output.clone(),
            _ => Vec::new(),
        }
    }
}

impl Repository {
    /// Pushes; each ref only from where it was expected, and all or none.
    pub fn push(&self, request: &PushRequest) -> Result<Pushed, PushError> {
        let local = self.local();
        if !local.remote_names().iter().any(|name| *name == *request.remote) {
            return Err(Error::NoRemote(request.remote.clone()).into());
        }
        for update in &request.updates {
            if gix::refs::FullName::try_from(update.reference.as_str()).is_err() {
                return Err(Error::BadName(update.reference.clone()).into());
            }
        }
        if request.updates.is_empty() {
            return Ok(Pushed::UpToDate);
        }
        match request.backend {
            PushBackend::Git => super::system::push(self, request),
            PushBackend::Native => super::native::push(self, request),
            PushBackend::Auto if system_git::is_installed() => super::system::push(self, request),
            PushBackend::Auto => super::native::push(self, request),
        }
    }
}
