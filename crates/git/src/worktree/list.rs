//! What worktrees there are, and in what state.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;
use pleach_core::word::CommitId;

use crate::error::Result;
use crate::repository::{Repository, commit_id};
use crate::worktree::registry::{self, Registration};
use crate::worktree::{WorktreeError, hand, record};

/// One linked worktree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worktree {
    /// By purpose; for one that git made, git's own id.
    pub name: String,
    /// Where its files are, absolute.
    pub path: PathBuf,
    /// Its branch; nothing when `HEAD` is detached.
    pub branch: Option<String>,
    /// Where it is; nothing when that cannot be read.
    pub commit: Option<CommitId>,
    /// Whether it can be worked in.
    pub state: State,
    /// Why it is locked; an empty reason is possible.
    pub locked: Option<String>,
    /// What it is for.
    pub purpose: Option<String>,
    /// Whose it is.
    pub owner: Option<String>,
    /// The command that made it; nothing when git made it.
    pub created_by: Option<String>,
    /// When it was made; nothing when git made it.
    pub created_at: Option<Timestamp>,
    /// Its own variables, as in [`ENVIRONMENT_FILE`](crate::worktree::ENVIRONMENT_FILE) when it was made.
    pub environment: BTreeMap<String, String>,
}

impl Worktree {
    /// The port that was given to it (`PORT` of its environment).
    pub fn port(&self) -> Option<u16> {
        self.environment.get("PORT")?.parse().ok()
    }
}

/// Whether a worktree can be worked in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is there and linked both ways.
    Ok,
    /// Its directory is not there: deleted, moved, or on a disk that is not mounted.
    Missing,
    /// Its registration or link is damaged; why.
    Corrupt(String),
    /// Being made right now by another process, or left half-made by one that stock git ran.
    HalfMade,
}

/// All linked worktrees by name; the main worktree is [`Repository::root`].
///
/// Cleans up first after processes that died, if there are any; on a read-only disk it lists without.
pub fn list(repository: &Repository) -> Result<Vec<Worktree>, WorktreeError> {
    if record::is_anything_left(repository)
        && let Ok(guard) = hand::acquire(repository, &AtomicBool::new(false))
    {
        record::recover(repository, &guard)?;
    }
    let local = repository.local();
    let mut found: Vec<_> =
        registry::all(repository)?.iter().map(|registration| describe(&local, registration)).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The worktree of that name, or at that path.
pub fn find(repository: &Repository, name: &str) -> Result<Worktree, WorktreeError> {
    let wanted = std::fs::canonicalize(name).ok();
    let all = list(repository)?;
    all.iter()
        .find(|worktree| worktree.name == name)
        .or_else(|| all.iter().find(|worktree| wanted.as_deref() == Some(worktree.path.as_path())))
        .cloned()
        .ok_or_else(|| WorktreeError::Unknown(name.to_owned()))
}

pub(crate) fn describe(local: &gix::Repository, registration: &Registration) -> Worktree {
    let note = registration.note.as_ref();
    let commit = match (&registration.branch, &registration.detached) {
        (Some(branch), _) => local
            .try_find_reference(format!("refs/heads/{branch}").as_str())
            .ok()
            .flatten()
            .and_then(|mut reference| reference.peel_to_id().ok().map(|id| commit_id(id.detach()))),
        (None, Some(hex)) => CommitId::new(hex).ok(),
        (None, None) => None,
    };
    Worktree {
        name: registration.name().to_owned(),
        path: registration.work_dir.clone().unwrap_or_default(),
        branch: registration.branch.clone(),
        commit,
        state: state(registration),
        locked: registration.locked.clone().filter(|_| !registration.is_initializing()),
        purpose: note.and_then(|note| note.purpose.clone()),
        owner: note.and_then(|note| note.owner.clone()),
        created_by: note.map(|note| note.created_by.clone()),
        created_at: note.map(|note| note.created_at),
        environment: note.map(|note| note.environment.clone()).unwrap_or_default(),
    }
}

fn state(registration: &Registration) -> State {
    let Some(work_dir) = &registration.work_dir else {
        return State::Corrupt("its registration does not say where it is".to_owned());
    };
    if registration.branch.is_none() && registration.detached.is_none() {
        return State::Corrupt("its `HEAD` cannot be read".to_owned());
    }
    if registration.is_initializing() {
        return State::HalfMade;
    }
    if !work_dir.is_dir() {
        return State::Missing;
    }
    if !registration.is_linked() {
        return State::Corrupt(format!("`{}` does not point back to it", work_dir.join(".git").display()));
    }
    State::Ok
}
