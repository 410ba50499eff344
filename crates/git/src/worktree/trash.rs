//! Where removed worktrees wait.
//!
//! An entry is a directory `.git/pleach/trash/ID` with `entry.json`, the registration (`admin`) and, when the worktree was
//! on the same file system, its files (`files`); else the files wait beside the place where they were, so that moving
//! them is always one rename. The note is written durably before the first rename, so a kill at any point leaves
//! something that [`recover`] can carry on with:
//!
//! | found | done |
//! |---|---|
//! | note, files still in place | the note is dropped: nothing was removed |
//! | note, files moved, registration still in place | the registration is moved too |
//! | note, files moved back, registration still in the trash | the registration is moved back too |

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use pleach_core::word::CommitId;
use serde::{Deserialize, Serialize};

use crate::branch;
use crate::durable;
use crate::error::{Cause, Error, Result};
use crate::repository::{Repository, object_id};
use crate::worktree::hand::Guard;
use crate::worktree::record::Record;
use crate::worktree::registry;

/// Refs that keep commits of removed detached worktrees from being collected.
const PINS: &str = "refs/pleach/trash/";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Where it was.
    pub(crate) work_dir: PathBuf,
    /// Where its files are now.
    pub(crate) files: PathBuf,
    /// Where its registration was.
    pub(crate) admin: PathBuf,
    pub(crate) branch: Option<String>,
    /// Where the branch was, to make it again if it was deleted meanwhile; nothing when it had no commit.
    #[serde(default)]
    pub(crate) tip: Option<CommitId>,
    /// A detached commit, pinned.
    pub(crate) detached: Option<CommitId>,
    pub(crate) removed_at: Timestamp,
    pub(crate) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Why {
    /// Somebody removed it.
    Removed,
    /// Its maker died half-way.
    HalfMade,
}

/// An entry and its directory in the trash.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) entry: Entry,
    pub(crate) place: PathBuf,
}

impl Kept {
    fn admin(&self) -> PathBuf {
        self.place.join("admin")
    }

    fn pin(&self) -> String {
        format!("{PINS}{}", self.place.file_name().unwrap_or_default().to_string_lossy())
    }
}

fn directory(repository: &Repository) -> PathBuf {
    repository.state_dir().join("trash")
}

/// All entries, oldest first.
pub(crate) fn all(repository: &Repository) -> Result<Vec<Kept>> {
    let directory = directory(repository);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("list", &directory)(error)),
    };
    let mut found: Vec<Kept> = entries
        .filter_map(|entry| {
            let place = entry.ok()?.path();
            let entry = serde_json::from_slice(&fs::read(place.join("entry.json")).ok()?).ok()?;
            Some(Kept { entry, place })
        })
        .collect();
    found.sort_by(|a, b| (a.entry.removed_at, &a.place).cmp(&(b.entry.removed_at, &b.place)));
    Ok(found)
}

/// Whether an entry is between two renames.
pub(crate) fn is_anything_left(repository: &Repository) -> bool {
    all(repository).is_ok_and(|all| all.iter().any(is_unfinished))
}

fn is_unfinished(kept: &Kept) -> bool {
    let (files, admin) = (exists(&kept.entry.files), kept.admin().exists());
    !admin || (!files && registry::link_target(&kept.entry.work_dir).as_deref() == Some(kept.entry.admin.as_path()))
}

/// Moves a worktree and its registration here.
pub(crate) fn put(repository: &Repository, mut entry: Entry, _guard: &Guard) -> Result<Kept> {
    let trash = directory(repository);
    fs::create_dir_all(&trash).map_err(Error::file("make", &trash))?;
    let place = fresh(&trash, &entry)?;
    let inside = place.join("files");
    entry.files = if is_same_file_system(&entry.work_dir, &trash) { inside } else { beside(&entry, &place) };
    let mut kept = Kept { entry, place };
    note(&kept)?;
    pin(repository, &kept)?;
    if exists(&kept.entry.work_dir) {
        let moved = match fs::rename(&kept.entry.work_dir, &kept.entry.files) {
            // Another mount of the same file system.
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                kept.entry.files = beside(&kept.entry, &kept.place);
                note(&kept)?;
                fs::rename(&kept.entry.work_dir, &kept.entry.files)
            }
            moved => moved,
        };
        if let Err(error) = moved {
            let _ = forget(repository, &kept);
            return Err(Error::file("move", &kept.entry.work_dir)(error));
        }
    }
    rename(&kept.entry.admin, &kept.admin())?;
    Ok(kept)
}

/// Puts a dead process's half here.
pub(crate) fn set_aside(repository: &Repository, record: &Record, guard: &Guard) -> Result<()> {
    let linked = registry::links_to(&record.work_dir, &record.admin);
    if !linked && !record.work_dir_existed {
        let _ = fs::remove_dir(&record.work_dir);
    }
    let entry = Entry {
        name: record.name.clone(),
        // What is not linked to this registration is not its worktree, and stays where it is.
        work_dir: if linked { record.work_dir.clone() } else { record.admin.join("no-files") },
        files: PathBuf::new(),
        admin: record.admin.clone(),
        branch: None,
        tip: None,
        detached: None,
        removed_at: Timestamp::now(),
        why: Why::HalfMade,
    };
    put(repository, entry, guard)?;
    if linked && record.work_dir_existed {
        fs::create_dir_all(&record.work_dir).map_err(Error::file("make", &record.work_dir))?;
    }
    Ok(())
}

/// Moves an entry back to where it was.
pub(crate) fn take_back(repository: &Repository, kept: &Kept, _guard: &Guard) -> Result<()> {
    if exists(&kept.entry.files) {
        if let Some(parent) = kept.entry.work_dir.parent() {
            fs::create_dir_all(parent).map_err(Error::file("make", parent))?;
        }
        rename(&kept.entry.files, &kept.entry.work_dir)?;
    }
    register(kept)?;
    forget(repository, kept)
}

/// Git deletes the directory of all registrations when it is empty.
fn register(kept: &Kept) -> Result<()> {
    if let Some(all) = kept.entry.admin.parent() {
        fs::create_dir_all(all).map_err(Error::file("make", all))?;
    }
    rename(&kept.admin(), &kept.entry.admin)
}

/// Deletes an entry for good.
pub(crate) fn delete(repository: &Repository, kept: &Kept) -> Result<()> {
    for path in [&kept.entry.files, &kept.admin()] {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file("remove", path)(error));
            }
            _ => {}
        }
    }
    forget(repository, kept)
}

/// Whether an entry has waited long enough.
pub(crate) fn is_older(kept: &Kept, age: Duration) -> bool {
    let waited = Timestamp::now().duration_since(kept.entry.removed_at);
    !waited.is_negative() && waited.unsigned_abs() >= age
}

/// Carries on with what a kill interrupted.
pub(crate) fn recover(repository: &Repository, _guard: &Guard) -> Result<()> {
    let staging = repository.state_dir().join("staging");
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(Error::file("clear", &staging))?;
    }
    for kept in all(repository)?.iter().filter(|kept| is_unfinished(kept)) {
        let in_trash = kept.admin().exists();
        if in_trash {
            register(kept)?;
            forget(repository, kept)?;
        } else if exists(&kept.entry.files) || kept.entry.why == Why::HalfMade && kept.entry.admin.exists() {
            if kept.entry.admin.exists() {
                rename(&kept.entry.admin, &kept.admin())?;
            } else {
                fs::create_dir_all(kept.admin()).map_err(Error::file("make", &kept.admin()))?;
            }
        } else {
            forget(repository, kept)?;
        }
    }
    Ok(())
}

fn forget(repository: &Repository, kept: &Kept) -> Result<()> {
    if let Some(commit) = &kept.entry.detached {
        // Already gone: then there is nothing to unpin.
        let _ = branch::delete_reference(repository, &kept.pin(), commit);
    }
    match fs::remove_dir_all(&kept.place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", &kept.place)(error)),
        _ => Ok(()),
    }
}

fn pin(repository: &Repository, kept: &Kept) -> Result<()> {
    if let Some(commit) = &kept.entry.detached {
        let any = gix::refs::transaction::PreviousValue::Any;
        repository
            .local_for_writing()?
            .reference(kept.pin(), object_id(commit)?, any, "removed worktree")
            .map_err(Error::failed(format!("keep commit {commit}")))?;
    }
    Ok(())
}

fn note(kept: &Kept) -> Result<()> {
    let path = kept.place.join("entry.json");
    let text = serde_json::to_vec_pretty(&kept.entry)
        .map_err(|error| Error::file("write", &path)(Cause::new(error.to_string())))?;
    durable::replace(&path, &text)
}

/// A new directory in the trash; removals within one second are told apart by a number.
fn fresh(trash: &Path, entry: &Entry) -> Result<PathBuf> {
    let stamp = entry.removed_at.strftime("%Y%m%dT%H%M%S");
    let mut number = 0_u32;
    loop {
        let place = trash.join(format!("{stamp}-{number}-{}", entry.name));
        match fs::create_dir(&place) {
            Ok(()) => return Ok(place),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(Error::file("make", &place)(error)),
        }
    }
}

fn beside(entry: &Entry, place: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".pleach-trash-");
    name.push(place.file_name().unwrap_or_default());
    entry.work_dir.with_file_name(name)
}

fn is_same_file_system(path: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (fs::metadata(path.parent().unwrap_or(path)), fs::metadata(other)) {
        (Ok(a), Ok(b)) => a.dev() == b.dev(),
        _ => true,
    }
}

/// Also true for a dangling link.
fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(Error::file("move", from))
}
