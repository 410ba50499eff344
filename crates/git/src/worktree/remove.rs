//! Removing worktrees, bringing them back, and emptying the trash.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use pleach_core::word::CommitId;

use crate::repository::{Repository, object_id};
use crate::worktree::list::{Worktree, describe};
use crate::worktree::registry::{self, Registration};
use crate::worktree::trash::{self, Entry, Why};
use crate::worktree::{WorktreeError, hand, record, status};

/// What to do about work that is nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Refuse, and list it.
    Careful,
    /// Remove all the same. [`undo`] still brings it back.
    Discard,
}

/// A worktree that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its name; [`undo`] brings it back.
    pub name: String,
    /// Where it was.
    pub path: std::path::PathBuf,
    /// Its branch, which stays.
    pub branch: Option<String>,
}

/// What [`prune`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Worktrees whose directory is gone; their registration went to the trash.
    pub missing: Vec<String>,
    /// Removed worktrees that can no longer be brought back.
    pub deleted: Vec<String>,
}

/// Removes a worktree; its branch stays. Takes no time: the directory is renamed into the trash.
///
/// Refuses a locked one. With [`Removal::Careful`], refuses when anything in [`status::Dirt`] would go with it.
pub fn remove(repository: &Repository, name: &str, removal: Removal) -> Result<Removed, WorktreeError> {
    let guard = hand::acquire(repository, &AtomicBool::new(false))?;
    record::recover(repository, &guard)?;
    let registration = require(repository, name)?;
    refuse_locked(&registration)?;
    if let Some(work_dir) = &registration.work_dir {
        refuse_nested(repository, &registration, work_dir)?;
        if work_dir.is_dir() && !registration.is_linked() {
            let why = format!("`{}` does not point back to it", work_dir.join(".git").display());
            return Err(WorktreeError::Corrupt(name.to_owned(), why));
        }
    }
    if removal == Removal::Careful {
        let dirt = status::of_registration(repository, &registration)?;
        if !dirt.is_clean() {
            return Err(WorktreeError::Dirty { name: name.to_owned(), what: dirt.lines() });
        }
    }
    let kept = trash::put(repository, entry(repository, &registration), &guard)?;
    Ok(Removed { name: kept.entry.name, path: kept.entry.work_dir, branch: kept.entry.branch })
}

fn entry(repository: &Repository, registration: &Registration) -> Entry {
    let tip = registration.branch.as_ref().and_then(|branch| repository.resolve(&format!("refs/heads/{branch}")).ok());
    Entry {
        name: registration.name().to_owned(),
        work_dir: registration.work_dir.clone().unwrap_or_else(|| registration.admin.join("no-files")),
        files: std::path::PathBuf::new(),
        admin: registration.admin.clone(),
        branch: registration.branch.clone(),
        tip,
        detached: registration.detached.as_deref().and_then(|hex| CommitId::new(hex).ok()),
        removed_at: Timestamp::now(),
        why: Why::Removed,
    }
}

/// Brings back the worktree that was removed last, with everything that was in it.
///
/// Its branch is made again where it was if it was deleted meanwhile; [`WorktreeError::BranchGone`] when its commit was
/// collected too.
pub fn undo(repository: &Repository) -> Result<Worktree, WorktreeError> {
    let guard = hand::acquire(repository, &AtomicBool::new(false))?;
    record::recover(repository, &guard)?;
    let all = trash::all(repository)?;
    let kept = all.iter().rfind(|kept| kept.entry.why == Why::Removed).ok_or(WorktreeError::NothingToUndo)?;
    let entry = &kept.entry;
    if entry.work_dir.symlink_metadata().is_ok() {
        return Err(WorktreeError::PathTaken(entry.work_dir.clone(), "something is there now".to_owned()));
    }
    let registrations = registry::all(repository)?;
    if let Some(taken) = registrations.iter().find(|found| found.admin == entry.admin || found.name() == entry.name) {
        let at = taken.work_dir.clone().unwrap_or_else(|| taken.admin.clone());
        return Err(WorktreeError::NameTaken(entry.name.clone(), at));
    }
    if let Some(branch) = &entry.branch
        && let Some(at) = registry::branch_holders(repository)?.get(branch)
    {
        return Err(WorktreeError::CheckedOut { branch: branch.clone(), at: at.clone() });
    }
    ensure_branch(repository, entry)?;
    trash::take_back(repository, kept, &guard)?;
    Ok(describe(&repository.local(), &require(repository, &entry.name)?))
}

/// Before the files come back: a kill in between leaves a branch more, the other order a worktree on no commit.
fn ensure_branch(repository: &Repository, entry: &Entry) -> Result<(), WorktreeError> {
    let (Some(branch), Some(tip)) = (&entry.branch, &entry.tip) else { return Ok(()) };
    if repository.branches()?.iter().any(|found| found.name == *branch) {
        return Ok(());
    }
    if !repository.local().has_object(object_id(tip)?) {
        return Err(WorktreeError::BranchGone {
            name: entry.name.clone(),
            branch: branch.clone(),
            commit: tip.clone(),
        });
    }
    Ok(repository.create_branch(branch, tip)?)
}

/// Takes registrations whose directory is gone to the trash, and deletes for good what has been there for `age`.
///
/// Locked worktrees stay: their disk may only be unplugged.
pub fn prune(repository: &Repository, age: Duration) -> Result<Pruned, WorktreeError> {
    let guard = hand::acquire(repository, &AtomicBool::new(false))?;
    record::recover(repository, &guard)?;
    let mut pruned = Pruned::default();
    for kept in trash::all(repository)?.iter().filter(|kept| trash::is_older(kept, age)) {
        trash::delete(repository, kept)?;
        pruned.deleted.push(kept.entry.name.clone());
    }
    for registration in registry::all(repository)? {
        let gone = registration.work_dir.as_deref().is_none_or(|path| path.symlink_metadata().is_err());
        let abandoned = registration.is_initializing() && !registration.has_index() && is_old(&registration.admin);
        if gone && registration.locked.is_none() || abandoned {
            pruned.missing.push(registration.name().to_owned());
            let mut entry = entry(repository, &registration);
            if abandoned {
                entry.why = Why::HalfMade;
            }
            trash::put(repository, entry, &guard)?;
        }
    }
    Ok(pruned)
}

/// Stock git leaves no record, so only time tells that it is no longer at work.
fn is_old(admin: &Path) -> bool {
    const HOUR: Duration = Duration::from_secs(3600);
    let changed = admin.metadata().and_then(|meta| meta.modified());
    changed.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > HOUR))
}

pub(crate) fn require(repository: &Repository, name: &str) -> Result<Registration, WorktreeError> {
    let all = registry::all(repository)?;
    let found = all.iter().find(|found| found.name() == name).or_else(|| {
        let wanted = std::fs::canonicalize(name).ok()?;
        all.iter().find(|found| found.work_dir.as_deref() == Some(wanted.as_path()))
    });
    found.cloned().ok_or_else(|| WorktreeError::Unknown(name.to_owned()))
}

pub(crate) fn refuse_locked(registration: &Registration) -> Result<(), WorktreeError> {
    match &registration.locked {
        None => Ok(()),
        Some(reason) => {
            let reason = Some(reason.clone()).filter(|reason| !reason.is_empty());
            Err(WorktreeError::Locked(registration.name().to_owned(), reason))
        }
    }
}

/// A worktree in a worktree would go with it.
fn refuse_nested(repository: &Repository, outer: &Registration, work_dir: &Path) -> Result<(), WorktreeError> {
    let inner = registry::all(repository)?
        .into_iter()
        .find(|found| found.id != outer.id && found.work_dir.as_deref().is_some_and(|path| path.starts_with(work_dir)));
    match inner {
        None => Ok(()),
        Some(inner) => Err(WorktreeError::Dirty {
            name: outer.name().to_owned(),
            what: vec![format!("worktree `{}` lies inside it", inner.name())],
        }),
    }
}
