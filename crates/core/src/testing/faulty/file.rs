//! Files whose calls go wrong.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::FaultPlan;
use crate::error::Failure;
use crate::port::{FencingToken, FileStat, Files, HeldFile, Permissions, Source, SourceRef, TreeDigest};

/// Reads and changes files, except where it is planned otherwise.
pub struct FaultyFiles {
    /// What is called.
    pub inner: Arc<dyn Files>,
    /// What goes wrong.
    pub plan: Arc<FaultPlan>,
}

#[async_trait]
impl Files for FaultyFiles {
    async fn stat(&self, path: &Path) -> Result<Option<FileStat>, Failure> {
        self.plan.around("files.stat", || self.inner.stat(path)).await
    }

    async fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
        self.plan.around("files.read", || self.inner.read(path)).await
    }

    async fn list(&self, path: &Path) -> Result<Vec<FileStat>, Failure> {
        self.plan.around("files.list", || self.inner.list(path)).await
    }

    async fn digest(&self, path: &Path) -> Result<TreeDigest, Failure> {
        self.plan.around("files.digest", || self.inner.digest(path)).await
    }

    async fn held_files(&self, path: &Path) -> Result<Vec<HeldFile>, Failure> {
        self.plan.around("files.held_files", || self.inner.held_files(path)).await
    }

    async fn ensure_directory(&self, path: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        self.plan.around("files.ensure_directory", || self.inner.ensure_directory(path, token)).await
    }

    async fn write(
        &self,
        path: &Path,
        contents: &[u8],
        permissions: Permissions,
        token: Option<FencingToken>,
    ) -> Result<(), Failure> {
        self.plan.around("files.write", || self.inner.write(path, contents, permissions, token)).await
    }

    async fn link(&self, path: &Path, to: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        self.plan.around("files.link", || self.inner.link(path, to, token)).await
    }

    async fn rename(&self, from: &Path, to: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        self.plan.around("files.rename", || self.inner.rename(from, to, token)).await
    }

    async fn remove(&self, path: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        self.plan.around("files.remove", || self.inner.remove(path, token)).await
    }

    async fn put_tree(
        &self,
        path: &Path,
        source: Arc<dyn Source>,
        tree: &SourceRef,
        token: Option<FencingToken>,
    ) -> Result<TreeDigest, Failure> {
        self.plan.around("files.put_tree", || self.inner.put_tree(path, source.clone(), tree, token)).await
    }
}
