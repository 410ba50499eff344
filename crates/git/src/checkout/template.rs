//! Sharing blocks with the main worktree, where the file system can (XFS, btrfs and others).
//!
//! A clone is taken only from a file that provably holds the wanted content: the main index has the same object at the
//! same path, the file's stat data is what the index noted, and it was noted in a later second than the file changed.
//! Content that attributes may have converted is never cloned.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::ObjectId;
use gix::bstr::BStr;
use rustix::fs::{Mode, OFlags};

use crate::checkout::convert;

/// The main worktree as a source of clones.
pub(crate) struct Template {
    root: OwnedFd,
    index: gix::index::File,
    usable: AtomicBool,
}

impl Template {
    /// Nothing when there is no main worktree, or when its files may differ from what git stores.
    pub(crate) fn new(local: &gix::Repository) -> Option<Self> {
        let main = local.main_repo().ok()?;
        let root = main.workdir()?;
        if convert::is_converted_anywhere(&main) {
            return None;
        }
        let index = main.open_index().ok()?;
        let entries = index.entries();
        let attributes = |path: &BStr| path == ".gitattributes" || path.ends_with(b"/.gitattributes");
        if entries.iter().any(|entry| attributes(entry.path(&index))) {
            return None;
        }
        let root = rustix::fs::open(root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        Some(Self { root, index, usable: AtomicBool::new(true) })
    }

    /// The main worktree's file at `path`, opened, if it holds `id`.
    pub(crate) fn source(&self, path: &BStr, id: &ObjectId) -> Option<File> {
        if !self.usable.load(Ordering::Relaxed) {
            return None;
        }
        let entry = self.index.entry_by_path(path)?;
        if entry.id != *id || entry.stat.size == 0 || i64::from(entry.stat.mtime.secs) >= self.written_at() {
            return None;
        }
        let native = gix::path::from_bstr(path).ok()?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.root, native.as_ref(), flags, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&file).ok()?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the index keeps the low 32 bits")]
        let unchanged = stat.st_size == i64::from(entry.stat.size)
            && stat.st_mtime as u32 == entry.stat.mtime.secs
            && stat.st_ctime as u32 == entry.stat.ctime.secs
            && stat.st_ino as u32 == entry.stat.ino;
        unchanged.then(|| File::from(file))
    }

    fn written_at(&self) -> i64 {
        self.index.timestamp().unix_seconds()
    }

    /// Shares the blocks of `source` with `destination`. When the file system cannot, nobody asks again.
    pub(crate) fn clone_into(&self, source: &File, destination: &OwnedFd) -> bool {
        let cloned = clone_blocks(source, destination);
        if !cloned {
            self.usable.store(false, Ordering::Relaxed);
        }
        cloned
    }
}

#[cfg(target_os = "linux")]
fn clone_blocks(source: &File, destination: &OwnedFd) -> bool {
    rustix::fs::ioctl_ficlone(destination, source).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn clone_blocks(_: &File, _: &OwnedFd) -> bool {
    false
}
