//! Images that cannot be built or brought.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::FaultPlan;
use crate::error::Failure;
use crate::port::{
    BroughtImage, ChannelNames, Containers, ImageBuild, ImageId, ImageNames, NameChange, Platforms, RegistryLogin,
    RegistryPlace, RegistryTags, Source,
};

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

    async fn platforms(&self, image: &ImageId) -> Result<Platforms, Failure> {
        self.plan.around("containers.platforms", || self.inner.platforms(image)).await
    }

    async fn push(
        &self,
        image: &ImageId,
        place: &RegistryPlace,
        login: Option<RegistryLogin>,
    ) -> Result<String, Failure> {
        self.plan.around("containers.push", || self.inner.push(image, place, login.clone())).await
    }

    async fn tagged(
        &self,
        repository: &str,
        tags: &[String],
        login: Option<RegistryLogin>,
    ) -> Result<RegistryTags, Failure> {
        self.plan.around("containers.tagged", || self.inner.tagged(repository, tags, login.clone())).await
    }

    async fn tag(
        &self,
        place: &RegistryPlace,
        digest: &str,
        image: Option<ImageId>,
        login: Option<RegistryLogin>,
    ) -> Result<String, Failure> {
        self.plan.around("containers.tag", || self.inner.tag(place, digest, image.clone(), login.clone())).await
    }

    async fn bring(&self, image: &ImageId) -> Result<BroughtImage, Failure> {
        self.plan.around("containers.bring", || self.inner.bring(image)).await
    }

    async fn fetch(&self, image: &ImageId, name: &str) -> Result<BroughtImage, Failure> {
        self.plan.around("containers.fetch", || self.inner.fetch(image, name)).await
    }

    async fn has(&self, image: &ImageId) -> Result<bool, Failure> {
        self.plan.around("containers.has", || self.inner.has(image)).await
    }

    async fn names(&self, names: &[String]) -> Result<ImageNames, Failure> {
        self.plan.around("containers.names", || self.inner.names(names)).await
    }

    async fn rename(&self, changes: &[NameChange]) -> Result<ImageNames, Failure> {
        self.plan.around("containers.rename", || self.inner.rename(changes)).await
    }

    async fn surplus(&self, channel: &ChannelNames, keep: usize) -> Result<Vec<String>, Failure> {
        self.plan.around("containers.surplus", || self.inner.surplus(channel, keep)).await
    }

    async fn forget_surplus(&self, channel: &ChannelNames, keep: usize) -> Result<Vec<String>, Failure> {
        self.plan.around("containers.forget_surplus", || self.inner.forget_surplus(channel, keep)).await
    }
}
