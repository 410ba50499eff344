//! Engines, images and containers of tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use pleach_core::error::Failure;
use pleach_core::port::{EntryMode, Source, SourceEntry, SourceRef};
use pleach_core::word::CommitId;
use pleach_remote::docker::{ContainerSpec, Engine, EngineWay, Image, ImageBuild, ImageId};
pub(crate) use pleach_testbed::between::between;
pub(crate) use pleach_testbed::docker::DockerBed;
use pleach_testbed::docker::Engine as Daemon;

/// The engine that all tests have in common; none where this user may not have one.
pub(crate) async fn shared() -> Option<(&'static DockerBed, Engine)> {
    let bed = tokio::task::spawn_blocking(DockerBed::shared).await.expect("it starts")?;
    Some((bed, engine(&bed.engine).await))
}

pub(crate) async fn engine(daemon: &Daemon) -> Engine {
    Engine::connect(EngineWay::socket(daemon.socket())).await.expect("it answers")
}

/// A tree in memory.
pub(crate) struct Tree(pub(crate) BTreeMap<PathBuf, (EntryMode, Vec<u8>)>);

impl Tree {
    pub(crate) fn of(files: &[(&str, &str)]) -> Arc<dyn Source> {
        let entry = |(path, text): &(&str, &str)| (PathBuf::from(path), (EntryMode::File, text.as_bytes().to_vec()));
        Arc::new(Self(files.iter().map(entry).collect()))
    }
}

#[async_trait]
impl Source for Tree {
    async fn list(&self, _: &SourceRef) -> Result<Vec<SourceEntry>, Failure> {
        let entry = |(path, (mode, _)): (&PathBuf, &(EntryMode, Vec<u8>))| SourceEntry {
            path: path.clone(),
            mode: *mode,
            id: path.display().to_string(),
        };
        Ok(self.0.iter().map(entry).collect())
    }

    async fn read(&self, _: &SourceRef, entry: &SourceEntry) -> Result<Vec<u8>, Failure> {
        Ok(self.0[&entry.path].1.clone())
    }

    async fn export(&self, _: &SourceRef, _: &Path) -> Result<(), Failure> {
        unreachable!("nothing is exported")
    }
}

pub(crate) fn build(labels: &[(&str, &str)], names: &[&str]) -> ImageBuild {
    ImageBuild {
        tree: SourceRef { commit: CommitId::new("c".repeat(40)).expect("an id"), path: PathBuf::new() },
        dockerfile: "Dockerfile".into(),
        arguments: BTreeMap::new(),
        secrets: BTreeMap::new(),
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        stage: None,
        platform: None,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// An image of the base and one layer for each of these contents.
pub(crate) async fn layered(engine: &Engine, contents: &[&str], names: &[&str]) -> Image {
    let files: Vec<(String, &str)> = contents.iter().enumerate().map(|(at, text)| (format!("{at}"), *text)).collect();
    let copies: String = (0..contents.len()).map(|at| format!("COPY {at} /www/{at}\n")).collect();
    let dockerfile = format!("FROM base:1\n{copies}");
    let mut tree: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    tree.push(("Dockerfile", &dockerfile));
    let built = engine.build(&build(&[], names), &Tree::of(&tree)).await.expect("built");
    engine.require_image(&built.image).await.expect("there")
}

/// A container that runs a line of shell text.
pub(crate) fn shell(name: &str, image: &ImageId, text: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.into(),
        image: image.clone(),
        command: ["/bin/busybox", "sh", "-c", text].map(str::to_owned).to_vec(),
        variables: BTreeMap::new(),
        labels: BTreeMap::new(),
        ports: Vec::new(),
        memory: None,
        millicpus: None,
        volumes: Vec::new(),
        network: None,
    }
}

/// Asks again until there is an answer; a minute is far more than any of them takes.
pub(crate) async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "it does not come to that");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
