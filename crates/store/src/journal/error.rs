//! What can be wrong with a journal.

use std::path::{Path, PathBuf};

use pleach_core::error::{Explain, Kind, quote_path};
use pleach_core::journal::FORMAT;

use crate::FileError;

/// What is wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line before the last one is not as it was written, or is missing, or stands twice.
    #[error("journal `{}` is damaged at byte {offset}, line {line}", .path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where the damaged line begins.
        offset: u64,
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        source: Damage,
    },
    /// A line is as it was written, and this Pleach does not know what it says.
    #[error("journal `{}` has an entry at byte {offset}, line {line}, that this Pleach cannot read", .path.display())]
    Unread {
        /// The journal.
        path: PathBuf,
        /// Where the line begins.
        offset: u64,
        /// Its number, from 1.
        line: u64,
        /// What was not understood.
        #[source]
        source: serde_json::Error,
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
    /// It became shorter while it was followed.
    #[error("journal `{}` was cut before byte {offset} while it was read", .path.display())]
    Cut {
        /// The journal.
        path: PathBuf,
        /// How far it had been read.
        offset: u64,
    },
    /// An append failed, so nothing can be appended any more.
    #[error("journal `{}` takes no more entries", .path.display())]
    Closed {
        /// The journal.
        path: PathBuf,
        /// The failure that closed it.
        #[source]
        source: Closed,
    },
}

/// What is wrong with a damaged line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It does not match its check.
    #[error("the line does not match its checksum")]
    Check,
    /// It is another line than the one that belongs there.
    #[error("the line has number {found}, and number {expected} belongs there")]
    Order {
        /// The `seq` that belongs there.
        expected: u64,
        /// The `seq` that was found.
        found: u64,
    },
}

/// The failure that closed a journal, in words.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Closed(pub(super) String);

impl Explain for JournalError {
    fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Damaged { .. } | Self::Foreign(_) | Self::Closed { .. } => Kind::Rejected,
            Self::Newer { .. } | Self::Unread { .. } => Kind::Unsupported,
            Self::Busy { .. } | Self::Cut { .. } => Kind::Conflict,
        }
    }
    fn state(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.state(),
            Self::Closed { .. } => "what was acknowledged before is durable; nothing further was started".into(),
            Self::Cut { .. } => "what was cut had not been acknowledged to anybody".into(),
            _ => "the file is untouched".into(),
        })
    }
    fn next(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.next(),
            Self::Damaged { path, line, .. } => {
                let run = run_of(path);
                let (path, aside) = (quote_path(path), quote_path(Path::new(&format!("{}.damaged", path.display()))));
                format!(
                    "look at it with `sed -n {line}p {path}`; restore the file from a backup, or see to the targets of run \
                     `{run}` by hand and set it aside with `mv {path} {aside}`"
                )
            }
            Self::Foreign(path) => format!("look at it with `head -1 {}`", quote_path(path)),
            Self::Newer { .. } | Self::Unread { .. } => {
                "use the Pleach that wrote it, or a newer one: this is `pleach --version`".into()
            }
            Self::Busy { .. } => "wait until it ends, or watch it with `pleach status --watch`".into(),
            Self::Cut { .. } => "read it again from its begin".into(),
            Self::Closed { path, .. } => {
                format!("free some space or mend the disk, then `pleach resume {}`", run_of(path))
            }
        })
    }
}

/// A journal lies in the directory of its run.
fn run_of(journal: &Path) -> String {
    let folder = journal.parent().and_then(Path::file_name);
    folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
