//! Bringing a worktree up to date, forwards only.

use std::sync::atomic::AtomicBool;

use pleach_core::word::CommitId;

use crate::error::Error;
use crate::repository::Repository;
use crate::update::{Strictness, Tip};
use crate::worktree::remove::require;
use crate::worktree::{WorktreeError, hand, record};

/// Where a worktree is brought to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Onto {
    /// The branch of a remote that its branch follows, as fetched last.
    Upstream,
    /// A branch or commit of this repository.
    Revision(String),
}

/// What [`sync`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Synced {
    /// It had everything already.
    UpToDate {
        /// Where it is.
        at: CommitId,
        /// Commits that it has and the other has not.
        ahead: usize,
    },
    /// It was fast-forwarded.
    Forwarded {
        /// Where it was.
        from: CommitId,
        /// Where it is.
        to: CommitId,
    },
}

/// Fast-forwards a worktree. Refuses when its tracked files have changes, or when the histories went apart.
pub fn sync(repository: &Repository, name: &str, onto: &Onto) -> Result<Synced, WorktreeError> {
    let registration = {
        let guard = hand::acquire(repository, &AtomicBool::new(false))?;
        record::recover(repository, &guard)?;
        require(repository, name)?
    };
    let work_dir = registration.work_dir.clone().unwrap_or_default();
    if !work_dir.is_dir() {
        return Err(WorktreeError::Missing(name.to_owned(), work_dir));
    }
    let from = match &registration.branch {
        Some(branch) => repository.require_branch(branch)?.commit,
        None => repository.at(&work_dir)?.resolve("HEAD")?,
    };
    let to = match onto {
        Onto::Revision(revision) => repository.resolve(revision)?,
        Onto::Upstream => {
            let branch = registration.branch.as_deref().unwrap_or("HEAD");
            let upstream = repository.require_branch(branch)?.upstream;
            let upstream = upstream.ok_or_else(|| Error::NoRemote(format!("upstream of {branch}")))?;
            repository.resolve(&format!("refs/remotes/{upstream}"))?
        }
    };
    if repository.is_ancestor(&to, &from)? {
        let ahead = repository.commits_beyond(&from, std::slice::from_ref(&to))?.len();
        return Ok(Synced::UpToDate { at: from, ahead });
    }
    match &registration.branch {
        Some(branch) => repository.fast_forward(branch, &to, &from)?,
        None => {
            if !repository.is_ancestor(&from, &to)? {
                return Err(Error::NotFastForward(name.to_owned(), to.short().to_owned()).into());
            }
            let guard = hand::acquire(repository, &AtomicBool::new(false))?;
            let why = format!("sync: moving to {}", to.short());
            repository.update_worktree(&work_dir, Tip::Detached, &from, &to, &why, Strictness::Everything, &guard)?;
        }
    }
    Ok(Synced::Forwarded { from, to })
}
