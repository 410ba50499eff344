//! From engine to engine without any registry: only the layers that are missing travel.
//!
//! An engine writes all layers of an image when it is asked to save it, and takes an archive that lacks those that it has when it
//! is asked to load it (seen with 20.10; it looks for a layer among its own before it opens the archive's). So the archive is
//! thinned on its way:
//!
//! ```text
//! one engine ── save ──▶ here: each layer hashed, and sent on if it is one of those that are missing ── load ──▶ other engine
//! ```
//!
//! Engines before 25 name layers by what only they can compute, so a layer's digest is known once it has been read: it is kept in
//! a temporary file until then, one layer at a time. Newer ones name it by its digest, and it is sent as it is read. Either way
//! nothing is sent under a digest that it does not have, memory stays flat, and the image is looked at on the other engine before
//! it gets a name there.
//!
//! An engine that refuses the thinned archive — somebody has pruned it meanwhile, or it keeps images in another way — is sent all
//! of it, once.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bollard::query_parameters::ImportImageOptionsBuilder;
use bytes::Bytes;
use futures_util::StreamExt as _;
use pleach_core::error::{Explain, Kind};
use pleach_core::port::{BroughtImage, ImageId};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::archive::{Entry, Reader, body, cut, end, front, pad};
use super::engine::Engine;
use super::error::EngineError;
use super::image::{Image, LayerId};
use crate::local::hex;

/// The largest configuration of an image that is believed to be one.
const CONFIGURATION: usize = 4 << 20;

/// What is read from a temporary file at a time, and how many such parts wait to be sent.
const PART: usize = 256 << 10;
const WAITING: usize = 8;

/// Why an image was not brought.
#[derive(Debug, thiserror::Error)]
pub enum BringError {
    /// One of the engines does not do what it is asked.
    #[error("could not bring image `{image}` from `{from}` to `{to}`")]
    Engine {
        /// The image.
        image: ImageId,
        /// Where it is.
        from: String,
        /// Where it is to be.
        to: String,
        /// Why.
        #[source]
        source: Box<EngineError>,
    },
    /// What was saved is not the image.
    #[error("what `{from}` saves of image `{image}` does not match its digest")]
    NotTheImage {
        /// The image.
        image: ImageId,
        /// Where it is.
        from: String,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// It could not be kept here on its way.
    #[error("could not keep a layer of image `{image}` here on its way to `{to}`")]
    Here {
        /// The image.
        image: ImageId,
        /// Where it is to be.
        to: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The other engine took it, and has something else.
    #[error("`{to}` took image `{image}` and has none with its layers")]
    Lost {
        /// The image.
        image: ImageId,
        /// Where it is to be.
        to: String,
    },
}

impl Explain for BringError {
    fn kind(&self) -> Kind {
        match self {
            Self::Engine { source, .. } => source.kind(),
            Self::NotTheImage { .. } | Self::Here { .. } => Kind::Rejected,
            Self::Lost { .. } => Kind::Conflict,
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Engine { source, to, .. } if source.kind() != Kind::UnknownOutcome => {
                Some(source.state().unwrap_or_else(|| format!("`{to}` has what it had")))
            }
            _ => Some("no name leads to it there; layers that have arrived are used the next time".into()),
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Engine { source, .. } => source.next(),
            Self::NotTheImage { image, .. } => {
                Some(format!("look at it with `docker image inspect {image}`, and build it anew"))
            }
            Self::Here { .. } => Some(format!("see with `df -h '{}'`, make room", std::env::temp_dir().display())),
            Self::Lost { .. } => {
                Some("see whether something removes images there: `docker events --since 10m --until 0s`".into())
            }
        }
    }
}

/// Makes another engine have an image of this one, under these names (`NAME:TAG`) as well. Does nothing where it has it all.
pub async fn bring_image(
    from: &Engine,
    to: &Engine,
    id: &ImageId,
    names: &[String],
) -> Result<BroughtImage, BringError> {
    let failed =
        |source| BringError::Engine { image: id.clone(), from: from.place(), to: to.place(), source: Box::new(source) };
    let image = from.require_image(id).await.map_err(failed)?;
    let mut brought = BroughtImage { layers_there: image.layers.len(), layers_sent: 0, bytes: 0 };
    // Twice: whatever has no name can be removed by anybody before it gets one.
    for last in [false, true] {
        if !is_there(to, &image).await.map_err(failed)? {
            brought = send(from, to, &image).await?;
            if !is_there(to, &image).await.map_err(failed)? {
                return Err(BringError::Lost { image: id.clone(), to: to.place() });
            }
        }
        match name_all(to, id, names).await {
            Ok(()) => break,
            Err(error) if error.is_not_found() && !last => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(brought)
}

async fn name_all(to: &Engine, id: &ImageId, names: &[String]) -> Result<(), EngineError> {
    for name in names {
        to.ensure_name(id, name).await?;
    }
    Ok(())
}

async fn is_there(to: &Engine, wanted: &Image) -> Result<bool, EngineError> {
    Ok(to.image(wanted.id.as_str()).await?.is_some_and(|there| there.layers == wanted.layers))
}

async fn send(from: &Engine, to: &Engine, image: &Image) -> Result<BroughtImage, BringError> {
    let failed = |source| BringError::Engine {
        image: image.id.clone(),
        from: from.place(),
        to: to.place(),
        source: Box::new(source),
    };
    let there = to.layers_in_common(&image.layers).await.map_err(failed)?;
    let refused = |source: &EngineError| matches!(source, EngineError::Refused { .. } | EngineError::NotFound { .. });
    match send_above(from, to, image, there).await {
        Err(BringError::Engine { source, .. }) if there > 0 && refused(&source) => send_above(from, to, image, 0).await,
        sent => sent,
    }
}

/// Sends all layers but the lowest, which are `there`.
async fn send_above(from: &Engine, to: &Engine, image: &Image, there: usize) -> Result<BroughtImage, BringError> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let bytes = Arc::new(AtomicU64::new(0));
    let counted = bytes.clone();
    let body = body(receiver).inspect(move |part: &io::Result<Bytes>| {
        let length = part.as_ref().map_or(0, Bytes::len);
        counted.fetch_add(length as u64, Ordering::Relaxed);
    });
    let thin = async {
        let sender = sender;
        let thinned = Thinning { image, from, to, sender: &sender, wanted: wanted(image, there) }.run().await;
        if thinned.is_err() {
            cut(&sender).await;
        }
        thinned
    };
    let (thinned, loaded) = tokio::join!(thin, load(to, &image.id, body));
    match (thinned, loaded) {
        // Nobody takes what is thinned any more: the engine tells why.
        (Err(Thinned::NotTaken) | Ok(()), Err(source)) => Err(BringError::Engine {
            image: image.id.clone(),
            from: from.place(),
            to: to.place(),
            source: Box::new(source),
        }),
        (Err(Thinned::Broken(error)), _) => Err(*error),
        (Err(Thinned::NotTaken), Ok(())) => Err(BringError::Lost { image: image.id.clone(), to: to.place() }),
        (Ok(()), Ok(())) => Ok(BroughtImage {
            layers_there: there,
            layers_sent: wanted(image, there).len(),
            bytes: bytes.load(Ordering::Relaxed),
        }),
    }
}

fn wanted(image: &Image, there: usize) -> BTreeSet<LayerId> {
    let lower = &image.layers[..there];
    image.layers[there..].iter().filter(|layer| !lower.contains(layer)).cloned().collect()
}

async fn load(
    to: &Engine,
    id: &ImageId,
    body: impl futures_util::Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<(), EngineError> {
    let what = format!("load image `{id}`");
    let options = ImportImageOptionsBuilder::default().quiet(true).build();
    let mut said = std::pin::pin!(to.docker().import_image_stream(options, body, None));
    while let Some(line) = said.next().await {
        line.map_err(to.failed(&what))?;
    }
    Ok(())
}

/// Why an archive was not thinned.
enum Thinned {
    /// Nobody takes it any more.
    NotTaken,
    /// It is not what it should be, or cannot be read.
    Broken(Box<BringError>),
}

impl From<BringError> for Thinned {
    fn from(error: BringError) -> Self {
        Self::Broken(Box::new(error))
    }
}

struct Thinning<'a> {
    image: &'a Image,
    from: &'a Engine,
    to: &'a Engine,
    sender: &'a mpsc::Sender<io::Result<Bytes>>,
    /// Layers that are still to be sent.
    wanted: BTreeSet<LayerId>,
}

/// Where a layer is in the archive that is sent.
fn place(layer: &LayerId) -> String {
    format!("{}/layer.tar", layer.digits())
}

impl Thinning<'_> {
    async fn run(mut self) -> Result<(), Thinned> {
        let saved = std::pin::pin!(self.from.docker().export_image(self.image.id.as_str()));
        let mut reader = Reader::new(saved);
        let mut configuration = None;
        let own = self.image.id.digits();
        while let Some(entry) = reader.next().await.map_err(|error| self.unreadable(error))? {
            let blob = entry.name.strip_prefix("blobs/sha256/");
            if blob.or(entry.name.strip_suffix(".json")) == Some(own) {
                let content = reader.whole(CONFIGURATION).await.map_err(|error| self.unreadable(error))?;
                configuration = Some(content);
            } else if let Some(layer) = blob.and_then(|digits| LayerId::new(format!("sha256:{digits}")).ok()) {
                if self.wanted.remove(&layer) {
                    self.send_named(&mut reader, &entry, &layer).await?;
                }
            } else if entry.file && entry.name.ends_with("/layer.tar") && !self.wanted.is_empty() {
                self.send_if_wanted(&mut reader, &entry).await?;
            }
        }
        if let Some(missing) = self.wanted.first() {
            return Err(self.wrong(format!("it has no layer `{missing}`")));
        }
        let configuration = configuration.ok_or_else(|| self.wrong("it has no configuration of this digest".into()))?;
        if hex(&Sha256::digest(&configuration)) != own {
            return Err(self.wrong("its configuration is another one".into()));
        }
        let name = format!("{own}.json");
        let layers: Vec<String> = self.image.layers.iter().map(place).collect();
        let manifest = json!([{ "Config": name, "RepoTags": null, "Layers": layers }]).to_string();
        for (name, content) in [(name.as_str(), configuration), ("manifest.json", manifest.into_bytes())] {
            self.send_file(name, content.into()).await?;
        }
        self.send(end()).await
    }

    /// A layer that is named by its digest is sent as it is read; where it is another one, the archive is never ended.
    async fn send_named<S, E>(&self, reader: &mut Reader<S>, entry: &Entry, layer: &LayerId) -> Result<(), Thinned>
    where
        S: futures_util::Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.send(front(&place(layer), entry.size)).await?;
        let mut hash = Sha256::new();
        while let Some(part) = reader.part().await.map_err(|error| self.unreadable(error))? {
            hash.update(&part);
            self.send(part).await?;
        }
        if hex(&hash.finalize()) != layer.digits() {
            return Err(self.wrong(format!("layer `{layer}` is another one")));
        }
        self.send(pad(entry.size)).await
    }

    /// A layer whose digest is known once it has been read.
    async fn send_if_wanted<S, E>(&mut self, reader: &mut Reader<S>, entry: &Entry) -> Result<(), Thinned>
    where
        S: futures_util::Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut kept = tempfile::tempfile().map_err(|error| self.here(error))?;
        let mut hash = Sha256::new();
        while let Some(part) = reader.part().await.map_err(|error| self.unreadable(error))? {
            hash.update(&part);
            kept.write_all(&part).map_err(|error| self.here(error))?;
        }
        let layer = LayerId::new(format!("sha256:{}", hex(&hash.finalize())));
        let layer = layer.map_err(|error| self.wrong(error.to_string()))?;
        // What the other engine has, and what is in the archive twice, is left out.
        if !self.wanted.remove(&layer) {
            return Ok(());
        }
        self.send(front(&place(&layer), entry.size)).await?;
        kept.rewind().map_err(|error| self.here(error))?;
        while let Some(part) = read_part(&mut kept).map_err(|error| self.here(error))? {
            self.send(part).await?;
        }
        self.send(pad(entry.size)).await
    }

    async fn send_file(&self, name: &str, content: Bytes) -> Result<(), Thinned> {
        let size = content.len() as u64;
        self.send(front(name, size)).await?;
        self.send(content).await?;
        self.send(pad(size)).await
    }

    async fn send(&self, part: Bytes) -> Result<(), Thinned> {
        if part.is_empty() {
            return Ok(());
        }
        self.sender.send(Ok(part)).await.map_err(|_| Thinned::NotTaken)
    }

    fn wrong(&self, why: String) -> Thinned {
        let source = io::Error::new(io::ErrorKind::InvalidData, why);
        BringError::NotTheImage { image: self.image.id.clone(), from: self.from.place(), source }.into()
    }

    /// The archive is none, or the engine that writes it is lost.
    fn unreadable(&self, error: io::Error) -> Thinned {
        if error.kind() == io::ErrorKind::InvalidData {
            return self.wrong(error.to_string());
        }
        let what = format!("save image `{}`", self.image.id);
        let source = match error.downcast::<bollard::errors::Error>() {
            Ok(error) => self.from.failed(&what)(error),
            Err(err) => self.from.failed(&what)(bollard::errors::Error::IOError { err }),
        };
        let image = self.image.id.clone();
        BringError::Engine { image, from: self.from.place(), to: self.to.place(), source: Box::new(source) }.into()
    }

    fn here(&self, source: io::Error) -> Thinned {
        BringError::Here { image: self.image.id.clone(), to: self.to.place(), source }.into()
    }
}

fn read_part(file: &mut File) -> io::Result<Option<Bytes>> {
    let mut part = Vec::with_capacity(PART);
    file.take(PART as u64).read_to_end(&mut part)?;
    Ok(if part.is_empty() { None } else { Some(part.into()) })
}
