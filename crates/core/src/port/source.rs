//! Where the files of a commit come from.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::word::CommitId;

/// A tree: everything below one path of one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRef {
    /// The commit.
    pub commit: CommitId,
    /// The path in the repository; empty for all of it.
    #[serde(default)]
    pub path: PathBuf,
}

/// What a path of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryMode {
    /// A regular file.
    File,
    /// A regular file that can be executed.
    Executable,
    /// A symbolic link; its content is where it points.
    Symlink,
}

/// One file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceEntry {
    /// Relative to the tree, with `/`.
    pub path: PathBuf,
    /// What it is.
    pub mode: EntryMode,
    /// The object id of its content in the repository, in hexadecimal.
    pub id: String,
}

/// Lists and reads trees of commits, as a check-out would write them (line ends, filters).
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Source: Send + Sync {
    /// All files of a tree, sorted by path.
    async fn list(&self, tree: &SourceRef) -> Result<Vec<SourceEntry>, Failure>;

    /// The content of one file.
    async fn read(&self, tree: &SourceRef, entry: &SourceEntry) -> Result<Vec<u8>, Failure>;

    /// Writes a tree into `destination` on this machine, which is an existing empty directory. Faster than one file
    /// at a time.
    async fn export(&self, tree: &SourceRef, destination: &Path) -> Result<(), Failure>;
}
