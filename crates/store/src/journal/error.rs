//! What can be wrong with a journal.

use std::path::PathBuf;

use pleach_core::error::{Explain, Kind};
use pleach_core::journal::FORMAT;

use crate::FileError;

/// What is wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A record before the last one does not match its check.
    #[error("journal `{}` is damaged at byte {offset}, line {line}", .path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where the damaged line begins.
        offset: u64,
        /// Its number, from 1.
        line: u64,
    },
    /// The first line does not say that this is a journal.
    #[error("`{}` is not a journal of Pleach", .0.display())]
    Foreign(PathBuf),
    /// It was written by a newer Pleach.
    #[error("journal `{}` has format {found}, and this Pleach reads up to {FORMAT}", .path.display())]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Another process appends to it.
    #[error("journal `{}` is being written by {writer}", .path.display())]
    Busy {
        /// The journal.
        path: PathBuf,
        /// Who, in words.
        writer: String,
    },
    /// An earlier append failed, so nothing can be appended any more.
    #[error("journal `{}` takes no more entries", .path.display())]
    Closed {
        /// The journal.
        path: PathBuf,
        /// The failure that closed it.
        #[source]
        source: Closed,
    },
}

/// The failure that closed a journal, in words.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Closed(pub(crate) String);

impl Explain for JournalError {
    fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Damaged { .. } | Self::Foreign(_) => Kind::Rejected,
            Self::Newer { .. } => Kind::Unsupported,
            Self::Busy { .. } => Kind::Conflict,
            Self::Closed { .. } => Kind::Rejected,
        }
    }
    fn state(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.state(),
            Self::Closed { .. } => "what was acknowledged before is durable; nothing further was started".into(),
            _ => "the file is untouched".into(),
        })
    }
    fn next(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.next(),
            Self::Damaged { path, line, .. } => {
                format!(
                    "look at it with `sed -n {line}p '{}'`; restore the file from a backup if there is one",
                    path.display()
                )
            }
            Self::Foreign(path) => format!("look at it with `head -1 '{}'`", path.display()),
            Self::Newer { .. } => "use the Pleach that wrote it, or a newer one: `pleach --version`".into(),
            Self::Busy { .. } => "wait until it ends, or watch it with `pleach status --watch`".into(),
            Self::Closed { .. } => "free some space or mend the disk, then `pleach resume`".into(),
        })
    }
}
