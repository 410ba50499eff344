//! Where the files of a commit come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::error::Failure;
use crate::plan::digest::sha256;
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

/// What a file holds, without holding it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDigest {
    /// In hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

impl FileDigest {
    /// That of a content.
    pub fn of(content: &[u8]) -> Self {
        Self { sha256: sha256(content), bytes: content.len() as u64 }
    }
}

/// Lists and reads trees of commits, as a check-out would write them (line ends, filters).
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Source: Send + Sync {
    /// All files of a tree, sorted by path.
    async fn list(&self, tree: &SourceRef) -> Result<Vec<SourceEntry>, Failure>;

    /// The content of one file.
    async fn read(&self, tree: &SourceRef, entry: &SourceEntry) -> Result<Vec<u8>, Failure>;

    /// Sends the contents of these files in their order, until nobody takes them any more. A source for which that is
    /// faster than one at a time has its own.
    async fn read_each(
        &self,
        tree: &SourceRef,
        entries: &[SourceEntry],
        contents: mpsc::Sender<Arc<Vec<u8>>>,
    ) -> Result<(), Failure> {
        for entry in entries {
            let content = Arc::new(self.read(tree, entry).await?);
            if contents.send(content).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// What each file of [`list`](Self::list) holds. Asked for once for each target: a source that many targets have in
    /// common keeps the answer.
    async fn digests(&self, tree: &SourceRef) -> Result<Arc<[FileDigest]>, Failure> {
        let mut digests = Vec::new();
        for entry in self.list(tree).await? {
            digests.push(FileDigest::of(&self.read(tree, &entry).await?));
        }
        Ok(digests.into())
    }

    /// Writes a tree into `destination` on this machine, which is an existing empty directory. Faster than one file
    /// at a time.
    async fn export(&self, tree: &SourceRef, destination: &Path) -> Result<(), Failure>;
}
