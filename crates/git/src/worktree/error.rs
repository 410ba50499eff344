//! What can go wrong with worktrees.

use std::path::PathBuf;

use pleach_core::error::{Explain, Kind};
use pleach_core::word::CommitId;

use crate::error::Error;
use crate::system_git::quote;

/// What a caller could do differently about a worktree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorktreeError {
    /// The repository itself said no.
    #[error(transparent)]
    Repository(#[from] Error),
    /// Not usable as a name.
    #[error("`{0}` cannot be the name of a worktree")]
    BadName(String),
    /// Another worktree has this name.
    #[error("there is a worktree `{}` already, in `{}`", .0, .1.display())]
    NameTaken(String, PathBuf),
    /// The directory is another worktree's, is not empty, or is no directory.
    #[error("`{}` cannot become a worktree: {}", .0.display(), .1)]
    PathTaken(PathBuf, String),
    /// The branch is in use elsewhere.
    #[error("branch `{branch}` is checked out in `{}`", .at.display())]
    CheckedOut {
        /// The branch.
        branch: String,
        /// The worktree that has it.
        at: PathBuf,
    },
    /// No worktree of that name.
    #[error("there is no worktree `{0}`")]
    Unknown(String),
    /// Its directory is not there.
    #[error("the directory of worktree `{}` is missing: `{}`", .0, .1.display())]
    Missing(String, PathBuf),
    /// Its registration or its link back cannot be used.
    #[error("worktree `{0}` is damaged: {1}")]
    Corrupt(String, String),
    /// It is locked; the reason, if one was given.
    #[error("worktree `{}` is locked{}", .0, .1.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Locked(String, Option<String>),
    /// It has content that would be lost; each line names one thing.
    #[error("worktree `{name}` has work that would be lost")]
    Dirty {
        /// The worktree.
        name: String,
        /// What would be lost, a line each.
        what: Vec<String>,
    },
    /// It has uncommitted changes where the operation would write.
    #[error("worktree `{0}` has uncommitted changes")]
    Changed(String, Vec<String>),
    /// The branch of a removed worktree was deleted, and its commit is gone from the repository too.
    #[error("branch `{branch}` of removed worktree `{name}` is gone, and so is its commit {}", .commit.short())]
    BranchGone {
        /// The worktree.
        name: String,
        /// Its branch.
        branch: String,
        /// Where the branch was.
        commit: CommitId,
    },
    /// No removal is left to undo.
    #[error("no removed worktree is left to bring back")]
    NothingToUndo,
    /// Another process holds the lock on this repository's worktrees, and the wait was ended.
    #[error("another `pleach` is changing the worktrees of this repository")]
    Busy,
}

impl Explain for WorktreeError {
    fn kind(&self) -> Kind {
        match self {
            Self::Repository(error) => error.kind(),
            Self::BadName(_)
            | Self::Unknown(_)
            | Self::NothingToUndo
            | Self::BranchGone { .. }
            | Self::Missing(..)
            | Self::Corrupt(..) => Kind::Rejected,
            Self::NameTaken(..)
            | Self::PathTaken(..)
            | Self::CheckedOut { .. }
            | Self::Locked(..)
            | Self::Dirty { .. }
            | Self::Changed(..) => Kind::Conflict,
            Self::Busy => Kind::Cancelled,
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Repository(error) => error.state(),
            Self::Dirty { .. } => Some("nothing was removed".to_owned()),
            Self::Changed(..) => Some("nothing was changed".to_owned()),
            Self::BranchGone { .. } => Some("its files are still in the trash".to_owned()),
            Self::Locked(..) => Some("it is as it was".to_owned()),
            _ => None,
        }
    }

    fn next(&self) -> Option<String> {
        Some(match self {
            Self::Repository(error) => return error.next(),
            Self::BadName(_) => {
                "take ASCII letters, digits, `-`, `_` and `.`, with a letter or digit first, at most 63".to_owned()
            }
            Self::NameTaken(name, _) => format!("take another name, or `pleach worktree remove {name}` first"),
            Self::PathTaken(path, _) => format!("look at it with `ls -la {}`, or take another path", quote(path)),
            Self::CheckedOut { at, .. } => {
                format!(
                    "work there (`cd {}`), or add it with `--detach` to have the commit without the branch",
                    quote(at)
                )
            }
            Self::Unknown(_) => "`pleach worktree list` shows what there is".to_owned(),
            Self::Missing(..) => {
                "`pleach worktree repair` if it was moved, `pleach worktree prune` if it is gone for good".to_owned()
            }
            Self::Corrupt(..) => "`pleach worktree repair`".to_owned(),
            Self::Locked(name, _) => format!("`pleach worktree unlock {name}`"),
            Self::Dirty { name, .. } => {
                format!("commit and push what you need, or `pleach worktree remove --discard {name}` (can be undone)")
            }
            Self::Changed(..) => "commit them, or `git stash` them".to_owned(),
            Self::BranchGone { branch, commit, .. } => format!(
                "fetch the commit (`git fetch REMOTE {commit}`), or make `{branch}` elsewhere with \
                 `git branch {branch} COMMIT`; then `pleach worktree undo`"
            ),
            Self::NothingToUndo => "`pleach worktree list` shows what there is".to_owned(),
            Self::Busy => return None,
        })
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Dirty { what, .. } | Self::Changed(_, what) => what.clone(),
            _ => Vec::new(),
        }
    }
}
