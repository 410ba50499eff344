//! An image from a commit.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, BuilderVersion};
use bollard::{body_try_stream, errors::Error};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::Request;
use hyper::body::Frame;
use hyper::header::CONTENT_TYPE;
use pleach_core::error::{Explain, Failure, Kind, OUTPUT_LINES};
use pleach_core::port::{ImageBuild, ImageId, Secret, Source};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::archive::{body, cut};
use super::context::Context;
use super::engine::Engine;
use super::error::{EngineError, Said};
use super::kit::Told;
use super::session::Session;
use crate::mask::Mask;

/// Parts of the context in front of the one that is sent.
const WAITING: usize = 4;

/// The tree, as it is sent.
trait Archive: Stream<Item = io::Result<Bytes>> + Send + 'static {}

impl<S: Stream<Item = io::Result<Bytes>> + Send + 'static> Archive for S {}

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
        /// The ids of its secrets.
        secrets: Vec<String>,
        /// What it was built for, where the builder runs on something else.
        platform: Option<String>,
        /// The last lines that the build printed.
        output: Vec<String>,
        /// Which, as the engine says it.
        #[source]
        source: Said,
    },
    /// Only BuildKit can do it.
    #[error("could not {what}: the Docker engine of `{place}` has no BuildKit")]
    NoBuildKit {
        /// What was to be done.
        what: String,
        /// The engine's host.
        place: String,
        /// How one knows.
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
            Self::NoBuildKit { .. } => Kind::Unsupported,
            Self::Engine(error) => error.kind(),
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Source { source, .. } => source.state.clone(),
            Self::Step { .. } => Some("no image was made; steps that were finished are used the next time".into()),
            Self::NoBuildKit { .. } => Some("nothing was built, and nothing was sent to it".into()),
            Self::Engine(error) => error.state(),
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Source { source, .. } => source.next.clone(),
            Self::Step { dockerfile, secrets, platform, .. } => {
                let secrets = secrets.iter().map(|id| format!("--secret id={id} "));
                let options: String = platform.iter().map(|one| format!("--platform {one} ")).chain(secrets).collect();
                let by_hand = format!("try it in the worktree with `docker build {options}-f '{dockerfile}' .`");
                let processor = platform.as_ref().and_then(|platform| platform.split('/').nth(1));
                Some(match processor {
                    None => format!("{by_hand}, mend and commit it"),
                    Some(processor) => format!(
                        "{by_hand}, mend and commit it; programs of {processor} run where it is built once it has QEMU: \
                         `docker run --privileged --rm tonistiigi/binfmt --install {processor}`"
                    ),
                })
            }
            Self::NoBuildKit { .. } => Some(
                "build with Docker 18.09 or newer: name its engine, `DOCKER_HOST=unix:///PATH`, and see with `docker version`"
                    .into(),
            ),
            Self::Engine(error) => error.next(),
        }
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Source { source, .. } => source.output.clone(),
            Self::Step { output, .. } => output.clone(),
            Self::NoBuildKit { .. } => Vec::new(),
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

    /// Why it cannot build with BuildKit, where it cannot; asked by beginning a session with it.
    pub async fn lacks_build_kit(&self) -> Result<Option<String>, EngineError> {
        Ok(Session::open(self).await?.err().map(|said| said.0))
    }

    /// With BuildKit, which builds for `docker build` too since Docker 23, wherever the engine has it; else with its older builder.
    async fn build_from(&self, build: &ImageBuild, body: impl Archive) -> Result<(ImageId, Vec<String>), BuildError> {
        match Session::open(self).await? {
            Ok(session) => {
                let building = self.build_with_kit(build, session.id().to_owned(), body);
                let serving = async {
                    // A build that needs one that is lost fails, and tells why.
                    let _ = session.serve(&build.secrets).await;
                    std::future::pending::<Infallible>().await
                };
                tokio::select! {
                    biased;
                    built = building => built,
                    never = serving => match never {},
                }
            }
            Err(source) => match needs_kit(build) {
                Some(what) => Err(BuildError::NoBuildKit { what, place: self.place(), source }),
                None => self.build_as_before(build, body).await,
            },
        }
    }

    async fn build_with_kit(
        &self,
        build: &ImageBuild,
        session: String,
        body: impl Archive,
    ) -> Result<(ImageId, Vec<String>), BuildError> {
        let what = format!("build `{}`", build.dockerfile.display());
        let failed = self.failed(&what);
        let asked = Kit { options: options(build).version(BuilderVersion::BuilderBuildKit).build(), session };
        let asked = serde_urlencoded::to_string(asked).map_err(|error| failed(error.into()))?;
        let request = Request::post(self.address(&format!("/build?{asked}")))
            .header(CONTENT_TYPE, "application/x-tar")
            .body(StreamBody::new(body.map_ok(Frame::data)))
            .map_err(|error| failed(error.into()))?;
        let answer = self.ask(request).await.map_err(&failed)?;
        let (status, mut said) = (answer.status(), answer.into_data_stream());
        let lost = |error| failed(Error::IOError { err: io::Error::other(error) });
        let mut told = Told::new(Words::of(build));
        let mut unread = BytesMut::new();
        while let Some(part) = said.next().await {
            unread.extend_from_slice(&part.map_err(lost)?);
            while status.is_success()
                && let Some(end) = memchr::memchr(b'\n', &unread)
            {
                let line = unread.split_to(end + 1);
                if let Some(message) = told.read(&line).map_err(|error| failed(error.into()))? {
                    return Err(self.step_failed(build, told.end().1, message));
                }
            }
        }
        if !status.is_success() {
            let refused: Refused = serde_json::from_slice(&unread).unwrap_or_default();
            let (message, status_code) = (Words::of(build).masked(&refused.message), status.as_u16());
            return Err(match status_code {
                400 => self.step_failed(build, Vec::new(), message),
                _ => failed(Error::DockerResponseServerError { status_code, message }).into(),
            });
        }
        let (image, lines) = told.end();
        let image = image.ok_or_else(|| self.lacks(&what, "id of what it has built"))?;
        Ok((image, lines))
    }

    /// For an engine that has no BuildKit, as others than Docker's.
    async fn build_as_before(
        &self,
        build: &ImageBuild,
        body: impl Archive,
    ) -> Result<(ImageId, Vec<String>), BuildError> {
        let what = format!("build `{}`", build.dockerfile.display());
        let mut words = Words::of(build);
        let mut image = None;
        let asked = options(build).rm(true).forcerm(true).build();
        let mut said = std::pin::pin!(self.docker().build_image(asked, None, Some(body_try_stream(body))));
        while let Some(part) = said.next().await {
            let part = match part {
                Ok(part) => part,
                // A Dockerfile that cannot be read is refused before anything is said.
                Err(
                    Error::DockerStreamError { error: message }
                    | Error::DockerResponseServerError { message, status_code: 400 },
                ) => {
                    return Err(self.step_failed(build, words.into_lines(), message));
                }
                Err(error) => return Err(self.failed(&what)(error).into()),
            };
            if let Some(detail) = part.error_detail {
                return Err(self.step_failed(build, words.into_lines(), detail.message.unwrap_or_default()));
            }
            part.stream.iter().for_each(|text| words.say(text));
            image = part.aux.and_then(|aux| aux.id).or(image);
        }
        let image = image.and_then(|id| ImageId::new(id).ok());
        let image = image.ok_or_else(|| self.lacks(&what, "id of what it has built"))?;
        Ok((image, words.into_lines()))
    }

    fn step_failed(&self, build: &ImageBuild, output: Vec<String>, message: String) -> BuildError {
        let dockerfile = build.dockerfile.display().to_string();
        match self.failed(&format!("build `{dockerfile}`"))(Error::DockerStreamError { error: message }) {
            EngineError::Refused { source, .. } => {
                let (commit, secrets) = (build.tree.commit.to_string(), build.secrets.keys().cloned().collect());
                let platform = build.platform.clone();
                BuildError::Step { dockerfile, commit, secrets, platform, output, source }
            }
            other => other.into(),
        }
    }
}

/// What only BuildKit can do for a build.
fn needs_kit(build: &ImageBuild) -> Option<String> {
    match &build.platform {
        _ if !build.secrets.is_empty() => Some("hand the build its secrets".to_owned()),
        Some(platform) => Some(format!("build for `{platform}`")),
        None => None,
    }
}

/// What both builders are asked.
fn options(build: &ImageBuild) -> BuildImageOptionsBuilder {
    let options = BuildImageOptionsBuilder::default()
        .dockerfile(&build.dockerfile.display().to_string())
        .buildargs(&pairs(&build.arguments))
        .labels(&pairs(&build.labels));
    let options = match &build.platform {
        Some(platform) => options.platform(platform),
        None => options,
    };
    match &build.stage {
        Some(stage) => options.target(stage),
        None => options,
    }
}

fn pairs(map: &BTreeMap<String, String>) -> HashMap<&str, &str> {
    map.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// What BuildKit is asked; the library knows no sessions unless it brings its own.
#[derive(Serialize)]
struct Kit {
    #[serde(flatten)]
    options: BuildImageOptions,
    session: String,
}

/// How an engine refuses a request.
#[derive(Default, Deserialize)]
struct Refused {
    message: String,
}

/// The last lines that a build printed, without its secrets.
pub(super) struct Words {
    mask: Mask,
    lines: VecDeque<String>,
}

impl Words {
    pub(super) fn new(mask: Mask) -> Self {
        Self { mask, lines: VecDeque::new() }
    }

    fn of(build: &ImageBuild) -> Self {
        Self::new(Mask::of(build.secrets.values().map(Secret::expose)))
    }

    pub(super) fn say(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            self.lines.push_back(self.masked(line));
        }
        self.lines.drain(..self.lines.len().saturating_sub(OUTPUT_LINES));
    }

    pub(super) fn masked(&self, text: &str) -> String {
        self.mask.text(text).into_owned()
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}
