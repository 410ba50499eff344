//! Core's port for images: built by one engine, brought to another.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pleach_core::error::Failure;
use pleach_core::port::{
    BroughtImage, ChannelNames, Containers, ImageBuild, ImageId, ImageNames, NameChange, Platforms, RegistryLogin,
    RegistryPlace, RegistryTags, Source,
};
use pleach_core::target::Facts;
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::bring::bring_image;
use super::bringing::Bringing;
use super::engine::Engine;
use super::error::EngineError;
use super::label;
use super::missing::MissingEngine;
use super::way::EngineWay;

/// The engine that builds, and the target's own. Neither is reached before it is needed.
#[derive(Debug)]
pub struct DockerContainers {
    builder: Reached,
    target: Reached,
    bringing: Bringing,
}

#[derive(Debug)]
struct Reached {
    way: EngineWay,
    engine: OnceCell<Engine>,
}

impl Reached {
    async fn engine(&self) -> Result<&Engine, EngineError> {
        self.engine.get_or_try_init(|| Engine::connect(self.way.clone())).await
    }
}

/// How many images of a service stay where they are built: what is deployed again, or promoted, is not built again.
const KEPT: usize = 5;

/// The longest that an engine is waited for where it is asked only for its platform.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is being built in this process: several targets want the same image at the same time.
type Turns = Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>;

static TURNS: LazyLock<Turns> = LazyLock::new(Turns::default);

impl DockerContainers {
    /// Images come from `builder` and go to `target`.
    pub fn new(builder: EngineWay, target: EngineWay) -> Self {
        let reached = |way| Reached { way, engine: OnceCell::new() };
        Self { builder: reached(builder), target: reached(target), bringing: Bringing::default() }
    }

    /// `docker/platform` and `docker/builder`: what the target's engine runs, and what the one that builds runs on. One that says
    /// nothing, or not soon, has no such fact. `docker/missing` and `docker/builder-missing`: why it cannot be asked, where that will
    /// not pass by itself.
    pub(crate) async fn facts(&self) -> Facts {
        let ask = |reached| timeout(PATIENCE, Reached::engine(reached));
        let (target, builder) = tokio::join!(ask(&self.target), ask(&self.builder));
        let missing = |asked: &Result<Result<&Engine, EngineError>, _>| match asked {
            Ok(Err(EngineError::TooOld { has, .. })) => Some(json!(MissingEngine::Old { api: has.clone() })),
            Ok(Err(EngineError::Absent { .. })) => Some(json!(MissingEngine::Absent)),
            Ok(Err(EngineError::NoRights { .. })) => Some(json!(MissingEngine::Rights)),
            _ => None,
        };
        let platform = |asked: Result<Result<&Engine, _>, _>| Some(json!(asked.ok()?.ok()?.facts().platform));
        let named = [
            ("docker/missing", missing(&target)),
            ("docker/builder-missing", missing(&builder)),
            ("docker/platform", platform(target)),
            ("docker/builder", platform(builder)),
        ];
        named.into_iter().filter_map(|(name, fact)| Some((name.to_owned(), fact?))).collect()
    }

    fn turn(&self, wanted: &BTreeMap<String, String>) -> Arc<tokio::sync::Mutex<()>> {
        let key = format!("{:?} {:?}", self.builder.way, wanted);
        TURNS.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
    }
}

/// Of the images that were built of a service, the newest stay; the names of the others go, and with them what nothing else
/// needs. Names that releases have on the same engine are others.
async fn forget_old(builder: &Engine, build: &ImageBuild, newest: &ImageId) -> Result<(), EngineError> {
    let service = build.labels.iter().filter(|(name, _)| *name == label::SERVICE);
    let mut images = Vec::new();
    for id in builder.images(&service.map(|(name, value)| (name.clone(), value.clone())).collect()).await? {
        images.extend(builder.image(id.as_str()).await?.filter(|image| image.id != *newest));
    }
    images.sort_by(|one, other| other.created.cmp(&one.created));
    let repositories: Vec<&str> =
        build.names.iter().filter_map(|name| name.rsplit_once(':').map(|(left, _)| left)).collect();
    for image in images.iter().skip(KEPT - 1) {
        let commit = image.labels.get(label::COMMIT).map(String::as_str).unwrap_or_default();
        let own = |name: &&String| {
            let Some((left, tag)) = name.rsplit_once(':') else { return false };
            // A platform may stand behind the commit.
            let tag = tag.split('_').next().unwrap_or_default();
            repositories.contains(&left) && commit.starts_with(tag)
        };
        for name in image.names.iter().filter(own) {
            match builder.ensure_no_image(name).await {
                // A container of somebody else runs on it.
                Ok(()) | Err(EngineError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

#[async_trait]
impl Containers for DockerContainers {
    async fn built(&self, labels: &BTreeMap<String, String>) -> Result<Option<ImageId>, Failure> {
        let builder = self.builder.engine().await?;
        for id in builder.images(labels).await? {
            // The digest is the same for all of them, unless somebody else has built one by hand.
            if builder.image(id.as_str()).await?.is_some_and(|image| !image.names.is_empty()) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    async fn build(
        &self,
        build: &ImageBuild,
        wanted: &BTreeMap<String, String>,
        source: Arc<dyn Source>,
    ) -> Result<ImageId, Failure> {
        let turn = self.turn(wanted);
        let _turn = turn.lock().await;
        let builder = self.builder.engine().await?;
        if let Some(image) = builder.images(wanted).await?.into_iter().next() {
            // Who was stopped between building and naming it has left it to whoever removes what has no name.
            for name in &build.names {
                builder.ensure_name(&image, name).await?;
            }
            return Ok(image);
        }
        let image = builder.build(build, &source).await?.image;
        forget_old(builder, build, &image).await?;
        Ok(image)
    }

    async fn is_built(&self, image: &ImageId) -> Result<bool, Failure> {
        Ok(self.builder.engine().await?.image(image.as_str()).await?.is_some())
    }

    async fn platforms(&self, image: &ImageId) -> Result<Platforms, Failure> {
        let image = self.builder.engine().await?.require_image(image).await?.platform;
        Ok(Platforms { image, target: self.target.engine().await?.facts().platform.clone() })
    }

    async fn push(
        &self,
        image: &ImageId,
        place: &RegistryPlace,
        login: Option<RegistryLogin>,
    ) -> Result<String, Failure> {
        let turn = self.turn(&BTreeMap::from([("push".to_owned(), place.name())]));
        let _turn = turn.lock().await;
        Ok(self.builder.engine().await?.push(image, place, login.as_ref()).await?)
    }

    async fn tagged(
        &self,
        repository: &str,
        tags: &[String],
        login: Option<RegistryLogin>,
    ) -> Result<RegistryTags, Failure> {
        Ok(self.builder.engine().await?.tagged(repository, tags, login.as_ref()).await?)
    }

    async fn tag(
        &self,
        place: &RegistryPlace,
        digest: &str,
        image: Option<ImageId>,
        login: Option<RegistryLogin>,
    ) -> Result<String, Failure> {
        let turn = self.turn(&BTreeMap::from([("push".to_owned(), place.name())]));
        let _turn = turn.lock().await;
        Ok(self.builder.engine().await?.tag(place, digest, image.as_ref(), login.as_ref()).await?)
    }

    async fn bring(&self, image: &ImageId) -> Result<BroughtImage, Failure> {
        let (from, to) = (self.builder.engine().await?, self.target.engine().await?);
        Ok(self.bringing.bring(from, to, image).await?)
    }

    async fn fetch(&self, image: &ImageId, name: &str) -> Result<BroughtImage, Failure> {
        let (from, to) = (self.target.engine().await?, self.builder.engine().await?);
        Ok(bring_image(from, to, image, &[name.to_owned()]).await?)
    }

    async fn has(&self, image: &ImageId) -> Result<bool, Failure> {
        Ok(self.target.engine().await?.image(image.as_str()).await?.is_some())
    }

    async fn names(&self, names: &[String]) -> Result<ImageNames, Failure> {
        Ok(self.builder.engine().await?.names(names).await?)
    }

    async fn rename(&self, changes: &[NameChange]) -> Result<ImageNames, Failure> {
        Ok(self.builder.engine().await?.rename(changes).await?)
    }

    async fn surplus(&self, channel: &ChannelNames, keep: usize) -> Result<Vec<String>, Failure> {
        Ok(self.builder.engine().await?.surplus(channel, keep).await?)
    }

    async fn forget_surplus(&self, channel: &ChannelNames, keep: usize) -> Result<Vec<String>, Failure> {
        Ok(self.builder.engine().await?.forget_surplus(channel, keep).await?)
    }
}
