//! The repository as the engine's source of files.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{EntryMode, Source, SourceEntry, SourceRef};

use crate::{Mode, Repository, TreeEntry, TreeSource};

/// Trees that are kept open: more than are read at once.
const OPEN: usize = 32;

/// Reads trees from git for the engine: [`Source`] over a [`Repository`]. Each call runs where blocking is allowed.
#[derive(Clone, Debug)]
pub struct GitSource {
    repository: Repository,
    /// Opening one walks the whole commit for its attributes, which must not happen for each file again.
    open: Arc<Mutex<Vec<(SourceRef, TreeSource)>>>,
}

impl GitSource {
    /// Reads from this repository.
    pub fn new(repository: Repository) -> Self {
        Self { repository, open: Arc::default() }
    }

    /// The tree, as it was opened before or for the first time.
    fn open(&self, tree: &SourceRef) -> crate::Result<TreeSource> {
        let trees = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, open)) = trees().iter().find(|(known, _)| known == tree) {
            return Ok(open.clone());
        }
        let opened = self.repository.source(&tree.commit, &tree.path)?;
        let mut trees = trees();
        if trees.len() == OPEN {
            trees.remove(0);
        }
        trees.push((tree.clone(), opened.clone()));
        Ok(opened)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> crate::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let source = self.clone();
        match tokio::task::spawn_blocking(move || work(source)).await {
            Ok(result) => result.map_err(Failure::from),
            Err(error) => Err(Failure::new(Kind::Internal, "could not read the repository").because(error.to_string())),
        }
    }
}

#[async_trait]
impl Source for GitSource {
    async fn list(&self, tree: &SourceRef) -> Result<Vec<SourceEntry>, Failure> {
        let tree = tree.clone();
        let entries = self.blocking(move |source| source.open(&tree)?.list()).await?;
        Ok(entries.into_iter().filter_map(source_entry).collect())
    }

    async fn read(&self, tree: &SourceRef, entry: &SourceEntry) -> Result<Vec<u8>, Failure> {
        let (tree, entry) = (tree.clone(), tree_entry(entry));
        self.blocking(move |source| source.open(&tree)?.read(&entry)).await
    }

    async fn export(&self, tree: &SourceRef, destination: &Path) -> Result<(), Failure> {
        let (tree, destination) = (tree.clone(), destination.to_owned());
        self.blocking(move |source| source.repository.export(&tree.commit, &tree.path, &destination).map(drop)).await
    }
}

fn source_entry(entry: TreeEntry) -> Option<SourceEntry> {
    let mode = match entry.mode {
        Mode::File => EntryMode::File,
        Mode::Executable => EntryMode::Executable,
        Mode::Symlink => EntryMode::Symlink,
        Mode::Submodule => return None,
    };
    Some(SourceEntry { path: entry.path, mode, id: entry.id })
}

fn tree_entry(entry: &SourceEntry) -> TreeEntry {
    let mode = match entry.mode {
        EntryMode::File => Mode::File,
        EntryMode::Executable => Mode::Executable,
        EntryMode::Symlink => Mode::Symlink,
    };
    TreeEntry { path: entry.path.clone(), mode, id: entry.id.clone() }
}
