//! What a worktree holds that is nowhere else.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use gix::bstr::BStr;
use gix::dir::entry::Status;
use gix::dir::walk::EmissionMode;
use gix::status::index_worktree::Item as FileItem;
use gix::status::plumbing::index_as_worktree::EntryStatus;
use gix::status::{Item, UntrackedFiles};
use pleach_core::word::CommitId;

use crate::error::{Error, Result};
use crate::repository::{Repository, commit_id};
use crate::worktree::WorktreeError;
use crate::worktree::list::{State, Worktree};
use crate::worktree::note::Note;
use crate::worktree::registry::{self, Registration};

/// Ignored directories that tools make again by themselves.
const CACHE_DIRECTORIES: [&str; 18] = [
    ".cache",
    ".eggs",
    ".gradle",
    ".mypy_cache",
    ".next",
    ".nox",
    ".nyc_output",
    ".parcel-cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    ".turbo",
    ".venv",
    "__pycache__",
    "bower_components",
    "node_modules",
    "target",
    "venv",
];
/// Ends of names of ignored files that tools make again by themselves.
const CACHE_FILES: [&str; 5] = [".pyc", ".pyo", ".o", ".DS_Store", "Thumbs.db"];

/// What would be lost with a worktree; all paths are relative to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dirt {
    /// Tracked files that differ from the index, deleted ones included.
    pub modified: Vec<PathBuf>,
    /// Files whose entry in the index differs from `HEAD`.
    pub staged: Vec<PathBuf>,
    /// Files that git does not know and does not ignore.
    pub untracked: Vec<PathBuf>,
    /// Ignored files that no tool makes again: `.env`, databases, a filestore. A directory ends with `/`.
    pub precious: Vec<PathBuf>,
    /// Commits made here that no remote, no other branch and no tag has, newest first. For a detached `HEAD`: that
    /// nothing has. Without a remote, commits on a branch are kept by the branch and not listed.
    pub unpushed: Vec<CommitId>,
    /// A merge, rebase or other operation that was begun and not finished.
    pub unfinished: Option<String>,
}

impl Dirt {
    /// Whether the worktree can go without losing anything.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    /// Whether tracked files are as committed, and nothing is under way.
    pub fn is_unchanged(&self) -> bool {
        self.modified.is_empty() && self.staged.is_empty() && self.unfinished.is_none()
    }

    /// One line a thing, for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.unfinished.iter().map(|what| format!("unfinished: {what}")));
        for (label, paths) in [
            ("modified", &self.modified),
            ("staged", &self.staged),
            ("untracked", &self.untracked),
            ("ignored, but not a cache", &self.precious),
        ] {
            lines.extend(paths.iter().map(|path| format!("{label}: {}", path.display())));
        }
        lines.extend(self.unpushed.iter().map(|commit| format!("not pushed or merged: {}", commit.short())));
        lines
    }
}

/// What `worktree` holds that is nowhere else. Takes about as long as `git status`.
pub fn status(repository: &Repository, worktree: &Worktree) -> Result<Dirt, WorktreeError> {
    if worktree.state == State::Missing {
        return Err(WorktreeError::Missing(worktree.name.clone(), worktree.path.clone()));
    }
    let found = registry::all(repository)?.into_iter().find(|found| found.name() == worktree.name);
    let registration = found.ok_or_else(|| WorktreeError::Unknown(worktree.name.clone()))?;
    Ok(of_registration(repository, &registration)?)
}

/// The uncommitted and precious files of the worktree at `path`, which may be the main one.
pub fn status_at(repository: &Repository, path: &Path) -> Result<Dirt, WorktreeError> {
    Ok(of_files(&repository.at(path)?, None)?)
}

pub(crate) fn of_registration(repository: &Repository, registration: &Registration) -> Result<Dirt> {
    let Some(work_dir) = registration.work_dir.as_deref().filter(|path| path.is_dir()) else {
        return Ok(Dirt::default());
    };
    let mut dirt = of_files(&repository.at(work_dir)?, registration.note.as_ref())?;
    dirt.unpushed = unpushed(repository, registration)?;
    Ok(dirt)
}

/// The files of the worktree that `repository` was opened at.
pub(crate) fn of_files(repository: &Repository, note: Option<&Note>) -> Result<Dirt> {
    let local = repository.local();
    let root = repository.current_worktree();
    let failed = || Error::failed(format!("look for changes in `{}`", root.display()));
    let platform = local
        .status(gix::progress::Discard)
        .map_err(failed())?
        .untracked_files(UntrackedFiles::Files)
        .index_worktree_rewrites(None)
        .dirwalk_options(|options| {
            options.emit_ignored(Some(EmissionMode::CollapseDirectory)).empty_patterns_match_prefix(false)
        });
    let mut dirt =
        Dirt { unfinished: local.state().map(|state| format!("{state:?}").to_lowercase()), ..Dirt::default() };
    for item in platform.into_iter(None).map_err(failed())? {
        match item.map_err(failed())? {
            Item::TreeIndex(change) => dirt.staged.push(native(change.location())),
            Item::IndexWorktree(FileItem::Modification { rela_path, status, .. }) => match status {
                EntryStatus::NeedsUpdate(_) => {}
                _ => dirt.modified.push(native(rela_path.as_ref())),
            },
            Item::IndexWorktree(FileItem::DirectoryContents { entry, .. }) => match entry.status {
                Status::Untracked => dirt.untracked.push(native(entry.rela_path.as_ref())),
                Status::Ignored(_) => {
                    let path = native(entry.rela_path.as_ref());
                    let ours = note.is_some_and(|note| note.wrote(root, &path.to_string_lossy()));
                    if !ours && is_precious(root, &path) {
                        let is_directory = root.join(&path).is_dir();
                        dirt.precious.push(if is_directory { path.join("") } else { path });
                    }
                }
                Status::Pruned | Status::Tracked => {}
            },
            Item::IndexWorktree(FileItem::Rewrite { dirwalk_entry, .. }) => {
                dirt.untracked.push(native(dirwalk_entry.rela_path.as_ref()));
            }
        }
    }
    for paths in [&mut dirt.modified, &mut dirt.staged, &mut dirt.untracked, &mut dirt.precious] {
        paths.sort();
        paths.dedup();
    }
    Ok(dirt)
}

/// Whether an ignored path holds anything that is not a cache.
fn is_precious(root: &Path, path: &Path) -> bool {
    let is_cache = |name: &OsStr| CACHE_DIRECTORIES.iter().any(|cache| name == OsStr::new(cache));
    let full = root.join(path);
    let is_directory = fs::symlink_metadata(&full).is_ok_and(|meta| meta.is_dir());
    let parents = path.parent().into_iter().flat_map(Path::components);
    if parents.map(|part| part.as_os_str()).any(is_cache) {
        return false;
    }
    let Some(name) = path.file_name() else { return false };
    if !is_directory {
        return !CACHE_FILES.iter().any(|end| name.as_bytes().ends_with(end.as_bytes()));
    }
    if is_cache(name) {
        return false;
    }
    match fs::read_dir(&full) {
        Ok(entries) => entries.flatten().any(|entry| is_precious(root, &path.join(entry.file_name()))),
        // What cannot be looked into may hold anything.
        Err(_) => true,
    }
}

fn unpushed(repository: &Repository, registration: &Registration) -> Result<Vec<CommitId>> {
    let local = repository.local();
    let failed = || Error::failed("list the references");
    let (tip, own) = match (&registration.branch, &registration.detached) {
        (Some(branch), _) => match repository.resolve(&format!("refs/heads/{branch}")) {
            Ok(tip) => (tip, Some(format!("refs/heads/{branch}"))),
            // No commit on it yet.
            Err(_) => return Ok(Vec::new()),
        },
        (None, Some(hex)) => match CommitId::new(hex) {
            Ok(tip) => (tip, None),
            Err(_) => return Ok(Vec::new()),
        },
        (None, None) => return Ok(Vec::new()),
    };
    if own.is_some() && local.remote_names().is_empty() {
        return Ok(Vec::new());
    }
    let mut others: Vec<CommitId> = registration.note.iter().map(|note| note.base.clone()).collect();
    for reference in local.references().map_err(failed())?.all().map_err(failed())? {
        let mut reference = reference.map_err(failed())?;
        let name = reference.name().as_bstr().to_string();
        let counts = ["refs/heads/", "refs/remotes/", "refs/tags/"].iter().any(|prefix| name.starts_with(prefix));
        if counts
            && own.as_deref() != Some(name.as_str())
            && let Ok(commit) = reference.peel_to_commit()
        {
            others.push(commit_id(commit.id));
        }
    }
    others.sort();
    others.dedup();
    // A base that is gone from a shallow or pruned history hides nothing.
    others
        .retain(|id| local.has_object(crate::repository::object_id(id).unwrap_or_else(|_| local.object_hash().null())));
    repository.commits_beyond(&tip, &others)
}

fn native(path: &BStr) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path))
}
