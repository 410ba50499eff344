//! Reading and changing files on a target.
//!
//! Every change is whole or absent to whoever looks from beside: written under another name, flushed, renamed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::{EntryMode, FencingToken, FileDigest, Source, SourceRef};
use crate::error::Failure;

/// What lies under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link and where it points.
    Symlink(PathBuf),
    /// A socket, device or pipe.
    Other,
}

/// What is known of one name without opening it. Links are not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// The last part of its path.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Bytes of a regular file.
    pub size: u64,
    /// The low twelve mode bits.
    pub mode: u32,
}

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// 0644.
    Public,
    /// 0755.
    Executable,
    /// 0600.
    Private,
}

/// The SHA-256 over the sorted list of a tree's paths, modes, link targets and contents.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TreeDigest {
    /// In hexadecimal.
    pub sha256: String,
    /// Regular files and links.
    pub files: u64,
    /// Bytes of regular files.
    pub bytes: u64,
}

/// One file or link of a tree, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldFile {
    /// Relative to the tree, with `/`.
    pub path: PathBuf,
    /// What it is; `None` for a socket, pipe or device, which holds nothing.
    pub mode: Option<EntryMode>,
    /// Of its content; of a link, of where it points.
    pub digest: FileDigest,
}

/// Files of a target. Relative paths are refused.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Files: Send + Sync {
    /// What lies at `path`; `None` if nothing does.
    async fn stat(&self, path: &Path) -> Result<Option<FileStat>, Failure>;

    /// The contents of a regular file; `None` if nothing lies there.
    async fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Failure>;

    /// What lies in a directory, sorted by name; empty if there is none.
    async fn list(&self, path: &Path) -> Result<Vec<FileStat>, Failure>;

    /// The digest of the tree at `path`.
    async fn digest(&self, path: &Path) -> Result<TreeDigest, Failure>;

    /// What each file of the tree at `path` holds, sorted by the bytes of their paths.
    async fn held_files(&self, path: &Path) -> Result<Vec<HeldFile>, Failure>;

    /// Makes a directory and those above it.
    async fn ensure_directory(&self, path: &Path, token: Option<FencingToken>) -> Result<(), Failure>;

    /// Writes a file, whole or not at all, durable when it returns; replaces a regular file or link of that name.
    async fn write(
        &self,
        path: &Path,
        contents: &[u8],
        permissions: Permissions,
        token: Option<FencingToken>,
    ) -> Result<(), Failure>;

    /// Makes `path` a symbolic link to `to`, in one step also where one is already there; durable when it returns.
    async fn link(&self, path: &Path, to: &Path, token: Option<FencingToken>) -> Result<(), Failure>;

    /// Renames within one file system; replaces a file, never a directory; durable when it returns.
    async fn rename(&self, from: &Path, to: &Path, token: Option<FencingToken>) -> Result<(), Failure>;

    /// Removes whatever lies at `path`, with all below it, never following a link; nothing there is fine.
    async fn remove(&self, path: &Path, token: Option<FencingToken>) -> Result<(), Failure>;

    /// Writes the tree that `tree` names in `source` to `path`, which must not exist; whole or absent.
    async fn put_tree(
        &self,
        path: &Path,
        source: Arc<dyn Source>,
        tree: &SourceRef,
        token: Option<FencingToken>,
    ) -> Result<TreeDigest, Failure>;
}
