//! An image from a commit.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use bollard::query_parameters::BuildImageOptionsBuilder;
use bollard::{body_try_stream, errors::Error};
use futures_util::StreamExt as _;
use pleach_core::error::{Explain, Failure, Kind, OUTPUT_LINES};
use pleach_core::port::{ImageBuild, ImageId, Source};
use tokio::sync::mpsc;

use super::archive::{body, cut};
use super::context::Context;
use super::engine::Engine;
use super::error::{EngineError, Said};

/// Parts of the context in front of the one that is sent.
const WAITING: usize = 4;

/// What was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The image.
    pub image: ImageId,
    /// How many files of the tree were sent.
    pub files: usize,
    /// The last lines that the build printed.
    pub output: Vec<String>,
}

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The tree cannot be read, or is none to build from.
    #[error("could not read what to build from commit `{commit}`")]
    Source {
        /// The commit.
        commit: String,
        /// Why.
        #[source]
        source: Box<Failure>,
    },
    /// A step of the Dockerfile failed.
    #[error("could not build `{dockerfile}` of commit `{commit}`")]
    Step {
        /// The Dockerfile.
        dockerfile: String,
        /// The commit.
        commit: String,
        /// The last lines that the build printed.
        output: Vec<String>,
        /// Which, as the engine says it.
        #[source]
        source: Said,
    },
    /// The engine does not do what it is asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Explain for BuildError {
    fn kind(&self) -> Kind {
        match self {
            Self::Source { source, .. } => source.kind,
            Self::Step { .. } => Kind::Rejected,
            Self::Engine(error) => error.kind(),
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Source { source, .. } => source.state.clone(),
            Self::Step { .. } => Some("no image was made; steps that were finished are used the next time".into()),
            Self::Engine(error) => error.state(),
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Source { source, .. } => source.next.clone(),
            Self::Step { dockerfile, .. } => {
                Some(format!("try it in the worktree with `docker build -f '{dockerfile}' .`, mend and commit it"))
            }
            Self::Engine(error) => error.next(),
        }
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Source { source, .. } => source.output.clone(),
            Self::Step { output, .. } => output.clone(),
            Self::Engine(error) => error.output(),
        }
    }
}

impl Engine {
    /// Builds an image; the same tree, arguments and labels give the same one as long as the engine keeps what it has built.
    pub async fn build(&self, build: &ImageBuild, source: &Arc<dyn Source>) -> Result<Built, BuildError> {
        let commit = build.tree.commit.to_string();
        let unread = |failure| BuildError::Source { commit: commit.clone(), source: Box::new(failure) };
        let context = Context::read(source, &build.tree, &build.dockerfile).await.map_err(unread)?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let sending = async {
            let sender = sender;
            let sent = context.send(&sender).await;
            if sent.is_err() {
                cut(&sender).await;
            }
            sent
        };
        let (sent, built) = tokio::join!(sending, self.build_from(build, body(receiver)));
        sent.map_err(unread)?;
        let (image, output) = built?;
        for name in &build.names {
            self.ensure_name(&image, name).await?;
        }
        Ok(Built { image, files: context.files(), output })
    }

    async fn build_from(
        &self,
        build: &ImageBuild,
        body: impl futures_util::Stream<Item = io::Result<bytes::Bytes>> + Send + 'static,
    ) -> Result<(ImageId, Vec<String>), BuildError> {
        let dockerfile = build.dockerfile.display().to_string();
        let what = format!("build `{dockerfile}`");
        let arguments: HashMap<&str, &str> = pairs(&build.arguments);
        let labels: HashMap<&str, &str> = pairs(&build.labels);
        let mut options = BuildImageOptionsBuilder::default()
            .dockerfile(&dockerfile)
            .buildargs(&arguments)
            .labels(&labels)
            .rm(true)
            .forcerm(true);
        if let Some(stage) = &build.stage {
            options = options.target(stage);
        }
        let mut lines: Vec<String> = Vec::new();
        let mut image = None;
        let mut said = std::pin::pin!(self.docker().build_image(options.build(), None, Some(body_try_stream(body))));
        while let Some(part) = said.next().await {
            let part = match part {
                Ok(part) => part,
                // A Dockerfile that cannot be read is refused before anything is said.
                Err(
                    Error::DockerStreamError { error: message }
                    | Error::DockerResponseServerError { message, status_code: 400 },
                ) => {
                    return Err(self.step_failed(build, lines, message));
                }
                Err(error) => return Err(self.failed(&what)(error).into()),
            };
            if let Some(detail) = part.error_detail {
                return Err(self.step_failed(build, lines, detail.message.unwrap_or_default()));
            }
            lines.extend(part.stream.iter().flat_map(|text| text.lines()).map(str::to_owned));
            lines.retain(|line| !line.trim().is_empty());
            lines.drain(..lines.len().saturating_sub(OUTPUT_LINES));
            image = part.aux.and_then(|aux| aux.id).or(image);
        }
        let image = image.and_then(|id| ImageId::new(id).ok());
        let image = image.ok_or_else(|| self.lacks(&what, "id of what it has built"))?;
        Ok((image, lines))
    }

    fn step_failed(&self, build: &ImageBuild, output: Vec<String>, message: String) -> BuildError {
        let dockerfile = build.dockerfile.display().to_string();
        match self.failed(&format!("build `{dockerfile}`"))(Error::DockerStreamError { error: message }) {
            EngineError::Refused { source, .. } => {
                BuildError::Step { dockerfile, commit: build.tree.commit.to_string(), output, source }
            }
            other => other.into(),
        }
    }
}

fn pairs(map: &BTreeMap<String, String>) -> HashMap<&str, &str> {
    map.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
