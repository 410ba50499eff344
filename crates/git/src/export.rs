//! Writing a tree of a commit into a directory that is no worktree: what a build or a release starts from.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::objs::tree::EntryKind;
use pleach_core::word::CommitId;

use crate::checkout::listing::Listing;
use crate::checkout::write::{self, Destination};
use crate::commit::slashed;
use crate::error::{Cause, Error, Result};
use crate::repository::{Repository, object_id};

/// What [`Repository::export`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportSummary {
    /// Files and symbolic links.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// Submodules, whose directories are left empty.
    pub submodules: usize,
}

impl Repository {
    /// Writes everything below `path` of a commit into `destination`, an existing empty directory, as a check-out would
    /// (line ends, filters, links, permission to execute).
    ///
    /// On failure what was written is left where it is: the caller owns the directory.
    pub fn export(&self, commit: &CommitId, path: &Path, destination: &Path) -> Result<ExportSummary> {
        let local = self.local();
        let tree = local
            .find_commit(object_id(commit)?)
            .and_then(|commit| Ok(commit.tree_id()?.detach()))
            .map_err(Error::reading(&local, format!("read commit {commit}")))?;
        let directory = slashed(path);
        let parts: Vec<&[u8]> =
            directory.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
        let listing = Listing::below(&local, tree, &parts).map_err(|error| match error {
            Error::NoPath(path, _) => Error::NoPath(path, commit.short().to_owned()),
            Error::NotADirectory(path, _) => Error::NotADirectory(path, commit.short().to_owned()),
            error => error,
        })?;
        let occupied = fs::read_dir(destination).map_err(Error::file("list", destination))?.next().is_some();
        if occupied {
            return Err(Error::File("write into", destination.to_owned(), Cause::new("it is not empty")));
        }
        let target = [Destination { root: destination.to_owned(), listing: &listing }];
        let mut written = write::write(self.shared(), &target, &AtomicBool::new(false), &mut |_, _| {});
        let stamps = written.pop().unwrap_or_else(|| Ok(Vec::new()))?;
        let submodules = listing.entries.iter().filter(|entry| entry.kind == EntryKind::Commit).count();
        Ok(ExportSummary {
            files: listing.entries.len() - submodules,
            bytes: stamps.iter().map(|stamp| u64::from(stamp.size)).sum(),
            submodules,
        })
    }
}
