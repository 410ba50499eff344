//! What differs between two commits, or between the files of two worktrees.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::bstr::ByteSlice as _;
use gix::diff::Rewrites;
use gix::object::tree::diff::ChangeDetached;
use gix::objs::tree::EntryKind;
use pleach_core::word::CommitId;

use crate::error::{Error, Result};
use crate::repository::{Repository, object_id};
use crate::worktree::status;

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiffSide {
    /// As committed.
    Commit(CommitId),
    /// As a worktree's files are now, with changes that nobody committed and files that nobody added.
    Worktree(PathBuf),
}

/// How a file differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Only the second side has it.
    Added,
    /// Only the first side has it.
    Removed,
    /// Both have it, with other content or another mode.
    Modified,
    /// The second side has it under another name.
    Renamed {
        /// Its name on the first side.
        from: PathBuf,
    },
}

/// One file that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffEntry {
    /// In the repository, with `/`; its name on the second side where it has one.
    pub path: PathBuf,
    /// How it differs.
    pub difference: Difference,
    /// Lines that only the second side has; nothing for content that is not text.
    pub added_lines: Option<usize>,
    /// Lines that only the first side has; nothing for content that is not text.
    pub removed_lines: Option<usize>,
}

impl Repository {
    /// What differs between two sides, by path; renames are found as `git diff` finds them.
    pub fn diff(&self, first: &DiffSide, second: &DiffSide) -> Result<Vec<DiffEntry>> {
        // Trees of worktrees are made in memory: nothing is written into the repository.
        let local = self.local().with_object_memory();
        let failed = || Error::failed("compare");
        let (before, after) = (self.side_tree(&local, first)?, self.side_tree(&local, second)?);
        let (before, after) = (local.find_tree(before).map_err(failed())?, local.find_tree(after).map_err(failed())?);
        let options = gix::diff::Options::default().with_rewrites(Some(Rewrites::default()));
        let changes = local.diff_tree_to_tree(&before, &after, options).map_err(failed())?;
        let mut found: Vec<DiffEntry> = Vec::new();
        for change in &changes {
            found.extend(entry(&local, change)?);
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn side_tree(&self, local: &gix::Repository, side: &DiffSide) -> Result<ObjectId> {
        match side {
            DiffSide::Commit(id) => local
                .find_commit(object_id(id)?)
                .and_then(|commit| Ok(commit.tree_id()?.detach()))
                .map_err(Error::failed(format!("read commit {id}"))),
            DiffSide::Worktree(path) => self.worktree_tree(local, path),
        }
    }

    /// The tree that `git add --all && git write-tree` would make, in the memory of `local`.
    fn worktree_tree(&self, local: &gix::Repository, path: &Path) -> Result<ObjectId> {
        let at = self.at(path)?;
        let failed = || Error::failed(format!("read the files of `{}`", path.display()));
        let dirt = status::of_files(&at, None)?;
        let mut own = at.local().with_object_memory();
        let head = own.head_tree_id_or_empty().map_err(failed())?.detach();
        let mut editor = local.edit_tree(head).map_err(failed())?;
        let (mut pipeline, index) = own.filter_pipeline(None).map_err(failed())?;
        for changed in dirt.modified.iter().chain(&dirt.staged).chain(&dirt.untracked) {
            let name = changed.as_os_str().as_bytes().as_bstr();
            match pipeline.worktree_file_to_object(name, &index).map_err(failed())? {
                Some((id, kind, _)) => editor.upsert(name, kind, id).map_err(failed())?,
                None => editor.remove(name).map_err(failed())?,
            };
        }
        drop((pipeline, index));
        for (_, (kind, data)) in own.objects.take_object_memory().unwrap_or_default().iter() {
            gix::objs::Write::write_buf(&local.objects, *kind, data).map_err(failed())?;
        }
        Ok(editor.write().map_err(failed())?.detach())
    }
}

fn entry(local: &gix::Repository, change: &ChangeDetached) -> Result<Option<DiffEntry>> {
    let none = local.object_hash().null();
    let (path, difference, kind, before, after) = match change {
        ChangeDetached::Addition { location, entry_mode, id, .. } => {
            (location, Difference::Added, entry_mode.kind(), none, *id)
        }
        ChangeDetached::Deletion { location, entry_mode, id, .. } => {
            (location, Difference::Removed, entry_mode.kind(), *id, none)
        }
        ChangeDetached::Modification { location, entry_mode, previous_id, id, .. } => {
            (location, Difference::Modified, entry_mode.kind(), *previous_id, *id)
        }
        ChangeDetached::Rewrite { source_location, source_id, location, entry_mode, id, .. } => {
            let from = PathBuf::from(OsStr::from_bytes(source_location));
            (location, Difference::Renamed { from }, entry_mode.kind(), *source_id, *id)
        }
    };
    if kind == EntryKind::Tree {
        return Ok(None);
    }
    let counts = if kind == EntryKind::Commit { None } else { count_lines(local, before, after)? };
    Ok(Some(DiffEntry {
        path: PathBuf::from(OsStr::from_bytes(path)),
        difference,
        added_lines: counts.map(|(added, _)| added),
        removed_lines: counts.map(|(_, removed)| removed),
    }))
}

/// Added and removed lines; nothing when one side is not text (a zero in its first 8000 bytes, as git tells).
fn count_lines(local: &gix::Repository, before: ObjectId, after: ObjectId) -> Result<Option<(usize, usize)>> {
    let read = |id: ObjectId| -> Result<Vec<u8>> {
        if id.is_null() {
            return Ok(Vec::new());
        }
        let mut object = local.find_object(id).map_err(Error::reading(local, format!("read object {id}")))?;
        Ok(std::mem::take(&mut object.data))
    };
    let (before, after) = (read(before)?, read(after)?);
    if [&before, &after].iter().any(|data| data.iter().take(8000).any(|byte| *byte == 0)) {
        return Ok(None);
    }
    Ok(Some(compare_lines(&before, &after)))
}

fn compare_lines(before: &[u8], after: &[u8]) -> (usize, usize) {
    use gix::diff::blob::{Algorithm, Diff, InternedInput};
    let input = InternedInput::new(before, after);
    let diff = Diff::compute(Algorithm::Histogram, &input);
    let added = usize::try_from(diff.count_additions()).unwrap_or(usize::MAX);
    let removed = usize::try_from(diff.count_removals()).unwrap_or(usize::MAX);
    (added, removed)
}
