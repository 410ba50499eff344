//! A source whose trees cannot be read.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::FaultPlan;
use crate::error::Failure;
use crate::port::{FileDigest, Source, SourceEntry, SourceRef};

/// Reads trees, except where it is planned otherwise.
pub struct FaultySource {
    /// What is called.
    pub inner: Arc<dyn Source>,
    /// What goes wrong.
    pub plan: Arc<FaultPlan>,
}

#[async_trait]
impl Source for FaultySource {
    async fn list(&self, tree: &SourceRef) -> Result<Vec<SourceEntry>, Failure> {
        self.plan.around("source.list", || self.inner.list(tree)).await
    }

    async fn read(&self, tree: &SourceRef, entry: &SourceEntry) -> Result<Vec<u8>, Failure> {
        self.plan.around("source.read", || self.inner.read(tree, entry)).await
    }

    async fn read_each(
        &self,
        tree: &SourceRef,
        entries: &[SourceEntry],
        contents: mpsc::Sender<Arc<Vec<u8>>>,
    ) -> Result<(), Failure> {
        self.plan.around("source.read_each", || self.inner.read_each(tree, entries, contents.clone())).await
    }

    async fn digests(&self, tree: &SourceRef) -> Result<Arc<[FileDigest]>, Failure> {
        self.plan.around("source.digests", || self.inner.digests(tree)).await
    }

    async fn export(&self, tree: &SourceRef, destination: &Path) -> Result<(), Failure> {
        self.plan.around("source.export", || self.inner.export(tree, destination)).await
    }
}
