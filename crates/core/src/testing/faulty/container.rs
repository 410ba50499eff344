//! Images that cannot be built or brought.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::FaultPlan;
use crate::error::Failure;
use crate::port::{BroughtImage, Containers, ImageBuild, ImageId, Source};

/// Builds and brings images, except where it is planned otherwise.
pub struct FaultyContainers {
    /// What is called.
    pub inner: Arc<dyn Containers>,
    /// What goes wrong.
    pub plan: Arc<FaultPlan>,
}

#[async_trait]
impl Containers for FaultyContainers {
    async fn built(&self, labels: &BTreeMap<String, String>) -> Result<Option<ImageId>, Failure> {
        self.plan.around("containers.built", || self.inner.built(labels)).await
    }

    async fn build(
        &self,
        build: &ImageBuild,
        wanted: &BTreeMap<String, String>,
        source: Arc<dyn Source>,
    ) -> Result<ImageId, Failure> {
        self.plan.around("containers.build", || self.inner.build(build, wanted, source.clone())).await
    }

    async fn is_built(&self, image: &ImageId) -> Result<bool, Failure> {
        self.plan.around("containers.is_built", || self.inner.is_built(image)).await
    }

    async fn bring(&self, image: &ImageId) -> Result<BroughtImage, Failure> {
        self.plan.around("containers.bring", || self.inner.bring(image)).await
    }

    async fn has(&self, image: &ImageId) -> Result<bool, Failure> {
        self.plan.around("containers.has", || self.inner.has(image)).await
    }
}
