//! Creation records: what is being made, so that a dead process's half is found and taken away.
//!
//! A record is a file in `.git/pleach/creating`, locked (`flock`) by its maker for as long as the maker lives. Process id
//! and time in it are for people; the lock alone decides whether the maker is alive, so that neither a reused process
//! id nor a jumping clock can mislead.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pleach_core::word::CommitId;
use serde::{Deserialize, Serialize};

use crate::branch;
use crate::durable;
use crate::error::{Cause, Error, Result};
use crate::repository::Repository;
use crate::update;
use crate::worktree::hand::{self, Guard};
use crate::worktree::trash;
use crate::worktree::{change, registry};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) work_dir: PathBuf,
    /// Whether the directory was there before, empty.
    pub(crate) work_dir_existed: bool,
    pub(crate) admin: PathBuf,
    /// A branch that is made with it, and where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) new_branch: Option<(String, CommitId)>,
    pub(crate) process: u32,
    pub(crate) started_at: Timestamp,
}

/// A record whose maker is this process.
#[derive(Debug)]
pub(crate) struct Creation {
    pub(crate) record: Record,
    path: PathBuf,
    /// Held open for its lock.
    _file: File,
}

fn directory(repository: &Repository) -> PathBuf {
    repository.state_dir().join("creating")
}

/// Writes a record durably, before anything that it announces is done.
pub(crate) fn begin(repository: &Repository, record: Record) -> Result<Creation> {
    let directory = directory(repository);
    fs::create_dir_all(&directory).map_err(Error::file("make", &directory))?;
    let path = directory.join(format!("{}.json", record.name));
    let text = serde_json::to_vec_pretty(&record)
        .map_err(|error| Error::file("write", &path)(Cause::new(error.to_string())))?;
    let mut file = hand::open(&path)?;
    if !hand::is_free(&file) {
        return Err(Error::File("lock", path, Cause::new("another process is making a worktree of this name")));
    }
    let mut write = || -> std::io::Result<()> {
        file.set_len(0)?;
        file.write_all(&text)?;
        file.sync_all()?;
        durable::sync_directory(&directory)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&path);
        Error::file("write", &path)(error)
    })?;
    Ok(Creation { record, path, _file: file })
}

impl Creation {
    /// The worktree is complete: unlocks it for git and forgets the record.
    pub(crate) fn complete(self) -> Result<()> {
        complete(&self.record)?;
        remove(&self.path)
    }

    /// Takes away what was made, at once and wholly: nobody else can have put anything there yet.
    pub(crate) fn roll_back(self, repository: &Repository, _guard: &Guard) -> Result<()> {
        let record = &self.record;
        if registry::links_to(&record.work_dir, &record.admin) {
            if record.work_dir_existed {
                clear(&record.work_dir)?;
            } else {
                fs::remove_dir_all(&record.work_dir).map_err(Error::file("remove", &record.work_dir))?;
            }
        } else if !record.work_dir_existed {
            // Made, but not linked yet; anything but an empty directory is not ours.
            let _ = fs::remove_dir(&record.work_dir);
        }
        if record.admin.exists() {
            fs::remove_dir_all(&record.admin).map_err(Error::file("remove", &record.admin))?;
        }
        forget_branch(repository, record);
        remove(&self.path)
    }
}

fn complete(record: &Record) -> Result<()> {
    let locked = record.admin.join("locked");
    match fs::read_to_string(&locked) {
        Ok(reason) if reason.trim_end() == registry::INITIALIZING => remove(&locked),
        _ => Ok(()),
    }
}

/// Finishes or takes away what dead processes left. Called first by every operation, under the lock.
pub(crate) fn recover(repository: &Repository, guard: &Guard) -> Result<()> {
    trash::recover(repository, guard)?;
    change::recover(repository, guard)?;
    update::recover(repository, guard)?;
    let directory = directory(repository);
    for path in files(&directory)? {
        let file = hand::open(&path)?;
        if !hand::is_free(&file) {
            continue;
        }
        let text = fs::read(&path).map_err(Error::file("read", &path))?;
        // A record that was cut by the kill announces nothing that was begun.
        if let Ok(record) = serde_json::from_slice::<Record>(&text) {
            recover_one(repository, &record, guard)?;
        }
        remove(&path)?;
    }
    Ok(())
}

fn recover_one(repository: &Repository, record: &Record, guard: &Guard) -> Result<()> {
    let registration = registry::all(repository)?.into_iter().find(|found| found.admin == record.admin);
    if let Some(registration) = &registration
        && registration.has_index()
        && registration.is_linked()
    {
        if let Some(note) = &registration.note {
            note.write_files(&record.work_dir)?;
        }
        return complete(record);
    }
    let ours = registration.as_ref().is_some_and(|found| found.is_initializing());
    if ours {
        // Whoever found the directory may have put files there since: nothing is deleted, only set aside.
        trash::set_aside(repository, record, guard)?;
    } else if registration.is_none() && !record.work_dir_existed {
        let _ = fs::remove_dir(&record.work_dir);
    }
    forget_branch(repository, record);
    Ok(())
}

/// Deletes a branch that was made for the worktree, unless it moved.
fn forget_branch(repository: &Repository, record: &Record) {
    if let Some((name, at)) = &record.new_branch {
        // Not there yet, moved or in use: then it stays as it is.
        let _ = branch::delete_reference(repository, &format!("refs/heads/{name}"), at);
    }
}

/// Whether dead processes may have left something: cheap, and needs no lock.
pub(crate) fn is_anything_left(repository: &Repository) -> bool {
    files(&directory(repository)).is_ok_and(|files| !files.is_empty())
        || trash::is_anything_left(repository)
        || change::is_anything_left(repository)
        || update::is_anything_left(repository)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("list", directory)(error)),
    };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

fn clear(directory: &Path) -> Result<()> {
    let entries = fs::read_dir(directory).map_err(Error::file("list", directory))?;
    for entry in entries {
        let entry = entry.map_err(Error::file("list", directory))?;
        let path = entry.path();
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(Error::file("remove", &path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;
    use crate::repository::object_id;
    use crate::system_git;
    use crate::worktree::note::Note;
    use crate::worktree::registry::{Entry, IndexLock};
    use crate::worktree::{self, Head, WorktreeSpec};

    fn sample() -> (tempfile::TempDir, Repository) {
        let place = tempfile::tempdir().expect("a directory");
        let root = fs::canonicalize(place.path()).expect("a path").join("main");
        fs::create_dir(&root).expect("made");
        let identity = ["-c", "user.name=Sample", "-c", "user.email=sample@example.com"];
        for arguments in [&["init", "-q", "-b", "main"][..], &["commit", "-q", "--allow-empty", "-m", "First"]] {
            let arguments: Vec<&str> = identity.iter().chain(arguments).copied().collect();
            assert!(system_git::run(&root, &arguments).expect("git runs").status.success());
        }
        let repository = Repository::discover(&root).expect("found");
        (place, repository)
    }

    /// Does the first steps of a creation and dies: the record's lock is let go, nothing else is tidied.
    fn die_after(repository: &Repository, steps: usize) -> PathBuf {
        let work_dir = repository.root().with_file_name("topic");
        let at = repository.resolve("main").expect("there");
        let note = Note {
            version: 1,
            name: "topic".into(),
            branch: Some("topic".into()),
            base: at.clone(),
            purpose: None,
            owner: None,
            created_by: "test".into(),
            created_at: Timestamp::now(),
            environment: Default::default(),
        };
        let record = Record {
            name: "topic".into(),
            work_dir: work_dir.clone(),
            work_dir_existed: false,
            admin: repository.common_dir().join("worktrees/topic"),
            new_branch: Some(("topic".into(), at.clone())),
            process: 1,
            started_at: Timestamp::now(),
        };
        let creation = begin(repository, record).expect("begun");
        if steps >= 1 {
            repository.create_branch("topic", &at).expect("made");
        }
        if steps >= 2 {
            let entry = Entry {
                id: "topic",
                work_dir: &work_dir,
                head: "ref: refs/heads/topic".into(),
                commit: object_id(&at).expect("an id"),
                note: &note,
                index: IndexLock::Held,
            };
            let local = repository.local_for_writing().expect("opened");
            registry::register(repository, &local, &entry).expect("registered");
        }
        if steps >= 3 {
            fs::create_dir(&work_dir).expect("made");
        }
        if steps >= 4 {
            registry::write_link(&work_dir, &creation.record.admin).expect("linked");
            fs::write(work_dir.join("half"), "a file").expect("written");
        }
        work_dir
    }

    #[test]
    fn a_maker_that_died_after_any_step_leaves_nothing_behind() {
        for steps in 0..=4 {
            let (_place, repository) = sample();
            let work_dir = die_after(&repository, steps);
            let tidied = || worktree::list(&repository).expect("listed").is_empty() && !is_anything_left(&repository);
            // Between its fork and its exec, a child that another test starts holds the record's lock as well.
            let is_tidy = (0..200).any(|_| {
                let is_tidy = tidied();
                std::thread::sleep(Duration::from_millis(if is_tidy { 0 } else { 10 }));
                is_tidy
            });
            assert!(is_tidy, "{steps}");
            assert!(!work_dir.exists(), "{steps}");
            assert!(repository.require_branch("topic").is_err(), "{steps}");
            assert_eq!(worktree::undo(&repository), Err(worktree::WorktreeError::NothingToUndo));
            let spec = WorktreeSpec {
                name: "topic".into(),
                path: work_dir,
                head: Head::NewBranch { name: "topic".into(), at: repository.resolve("main").expect("there") },
                purpose: None,
                owner: None,
                created_by: "test".into(),
                environment: Default::default(),
            };
            let made = worktree::add_many(&repository, &[spec], &|_| {}, &AtomicBool::new(false));
            assert!(made[0].is_ok(), "{steps}: {made:?}");
        }
    }

    #[test]
    fn a_directory_that_somebody_filled_meanwhile_is_left_alone() {
        let (_place, repository) = sample();
        let work_dir = die_after(&repository, 3);
        fs::write(work_dir.join("mine"), "x").expect("written");
        worktree::list(&repository).expect("listed");
        assert_eq!(fs::read(work_dir.join("mine")).expect("still there"), b"x");
    }

    #[test]
    fn a_branch_that_moved_meanwhile_is_kept() {
        let (_place, repository) = sample();
        die_after(&repository, 1);
        let identity = ["-c", "user.name=Sample", "-c", "user.email=sample@example.com"];
        let commit = ["commit", "-q", "--allow-empty", "-m", "More"];
        for arguments in [&["switch", "-q", "topic"][..], &commit, &["switch", "-q", "main"]] {
            let arguments: Vec<&str> = identity.iter().chain(arguments).copied().collect();
            assert!(system_git::run(repository.root(), &arguments).expect("git runs").status.success());
        }
        worktree::list(&repository).expect("listed");
        assert!(repository.require_branch("topic").is_ok());
    }

    #[test]
    fn a_record_whose_maker_lives_is_left_alone() {
        let (_place, repository) = sample();
        let record = Record {
            name: "topic".into(),
            work_dir: repository.root().with_file_name("topic"),
            work_dir_existed: false,
            admin: repository.common_dir().join("worktrees/topic"),
            new_branch: None,
            process: std::process::id(),
            started_at: Timestamp::now(),
        };
        let living = begin(&repository, record).expect("begun");
        worktree::list(&repository).expect("listed");
        assert!(living.path.exists());
    }
}
