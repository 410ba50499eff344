//! A target all of whose facets go wrong by one plan.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::{FaultPlan, FaultyContainers, FaultyFiles, FaultyHttp, FaultyShell};
use crate::error::{Failure, Kind};
use crate::port::{
    BroughtImage, Call, ChannelNames, Command, CommandOutput, Containers, FencingToken, FileStat, Files, HeldFile,
    Http, HttpRequest, HttpResponse, ImageBuild, ImageId, ImageNames, NameChange, Permissions, Platforms,
    RegistryLogin, RegistryPlace, RegistryTags, Shell, Source, SourceRef, TreeDigest,
};
use crate::target::{Facet, Facts, Target};
use crate::word::{EnvironmentName, TargetName};

/// A target that is as it is, except where it is planned otherwise.
pub struct FaultyTarget {
    inner: Arc<dyn Target>,
    plan: Arc<FaultPlan>,
    shell: FaultyShell,
    files: FaultyFiles,
    http: FaultyHttp,
    containers: FaultyContainers,
}

impl FaultyTarget {
    /// Wraps a target; all calls to it and its facets are counted together.
    pub fn new(inner: Arc<dyn Target>, plan: Arc<FaultPlan>) -> Self {
        let facets = Arc::new(Facets(inner.clone()));
        Self {
            shell: FaultyShell { inner: facets.clone(), plan: plan.clone() },
            files: FaultyFiles { inner: facets.clone(), plan: plan.clone() },
            http: FaultyHttp { inner: facets.clone(), plan: plan.clone() },
            containers: FaultyContainers { inner: facets, plan: plan.clone() },
            inner,
            plan,
        }
    }
}

#[async_trait]
impl Target for FaultyTarget {
    fn id(&self) -> &TargetName {
        self.inner.id()
    }

    fn environment(&self) -> &EnvironmentName {
        self.inner.environment()
    }

    async fn probe(&self) -> Result<Facts, Failure> {
        self.plan.around("target.probe", || self.inner.probe()).await
    }

    async fn fence(&self, token: FencingToken) -> Result<(), Failure> {
        self.plan.around("target.fence", || self.inner.fence(token)).await
    }

    fn shell(&self) -> Option<&dyn Shell> {
        self.inner.shell().map(|_| &self.shell as &dyn Shell)
    }

    fn files(&self) -> Option<&dyn Files> {
        self.inner.files().map(|_| &self.files as &dyn Files)
    }

    fn http(&self) -> Option<&dyn Http> {
        self.inner.http().map(|_| &self.http as &dyn Http)
    }

    fn containers(&self) -> Option<&dyn Containers> {
        self.inner.containers().map(|_| &self.containers as &dyn Containers)
    }

    fn facets(&self) -> Vec<Facet> {
        self.inner.facets()
    }
}

/// The facets of a target, owned: a target only lends them.
struct Facets(Arc<dyn Target>);

impl Facets {
    fn files(&self) -> Result<&dyn Files, Failure> {
        self.0.files().ok_or_else(|| self.lacks("files"))
    }

    fn containers(&self) -> Result<&dyn Containers, Failure> {
        self.0.containers().ok_or_else(|| self.lacks("containers"))
    }

    fn lacks(&self, facet: &str) -> Failure {
        Failure::new(Kind::Unsupported, format!("target `{}` has no {facet}", self.0.id()))
    }
}

#[async_trait]
impl Shell for Facets {
    async fn run<'a>(&self, command: &Command, call: Call<'a>) -> Result<CommandOutput, Failure> {
        self.0.shell().ok_or_else(|| self.lacks("shell"))?.run(command, call).await
    }
}

#[async_trait]
impl Http for Facets {
    async fn send(&self, request: &HttpRequest) -> Result<HttpResponse, Failure> {
        self.0.http().ok_or_else(|| self.lacks("HTTP"))?.send(request).await
    }
}

#[async_trait]
impl Containers for Facets {
    async fn built(&self, labels: &BTreeMap<String, String>) -> Result<Option<ImageId>, Failure> {
        self.containers()?.built(labels).await
    }

    async fn build(
        &self,
        build: &ImageBuild,
        wanted: &BTreeMap<String, String>,
        source: Arc<dyn Source>,
    ) -> Result<ImageId, Failure> {
        self.containers()?.build(build, wanted, source).await
    }

    async fn is_built(&self, image: &ImageId) -> Result<bool, Failure> {
        self.containers()?.is_built(image).await
    }

    async fn platforms(&self, image: &ImageId) -> Result<Platforms, Failure> {
        self.containers()?.platforms(image).await
    }

    async fn push(
        &self,
        image: &ImageId,
        place: &RegistryPlace,
        login: Option<RegistryLogin>,
    ) -> Result<String, Failure> {
        self.containers()?.push(image, place, login).await
    }

    async fn tagged(
        &self,
        repository: &str,
        tags: &[String],
        login: Option<RegistryLogin>,
    ) -> Result<RegistryTags, Failure> {
        self.containers()?.tagged(repository, tags, login).await
    }

    async fn tag(
        &self,
        place: &RegistryPlace,
        digest: &str,
        image: Option<ImageId>,
        login: Option<RegistryLogin>,
    ) -> Result<String, Failure> {
        self.containers()?.tag(place, digest, image, login).await
    }

    async fn bring(&self, image: &ImageId) -> Result<BroughtImage, Failure> {
        self.containers()?.bring(image).await
    }

    async fn fetch(&self, image: &ImageId, name: &str) -> Result<BroughtImage, Failure> {
        self.containers()?.fetch(image, name).await
    }

    async fn has(&self, image: &ImageId) -> Result<bool, Failure> {
        self.containers()?.has(image).await
    }

    async fn names(&self, names: &[String]) -> Result<ImageNames, Failure> {
        self.containers()?.names(names).await
    }

    async fn rename(&self, changes: &[NameChange]) -> Result<ImageNames, Failure> {
        self.containers()?.rename(changes).await
    }

    async fn surplus(&self, channel: &ChannelNames, keep: usize) -> Result<Vec<String>, Failure> {
        self.containers()?.surplus(channel, keep).await
    }

    async fn forget_surplus(&self, channel: &ChannelNames, keep: usize) -> Result<Vec<String>, Failure> {
        self.containers()?.forget_surplus(channel, keep).await
    }
}

#[async_trait]
impl Files for Facets {
    async fn stat(&self, path: &Path) -> Result<Option<FileStat>, Failure> {
        self.files()?.stat(path).await
    }

    async fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
        self.files()?.read(path).await
    }

    async fn list(&self, path: &Path) -> Result<Vec<FileStat>, Failure> {
        self.files()?.list(path).await
    }

    async fn digest(&self, path: &Path) -> Result<TreeDigest, Failure> {
        self.files()?.digest(path).await
    }

    async fn held_files(&self, path: &Path) -> Result<Vec<HeldFile>, Failure> {
        self.files()?.held_files(path).await
    }

    async fn ensure_directory(&self, path: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        self.files()?.ensure_directory(path, token).await
    }

    async fn write(
        &self,
        path: &Path,
        contents: &[u8],
        permissions: Permissions,
        token: Option<FencingToken>,
    ) -> Result<(), Failure> {
        self.files()?.write(path, contents, permissions, token).await
    }

    async fn link(&self, path: &Path, to: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        self.files()?.link(path, to, token).await
    }

    async fn rename(&self, from: &Path, to: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        self.files()?.rename(from, to, token).await
    }

    async fn remove(&self, path: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        self.files()?.remove(path, token).await
    }

    async fn put_tree(
        &self,
        path: &Path,
        source: Arc<dyn Source>,
        tree: &SourceRef,
        token: Option<FencingToken>,
    ) -> Result<TreeDigest, Failure> {
        self.files()?.put_tree(path, source, tree, token).await
    }
}
