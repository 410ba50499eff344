//! Taking a worktree from one commit to another, writing only what differs.
//!
//! Used by fast-forward and merge on a branch that is checked out. The order makes a kill harmless:
//!
//! | step | after a kill here, the next operation on this repository |
//! |---|---|
//! | 1. durable note of both commits | forgets it, or goes on |
//! | 2. each file by rename, deletions first | goes on; a file that is neither the old nor the new content is the user's and stays |
//! | 3. the branch, compared and swapped | goes on |
//! | 4. the index, by rename | goes on |
//! | 5. the note is deleted | – |
//!
//! Before step 1 the files that would be written are compared with the old commit; if one differs, nothing is done.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice as _;
use gix::objs::tree::EntryKind;
use pleach_core::word::CommitId;
use serde::{Deserialize, Serialize};

use crate::checkout::convert::Converter;
use crate::checkout::listing::{Entry, Listing};
use crate::checkout::write::Stamp;
use crate::durable;
use crate::error::{Cause, Error, Result};
use crate::repository::{Repository, object_id};
use crate::worktree::hand::Guard;
use crate::worktree::{registry, status};

/// The content of an index lock of ours.
const LOCK_MARK: &[u8] = b"pleach\n";

/// What moves together with the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tip {
    Branch(String),
    Detached,
}

/// Which changes of the user stand in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Any tracked file that differs.
    Everything,
    /// Only what the update would write.
    Touched,
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    work_dir: PathBuf,
    tip: Tip,
    from: CommitId,
    to: CommitId,
    why: String,
}

/// A planned update.
pub(crate) struct Update<'a> {
    repository: &'a Repository,
    /// The same repository, opened at the worktree.
    at: Repository,
    note: Note,
    old: Listing,
    new: Listing,
    touched: Vec<Touch>,
}

/// One path that differs between the commits, with its entry in each.
#[derive(Clone, Copy, Debug)]
struct Touch {
    old: Option<usize>,
    new: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Caution {
    /// Everything was compared before.
    Compared,
    /// After a kill: what is neither old nor new is the user's.
    CompareEach,
}

impl<'a> Update<'a> {
    pub(crate) fn new(
        repository: &'a Repository,
        work_dir: &Path,
        tip: Tip,
        from: &CommitId,
        to: &CommitId,
        why: &str,
    ) -> Result<Self> {
        let at = repository.at(work_dir)?;
        let local = at.local();
        let tree = |id: &CommitId| -> Result<Listing> {
            let tree = local.find_commit(object_id(id)?).and_then(|commit| Ok(commit.tree_id()?.detach()));
            Listing::new(&local, tree.map_err(Error::failed(format!("read commit {id}")))?)
        };
        let (old, new) = (tree(from)?, tree(to)?);
        let touched = differences(&old, &new);
        let note = Note { work_dir: work_dir.to_owned(), tip, from: from.clone(), to: to.clone(), why: why.to_owned() };
        Ok(Self { repository, at, note, old, new, touched })
    }

    fn path(&self, touch: Touch) -> &[u8] {
        match (touch.new, touch.old) {
            (Some(new), _) => self.new.path(new),
            (None, Some(old)) => self.old.path(old),
            (None, None) => b"",
        }
    }

    fn full(&self, path: &[u8]) -> PathBuf {
        self.note.work_dir.join(OsStr::from_bytes(path))
    }

    /// The user's changes that stand in the way, a line each.
    pub(crate) fn obstacles(&self, strictness: Strictness) -> Result<Vec<String>> {
        let dirt = status::of_files(&self.at, None)?;
        let touched: BTreeSet<&[u8]> = self.touched.iter().map(|touch| self.path(*touch)).collect();
        let mut lines = Vec::new();
        lines.extend(dirt.unfinished.iter().map(|what| format!("unfinished: {what}")));
        for (label, paths) in [("modified", &dirt.modified), ("staged", &dirt.staged)] {
            let counts =
                |path: &&PathBuf| strictness == Strictness::Everything || touched.contains(path.as_os_str().as_bytes());
            lines.extend(paths.iter().filter(counts).map(|path| format!("{label}: {}", path.display())));
        }
        for touch in self.touched.iter().filter(|touch| touch.old.is_none()) {
            lines.extend(self.in_the_way(self.path(*touch)).map(|path| format!("not tracked: {}", path.display())));
        }
        lines.dedup();
        Ok(lines)
    }

    /// Something at a new file's path, or at one of its directories, that the old commit did not put there.
    fn in_the_way(&self, path: &[u8]) -> Option<PathBuf> {
        let from_old = |path: &[u8]| self.old.find(path).is_some();
        for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let meta = fs::symlink_metadata(self.full(&path[..end])).ok()?;
            if !meta.is_dir() {
                return (!from_old(&path[..end])).then(|| PathBuf::from(OsStr::from_bytes(&path[..end])));
            }
        }
        let full = self.full(path);
        let meta = fs::symlink_metadata(&full).ok()?;
        if !meta.is_dir() {
            return (!from_old(path)).then(|| PathBuf::from(OsStr::from_bytes(path)));
        }
        // A directory that becomes a file: all that is in it must be the old commit's.
        let mut open = vec![full];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).ok()?.flatten() {
                let inner = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    open.push(inner);
                } else {
                    let relative = inner.strip_prefix(&self.note.work_dir).ok()?.to_owned();
                    if !from_old(relative.as_os_str().as_bytes()) {
                        return Some(relative);
                    }
                }
            }
        }
        None
    }

    /// Does it. The caller has looked at [`obstacles`](Self::obstacles) and holds the lock.
    pub(crate) fn run(&self, guard: &Guard) -> Result<()> {
        let note = note_path(self.repository)?;
        let text = serde_json::to_vec(&self.note)
            .map_err(|error| Error::file("write", &note)(Cause::new(error.to_string())))?;
        durable::replace(&note, &text)?;
        let done = self.lock_index().and_then(|lock| {
            let done = self.carry_out(Caution::Compared);
            if done.is_err() {
                self.go_back(guard);
            }
            let _ = fs::remove_file(lock);
            done
        });
        fs::remove_file(&note).map_err(Error::file("remove", &note))?;
        done
    }

    fn carry_out(&self, caution: Caution) -> Result<()> {
        let stamps = self.write_files(caution)?;
        let index = self.index(&stamps)?;
        self.move_tip()?;
        self.replace_index(&index)
    }

    fn replace_index(&self, bytes: &[u8]) -> Result<()> {
        let path = self.at.local().git_dir().join("index");
        let beside = path.with_file_name("index.pleach");
        let write = || fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, &path));
        write().map_err(Error::file("write", &path))
    }

    /// The branch did not move: the files go back to what they were.
    fn go_back(&self, _guard: &Guard) {
        let back = Update::new(
            self.repository,
            &self.note.work_dir,
            self.note.tip.clone(),
            &self.note.to,
            &self.note.from,
            "",
        );
        if let Ok(back) = back
            && let Ok(stamps) = back.write_files(Caution::CompareEach)
            && let Ok(index) = back.index(&stamps)
        {
            // What cannot be taken back shows in `git status`; the error that led here is the one to tell.
            let _ = back.replace_index(&index);
        }
    }

    /// Keeps other git processes from the index. The lock appears with our mark in it, so that one that a kill left
    /// behind is told from another process's.
    fn lock_index(&self) -> Result<PathBuf> {
        let directory = self.at.local().git_dir().to_owned();
        let (path, marked) = (directory.join("index.lock"), directory.join("index.lock.pleach"));
        if fs::read(&path).is_ok_and(|bytes| bytes == LOCK_MARK) {
            return Ok(path);
        }
        fs::write(&marked, LOCK_MARK).map_err(Error::file("write", &marked))?;
        let made = fs::hard_link(&marked, &path);
        let _ = fs::remove_file(&marked);
        made.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Error::File("make", path.clone(), Cause::new("another git process is at work in this worktree"))
            }
            _ => Error::file("make", &path)(error),
        })?;
        Ok(path)
    }

    fn move_tip(&self) -> Result<()> {
        let Note { tip, from, to, why, .. } = &self.note;
        match tip {
            Tip::Branch(name) => match self.repository.move_branch(name, from, to, why) {
                // Moved before the kill.
                Err(Error::Moved { .. }) if self.repository.require_branch(name)?.commit == *to => Ok(()),
                moved => moved,
            },
            Tip::Detached => crate::branch::move_detached(&self.at, from, to, why),
        }
    }

    /// Deletes and writes; gives the stamps of new files, by position in `touched`.
    fn write_files(&self, caution: Caution) -> Result<Vec<Option<Stamp>>> {
        let local = self.at.local();
        let mut old_content = Converter::new(&local, &self.old.attributes)?;
        let mut new_content = Converter::new(&local, &self.new.attributes)?;
        let mut ours = vec![true; self.touched.len()];
        if caution == Caution::CompareEach {
            for (at, touch) in self.touched.iter().enumerate() {
                let path = self.full(self.path(*touch));
                let is = |listing: &Listing, entry: Option<usize>, converter: &mut Converter| {
                    self.is_content(&local, &path, listing, entry, converter)
                };
                ours[at] = is(&self.old, touch.old, &mut old_content)? || is(&self.new, touch.new, &mut new_content)?;
            }
        }
        for (touch, _) in self.touched.iter().zip(&ours).rev().filter(|(touch, ours)| **ours && touch.new.is_none()) {
            self.delete(self.path(*touch))?;
        }
        let mut stamps = vec![None; self.touched.len()];
        for (at, touch) in self.touched.iter().enumerate() {
            if let Some(new) = touch.new.filter(|_| ours[at]) {
                stamps[at] = Some(self.write(&local, new, &mut new_content)?);
            }
        }
        Ok(stamps)
    }

    fn delete(&self, path: &[u8]) -> Result<()> {
        let full = self.full(path);
        match fs::remove_file(&full) {
            // A submodule's directory stays, as with git; a missing file is what is wanted.
            Err(error) if full.is_dir() || error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file("remove", &full)(error)),
            Ok(()) => {}
        }
        let mut directory = full.parent();
        while let Some(path) = directory.filter(|path| *path != self.note.work_dir) {
            if fs::remove_dir(path).is_err() {
                break;
            }
            directory = path.parent();
        }
        Ok(())
    }

    fn write(&self, local: &gix::Repository, new: usize, converter: &mut Converter) -> Result<Stamp> {
        let entry = self.new.entries[new];
        let full = self.full(self.new.path(new));
        let directory = full.parent().unwrap_or(&self.note.work_dir);
        fs::create_dir_all(directory).map_err(Error::file("make", directory))?;
        if entry.kind == EntryKind::Commit {
            fs::create_dir_all(&full).map_err(Error::file("make", &full))?;
            return Ok(Stamp::default());
        }
        let content = content(local, &self.new, new, converter)?;
        let beside = directory.join(format!(".pleach-{}.new", std::process::id()));
        let write = || -> std::io::Result<Stamp> {
            if entry.kind == EntryKind::Link {
                symlink(OsStr::from_bytes(&content), &beside)?;
            } else {
                let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
                file.write_all(&content)?;
                if entry.kind == EntryKind::BlobExecutable {
                    let mode = file.metadata()?.permissions().mode();
                    file.set_permissions(fs::Permissions::from_mode(mode | (mode & 0o444) >> 2))?;
                }
            }
            if fs::symlink_metadata(&full).is_ok_and(|meta| meta.is_dir()) {
                // Emptied by the deletions before; only empty directories are left.
                fs::remove_dir_all(&full)?;
            }
            fs::rename(&beside, &full)?;
            Ok(Stamp::new(&rustix::fs::lstat(&full)?))
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&beside);
            Error::file("write", &full)(error)
        })
    }

    /// Whether a path holds what a listing says; nothing there and nothing said is the same.
    fn is_content(
        &self,
        local: &gix::Repository,
        path: &Path,
        listing: &Listing,
        entry: Option<usize>,
        converter: &mut Converter,
    ) -> Result<bool> {
        let meta = fs::symlink_metadata(path);
        let Some(at) = entry else { return Ok(meta.is_err() || meta.is_ok_and(|meta| meta.is_dir())) };
        let Ok(meta) = meta else { return Ok(true) };
        let wanted = content(local, listing, at, converter)?;
        Ok(match listing.entries[at].kind {
            EntryKind::Link => fs::read_link(path).is_ok_and(|target| target.as_os_str().as_bytes() == wanted),
            EntryKind::Commit => meta.is_dir(),
            _ => meta.is_file() && fs::read(path).is_ok_and(|found| found == wanted),
        })
    }

    fn index(&self, stamps: &[Option<Stamp>]) -> Result<Vec<u8>> {
        let local = self.at.local();
        let failed = || Error::failed(format!("read the index of `{}`", self.note.work_dir.display()));
        let mut index = local.open_index().map_err(failed())?;
        let touched: BTreeSet<&[u8]> = self.touched.iter().map(|touch| self.path(*touch)).collect();
        index.remove_entries(|_, path, _| touched.contains(path.as_bytes()));
        for (touch, stamp) in self.touched.iter().zip(stamps) {
            if let Some(new) = touch.new {
                let Entry { id, kind, .. } = self.new.entries[new];
                let stat = stat(stamp.unwrap_or_default());
                index.dangerously_push_entry(
                    stat,
                    id,
                    gix::index::entry::Flags::empty(),
                    mode(kind),
                    self.new.path(new),
                );
            }
        }
        index.sort_entries();
        // `gix` keeps it as it was, which would make a later commit record old trees.
        index.remove_tree();
        let mut bytes = Vec::new();
        index.write_to(&mut bytes, gix::index::write::Options::default()).map_err(failed())?;
        Ok(bytes)
    }
}

fn content(local: &gix::Repository, listing: &Listing, at: usize, converter: &mut Converter) -> Result<Vec<u8>> {
    let Entry { id, kind, .. } = listing.entries[at];
    if kind == EntryKind::Commit {
        return Ok(Vec::new());
    }
    let mut object = local.find_object(id).map_err(Error::reading(local, format!("read object {id}")))?;
    let data = std::mem::take(&mut object.data);
    if kind == EntryKind::Link {
        return Ok(data);
    }
    Ok(converter.convert(local, listing.path(at), &data)?.unwrap_or(data))
}

fn mode(kind: EntryKind) -> gix::index::entry::Mode {
    use gix::index::entry::Mode;
    match kind {
        EntryKind::BlobExecutable => Mode::FILE_EXECUTABLE,
        EntryKind::Link => Mode::SYMLINK,
        EntryKind::Commit => Mode::COMMIT,
        EntryKind::Blob | EntryKind::Tree => Mode::FILE,
    }
}

fn stat(stamp: Stamp) -> gix::index::entry::Stat {
    let time = |(secs, nsecs)| gix::index::entry::stat::Time { secs, nsecs };
    gix::index::entry::Stat {
        mtime: time(stamp.modified),
        ctime: time(stamp.changed),
        dev: stamp.device,
        ino: stamp.inode,
        uid: stamp.user,
        gid: stamp.group,
        size: stamp.size,
    }
}

fn differences(old: &Listing, new: &Listing) -> Vec<Touch> {
    let (mut left, mut right) = (0, 0);
    let mut found = Vec::new();
    while left < old.entries.len() || right < new.entries.len() {
        let order = match (left < old.entries.len(), right < new.entries.len()) {
            (true, true) => old.path(left).cmp(new.path(right)),
            (true, false) => std::cmp::Ordering::Less,
            _ => std::cmp::Ordering::Greater,
        };
        match order {
            std::cmp::Ordering::Less => {
                found.push(Touch { old: Some(left), new: None });
                left += 1;
            }
            std::cmp::Ordering::Greater => {
                found.push(Touch { old: None, new: Some(right) });
                right += 1;
            }
            std::cmp::Ordering::Equal => {
                let (a, b) = (old.entries[left], new.entries[right]);
                if a.id != b.id || a.kind != b.kind {
                    found.push(Touch { old: Some(left), new: Some(right) });
                }
                left += 1;
                right += 1;
            }
        }
    }
    found
}

fn note_path(repository: &Repository) -> Result<PathBuf> {
    Ok(repository.ensure_state_dir()?.join("updating.json"))
}

pub(crate) fn is_anything_left(repository: &Repository) -> bool {
    repository.state_dir().join("updating.json").exists()
}

/// Goes on with an update that a kill interrupted.
pub(crate) fn recover(repository: &Repository, _guard: &Guard) -> Result<()> {
    if !is_anything_left(repository) {
        return Ok(());
    }
    let path = note_path(repository)?;
    let text = fs::read(&path).map_err(Error::file("read", &path))?;
    let forget = || fs::remove_file(&path).map_err(Error::file("remove", &path));
    let Ok(note) = serde_json::from_slice::<Note>(&text) else { return forget() };
    // The worktree may be gone since; its registration tells.
    let known = note.work_dir == repository.root()
        || registry::all(repository)?.iter().any(|found| found.work_dir.as_deref() == Some(&note.work_dir));
    if !known || !note.work_dir.is_dir() {
        return forget();
    }
    let update = Update::new(repository, &note.work_dir, note.tip.clone(), &note.from, &note.to, &note.why)?;
    let lock = update.lock_index()?;
    let at = match &note.tip {
        Tip::Branch(name) => repository.require_branch(name).map(|branch| branch.commit),
        Tip::Detached => update.at.resolve("HEAD"),
    };
    // Somebody moved the branch since: then the files are theirs to look at, and nothing more is written.
    if at.is_ok_and(|at| at == note.from || at == note.to) {
        update.carry_out(Caution::CompareEach)?;
    }
    let _ = fs::remove_file(&lock);
    forget()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::system_git;
    use crate::worktree::hand;

    /// A repository on `main`, with a branch `next` that changes, adds and deletes a file.
    struct Sample {
        _place: tempfile::TempDir,
        root: PathBuf,
    }

    impl Sample {
        fn new() -> Self {
            let place = tempfile::tempdir().expect("a directory");
            let root = fs::canonicalize(place.path()).expect("a path").join("main");
            fs::create_dir(&root).expect("made");
            let sample = Self { _place: place, root };
            sample.git(&["init", "-q", "-b", "main"]);
            sample.git(&["config", "user.name", "Sample"]);
            sample.git(&["config", "user.email", "sample@example.com"]);
            for name in ["changed", "deleted/deep", "same"] {
                let path = sample.root.join(name);
                fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                fs::write(path, "old\n").expect("written");
            }
            sample.commit();
            sample.git(&["switch", "-q", "-c", "next"]);
            fs::write(sample.root.join("changed"), "new\n").expect("written");
            fs::write(sample.root.join("added"), "new\n").expect("written");
            fs::remove_file(sample.root.join("deleted/deep")).expect("removed");
            sample.commit();
            sample.git(&["switch", "-q", "main"]);
            sample
        }

        fn git(&self, arguments: &[&str]) -> String {
            let output = system_git::run(&self.root, arguments).expect("git runs");
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
        }

        fn commit(&self) {
            self.git(&["add", "-A"]);
            self.git(&["commit", "-q", "-m", "Commit"]);
        }
    }

    /// How far an update came before its process was killed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum KilledAfter {
        Note,
        OneFile,
        Files,
        Branch,
    }

    fn kill(repository: &Repository, at: KilledAfter) {
        let (from, to) = (repository.resolve("main").expect("there"), repository.resolve("next").expect("there"));
        let tip = Tip::Branch("main".into());
        let update = Update::new(repository, repository.root(), tip, &from, &to, "test").expect("planned");
        assert_eq!(update.obstacles(Strictness::Everything).expect("looked"), Vec::<String>::new());
        let note = serde_json::to_vec(&update.note).expect("a note");
        durable::replace(&note_path(repository).expect("a path"), &note).expect("written");
        update.lock_index().expect("locked");
        if at == KilledAfter::OneFile {
            update.delete(b"deleted/deep").expect("deleted");
        }
        if at >= KilledAfter::Files {
            update.write_files(Caution::Compared).expect("written");
        }
        if at == KilledAfter::Branch {
            update.move_tip().expect("moved");
        }
    }

    #[test]
    fn an_update_killed_after_any_step_is_finished_by_the_next_call() {
        for at in [KilledAfter::Note, KilledAfter::OneFile, KilledAfter::Files, KilledAfter::Branch] {
            let sample = Sample::new();
            let repository = Repository::discover(&sample.root).expect("found");
            kill(&repository, at);
            assert!(crate::worktree::list(&repository).expect("listed").is_empty());
            assert_eq!(sample.git(&["status", "--porcelain"]), "", "{at:?}");
            assert_eq!(sample.git(&["rev-parse", "main"]), sample.git(&["rev-parse", "next"]), "{at:?}");
            assert!(!sample.root.join(".git/index.lock").exists());
        }
    }

    #[test]
    fn another_process_at_the_index_stops_it_before_anything_is_written() {
        let sample = Sample::new();
        let repository = Repository::discover(&sample.root).expect("found");
        let lock = sample.root.join(".git/index.lock");
        fs::write(&lock, "").expect("written");
        let (from, to) = (repository.resolve("main").expect("there"), repository.resolve("next").expect("there"));
        assert!(repository.fast_forward("main", &to, &from).is_err());
        assert!(lock.exists() && !is_anything_left(&repository));
        fs::remove_file(&lock).expect("removed");
        assert_eq!(sample.git(&["status", "--porcelain"]), "");
        repository.fast_forward("main", &to, &from).expect("free now");
    }

    #[test]
    fn what_the_user_wrote_after_the_kill_is_kept() {
        let sample = Sample::new();
        let repository = Repository::discover(&sample.root).expect("found");
        kill(&repository, KilledAfter::Note);
        fs::write(sample.root.join("changed"), "mine\n").expect("written");
        crate::worktree::list(&repository).expect("listed");
        assert_eq!(fs::read(sample.root.join("changed")).expect("read"), b"mine\n");
        assert_eq!(sample.git(&["status", "--porcelain"]), " M changed");
    }

    #[test]
    fn a_branch_that_somebody_moved_meanwhile_takes_the_files_back() {
        let sample = Sample::new();
        let repository = Repository::discover(&sample.root).expect("found");
        let (from, to) = (repository.resolve("main").expect("there"), repository.resolve("next").expect("there"));
        let tip = Tip::Branch("main".into());
        let update = Update::new(&repository, repository.root(), tip, &from, &to, "test").expect("planned");
        let other = sample.git(&["commit-tree", "main^{tree}", "-p", "main", "-m", "Other"]);
        sample.git(&["update-ref", "refs/heads/main", &other]);
        let guard = hand::acquire(&repository, &AtomicBool::new(false)).expect("free");
        assert!(matches!(update.run(&guard), Err(Error::Moved { .. })));
        assert_eq!(sample.git(&["rev-parse", "main"]), other);
        assert_eq!(sample.git(&["status", "--porcelain"]), "");
        assert!(!is_anything_left(&repository));
    }
}
