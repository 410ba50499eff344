//! Core's port for images: built by one engine, brought to another.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use async_trait::async_trait;
use pleach_core::error::Failure;
use pleach_core::port::{BroughtImage, Containers, ImageBuild, ImageId, Source};
use tokio::sync::OnceCell;

use super::bring::bring_image;
use super::engine::Engine;
use super::error::EngineError;
use super::way::EngineWay;

/// The engine that builds, and the target's own. Neither is reached before it is needed.
#[derive(Debug)]
pub struct DockerContainers {
    builder: Reached,
    target: Reached,
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

/// What is being built in this process: several targets want the same image at the same time.
type Turns = Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>;

static TURNS: LazyLock<Turns> = LazyLock::new(Turns::default);

impl DockerContainers {
    /// Images come from `builder` and go to `target`.
    pub fn new(builder: EngineWay, target: EngineWay) -> Self {
        let reached = |way| Reached { way, engine: OnceCell::new() };
        Self { builder: reached(builder), target: reached(target) }
    }

    fn turn(&self, build: &ImageBuild) -> Arc<tokio::sync::Mutex<()>> {
        let key = format!("{:?} {:?}", self.builder.way, build.labels);
        TURNS.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
    }
}

#[async_trait]
impl Containers for DockerContainers {
    async fn built(&self, labels: &BTreeMap<String, String>) -> Result<Option<ImageId>, Failure> {
        let builder = self.builder.engine().await?;
        // The digest is the same for all of them, unless somebody else has built one by hand.
        Ok(builder.images(labels).await?.into_iter().next())
    }

    async fn build(&self, build: &ImageBuild, source: Arc<dyn Source>) -> Result<ImageId, Failure> {
        let turn = self.turn(build);
        let _turn = turn.lock().await;
        if let Some(image) = self.built(&build.labels).await? {
            return Ok(image);
        }
        Ok(self.builder.engine().await?.build(build, &source).await?.image)
    }

    async fn bring(&self, image: &ImageId) -> Result<BroughtImage, Failure> {
        let (from, to) = (self.builder.engine().await?, self.target.engine().await?);
        Ok(bring_image(from, to, image, &[]).await?)
    }

    async fn has(&self, image: &ImageId) -> Result<bool, Failure> {
        Ok(self.target.engine().await?.image(image.as_str()).await?.is_some())
    }
}
