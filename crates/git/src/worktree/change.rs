//! Locking, moving and repairing worktrees.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::durable;
use crate::error::{Cause, Error, Result};
use crate::repository::Repository;
use crate::worktree::hand::Guard;
use crate::worktree::list::{Worktree, describe};
use crate::worktree::remove::{refuse_locked, require};
use crate::worktree::{WorktreeError, hand, record, registry};

/// Keeps a worktree from being removed, moved or pruned; the reason is shown to whoever tries.
pub fn lock(repository: &Repository, name: &str, reason: &str) -> Result<(), WorktreeError> {
    let guard = hand::acquire(repository, &AtomicBool::new(false))?;
    record::recover(repository, &guard)?;
    let registration = require(repository, name)?;
    refuse_locked(&registration)?;
    Ok(durable::replace(&registration.admin.join("locked"), format!("{reason}\n").as_bytes())?)
}

/// What [`unlock`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlocked {
    /// It took the lock away.
    TakenAway,
    /// There was none.
    WasFree,
}

/// Takes the lock away. Succeeds when there is none.
pub fn unlock(repository: &Repository, name: &str) -> Result<Unlocked, WorktreeError> {
    let guard = hand::acquire(repository, &AtomicBool::new(false))?;
    record::recover(repository, &guard)?;
    let registration = require(repository, name)?;
    if registration.is_initializing() {
        return Err(WorktreeError::Locked(name.to_owned(), Some("another process is making it".to_owned())));
    }
    let path = registration.admin.join("locked");
    match fs::remove_file(&path) {
        Ok(()) => Ok(Unlocked::TakenAway),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Unlocked::WasFree),
        Err(error) => Err(Error::file("remove", &path)(error).into()),
    }
}

/// A move between its two steps.
#[derive(Serialize, Deserialize)]
struct Move {
    admin: PathBuf,
    to: PathBuf,
}

fn note(repository: &Repository) -> PathBuf {
    repository.state_dir().join("moving.json")
}

/// Moves a worktree's directory to a path where nothing is, on the same file system.
pub fn move_to(repository: &Repository, name: &str, path: &Path) -> Result<Worktree, WorktreeError> {
    let guard = hand::acquire(repository, &AtomicBool::new(false))?;
    record::recover(repository, &guard)?;
    let registration = require(repository, name)?;
    refuse_locked(&registration)?;
    let refused = |why: &str| WorktreeError::PathTaken(path.to_owned(), why.to_owned());
    if registration.admin.join("modules").exists() {
        return Err(refused("the worktree has submodules, which point to where they are now"));
    }
    let to = gix::path::realpath(path).map_err(|error| refused(&error.to_string()))?;
    let from = registration.work_dir.clone().unwrap_or_default();
    if !registration.is_linked() {
        return Err(WorktreeError::Missing(name.to_owned(), from));
    }
    if to.symlink_metadata().is_ok() {
        return Err(refused("something is there already"));
    }
    if to.starts_with(&from) {
        return Err(refused("it lies in the worktree itself"));
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(Error::file("make", parent))?;
    }
    let step = Move { admin: registration.admin.clone(), to: to.clone() };
    let text = serde_json::to_vec(&step).map_err(|error| refused(&error.to_string()))?;
    durable::replace(&note(repository), &text)?;
    let moved = fs::rename(&from, &to);
    // Either way the note is worked off: forwards when the directory moved, away when it did not.
    recover(repository, &guard)?;
    moved.map_err(|error| match error.kind() {
        std::io::ErrorKind::CrossesDevices => refused("it is on another file system; make a new worktree there"),
        _ => Error::file("move", &from)(error).into(),
    })?;
    Ok(describe(&repository.local(), &require(repository, name)?))
}

pub(crate) fn is_anything_left(repository: &Repository) -> bool {
    note(repository).exists()
}

/// Ends a move that a kill interrupted.
pub(crate) fn recover(repository: &Repository, _guard: &Guard) -> Result<()> {
    let path = note(repository);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file("read", &path)(error)),
    };
    let step: Move =
        serde_json::from_slice(&text).map_err(|error| Error::file("read", &path)(Cause::new(error.to_string())))?;
    if registry::links_to(&step.to, &step.admin) {
        register_at(&step.admin, &step.to)?;
    }
    fs::remove_file(&path).map_err(Error::file("remove", &path))
}

/// Makes registrations and directories point to each other again; gives the names of those that it changed.
///
/// Without `moved`, mends worktrees whose repository was moved. `moved` names directories that were moved by hand: each
/// is found by its own `.git` file.
pub fn repair(repository: &Repository, moved: &[PathBuf]) -> Result<Vec<String>, WorktreeError> {
    let guard = hand::acquire(repository, &AtomicBool::new(false))?;
    record::recover(repository, &guard)?;
    let mut repaired = Vec::new();
    let registrations = registry::all(repository)?;
    for path in moved {
        let path = fs::canonicalize(path).map_err(Error::file("find", path))?;
        // The link's last part is the id, also when the repository itself was moved.
        let id = registry::link_target(&path).and_then(|target| target.file_name().map(ToOwned::to_owned));
        let found = registrations.iter().find(|found| id.as_deref() == Some(found.id.as_ref()));
        let Some(found) = found else {
            let why = "no worktree of this repository was ever there".to_owned();
            return Err(WorktreeError::Corrupt(path.display().to_string(), why));
        };
        if found.is_linked() && found.work_dir.as_deref() != Some(path.as_path()) {
            let why = format!("it is a copy of worktree `{}`, which is still in its place", found.name());
            return Err(WorktreeError::PathTaken(path, why));
        }
        register_at(&found.admin, &path)?;
        registry::write_link(&path, &found.admin)?;
        repaired.push(found.name().to_owned());
    }
    for found in registry::all(repository)? {
        let Some(work_dir) = found.work_dir.as_deref().filter(|path| path.is_dir()) else { continue };
        let target = registry::link_target(work_dir);
        let ours = match &target {
            // The link was deleted; only a directory that still has other content is a worktree.
            None => !work_dir.join(".git").exists() && fs::read_dir(work_dir).is_ok_and(|mut all| all.next().is_some()),
            Some(target) => !target.exists() && target.file_name() == Some(found.id.as_ref()),
        };
        if ours {
            registry::write_link(work_dir, &found.admin)?;
            repaired.push(found.name().to_owned());
        }
    }
    Ok(repaired)
}

fn register_at(admin: &Path, work_dir: &Path) -> Result<()> {
    let mut link = work_dir.join(".git").as_os_str().as_bytes().to_vec();
    link.push(b'\n');
    durable::replace(&admin.join("gitdir"), &link)
}
