//! What to put back, as data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::guard::{escape, text};

/// How something is going to be changed: decides how a copy of it can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Only ever as a whole, by renaming; nobody writes into its files. Hard links to them are copies then.
    Replaced,
    /// Its files may be written into.
    InPlace,
}

/// One thing to do when the target is taken back. Carried out in the order in which they are given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Instruction {
    /// Puts back what lies at `path` while the watchdog is armed: a tree, a file, a link, or nothing.
    Keep {
        /// Absolute.
        path: PathBuf,
        /// How it is going to be changed.
        change: Change,
    },
    /// Makes `path` a symbolic link to `to`, in one step.
    Link {
        /// Absolute.
        path: PathBuf,
        /// Where it points.
        to: PathBuf,
    },
    /// Sees to it that nothing lies at `path`: a file or link is removed, anything else is renamed beside.
    Absent {
        /// Absolute.
        path: PathBuf,
    },
    /// Runs a command, such as one that restarts a service; it must bear being run twice.
    Command {
        /// Where it runs; absolute.
        directory: PathBuf,
        /// When it is ended, in whole seconds.
        limit: Duration,
        /// Program and arguments; no shell reads them.
        argv: Vec<String>,
    },
}

impl Instruction {
    /// The lines of a request.
    pub(super) fn lines(&self) -> String {
        let line = |path: &Path| escape(&text(path));
        match self {
            Self::Keep { path, change } => {
                let change = match change {
                    Change::Replaced => "replaced",
                    Change::InPlace => "in-place",
                };
                format!("keep {change} {}\n", line(path))
            }
            Self::Link { path, to } => format!("link {}\nto {}\n", line(path), line(to)),
            Self::Absent { path } => format!("absent {}\n", line(path)),
            Self::Command { directory, limit, argv } => {
                let words: String = argv.iter().map(|word| format!("word {}\n", escape(word))).collect();
                let seconds = limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
                format!("command {} {}\n{words}", seconds.max(1), line(directory))
            }
        }
    }

    /// A path that is not absolute or not text, if there is one.
    pub(super) fn unusable(&self) -> Option<&Path> {
        let (Self::Keep { path, .. } | Self::Link { path, .. } | Self::Absent { path }) = self else {
            let Self::Command { directory, .. } = self else { return None };
            return Some(directory.as_path()).filter(|path| !usable(path));
        };
        Some(path.as_path()).filter(|path| !usable(path))
    }
}

fn usable(path: &Path) -> bool {
    path.is_absolute() && path.to_str().is_some_and(|text| !text.contains('\0') && !text.ends_with('/'))
}
