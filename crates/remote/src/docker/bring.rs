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

use std::collections::{BTreeMap, BTreeSet};
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
use super::error::{EngineError, Said};
use super::image::{Image, LayerId};
use super::still::{Moved, STILL};
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
    /// Nothing has arrived for too long.
    #[error("image `{image}` does not get on from `{from}` to `{to}`")]
    Still {
        /// The image.
        image: ImageId,
        /// Where it is.
        from: String,
        /// Where it is to be.
        to: String,
        /// For how long.
        #[source]
        source: Said,
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
            Self::Still { .. } => Kind::Transient,
            Self::Lost { .. } => Kind::Conflict,
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Engine { source, to, .. } if source.kind() != Kind::UnknownOutcome => {
                Some(source.state().unwrap_or_else(|| format!("`{to}` has what it had")))
            }
            _ => Some(
                "no name leads to it there; what has arrived is sent again where the engine there did not keep it"
                    .into(),
            ),
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Engine { source, .. } => source.next(),
            Self::NotTheImage { image, .. } => {
                Some(format!("look at it with `docker image inspect {image}`, and build it anew"))
            }
            Self::Still { to, .. } => Some(format!(
                "see whether the line to `{to}` and both engines are well: `docker info`; then deploy again"
            )),
            Self::Here { .. } => Some(format!("see with `df -h '{}'`, make room", std::env::temp_dir().display())),
            Self::Lost { .. } => {
                Some("see whether something removes images there: `docker events --since 10m --until 0s`".into())
            }
        }
    }
}

/// Makes another engine have an image of this one, under these names (`NAME:TAG`) as well. Does nothing where it has it all.
///
/// It may take as long as it likes, but not stand still.
pub async fn bring_image(
    from: &Engine,
    to: &Engine,
    id: &ImageId,
    names: &[String],
) -> Result<BroughtImage, BringError> {
    let moved = Moved::default();
    let brought = moved.watch(STILL, bring_named(from, to, id, names, &moved)).await;
    brought.unwrap_or_else(|| Err(still(from, to, id)))
}

fn still(from: &Engine, to: &Engine, id: &ImageId) -> BringError {
    let source = Said(format!("nothing of it was read, sent or taken for {STILL}"));
    BringError::Still { image: id.clone(), from: from.place(), to: to.place(), source }
}

async fn bring_named(
    from: &Engine,
    to: &Engine,
    id: &ImageId,
    names: &[String],
    moved: &Moved,
) -> Result<BroughtImage, BringError> {
    let failed =
        |source| BringError::Engine { image: id.clone(), from: from.place(), to: to.place(), source: Box::new(source) };
    let mut sent = None;
    // Twice: whatever has no name can be removed by anybody before it gets one.
    for last in [false, true] {
        let brought = bring_all(from, to, std::slice::from_ref(id), moved).await?.remove(id);
        sent = brought.filter(|brought| brought.bytes > 0 || sent.is_none()).or(sent);
        match name_all(to, id, names).await {
            Ok(()) => break,
            Err(error) if error.is_not_found() && !last => {}
            Err(error) => return Err(failed(error)),
        }
    }
    sent.ok_or_else(|| BringError::Lost { image: id.clone(), to: to.place() })
}

/// Makes another engine have several images of this one, in one archive: what they have in common is read and sent once. An error
/// names the first of them that it is about.
pub(super) async fn bring_images(
    from: &Engine,
    to: &Engine,
    ids: &[ImageId],
) -> Result<BTreeMap<ImageId, BroughtImage>, BringError> {
    let Some(first) = ids.first() else { return Ok(BTreeMap::new()) };
    let moved = Moved::default();
    let brought = moved.watch(STILL, bring_all(from, to, ids, &moved)).await;
    brought.unwrap_or_else(|| Err(still(from, to, first)))
}

async fn bring_all(
    from: &Engine,
    to: &Engine,
    ids: &[ImageId],
    moved: &Moved,
) -> Result<BTreeMap<ImageId, BroughtImage>, BringError> {
    let (mut brought, mut missing) = (BTreeMap::new(), Vec::new());
    for id in ids {
        let failed = |source| Route { from, to, id, moved }.failed(source);
        let image = from.require_image(id).await.map_err(failed)?;
        if is_there(to, &image).await.map_err(failed)? {
            let there = BroughtImage { layers_there: image.layers.len(), layers_sent: 0, bytes: 0 };
            brought.insert(id.clone(), there);
        } else if !missing.contains(&image) {
            missing.push(image);
        }
    }
    let Some(first) = missing.first() else { return Ok(brought) };
    let sent = Route { from, to, id: &first.id, moved }.send(&missing).await?;
    for (image, sent) in missing.into_iter().zip(sent) {
        let route = Route { from, to, id: &image.id, moved };
        if !is_there(to, &image).await.map_err(|source| route.failed(source))? {
            return Err(BringError::Lost { image: image.id, to: to.place() });
        }
        brought.insert(image.id, sent);
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

/// From where to where, and the image that is named where something is wrong.
#[derive(Clone, Copy)]
struct Route<'a> {
    from: &'a Engine,
    to: &'a Engine,
    id: &'a ImageId,
    moved: &'a Moved,
}

impl Route<'_> {
    fn failed(&self, source: EngineError) -> BringError {
        let (from, to) = (self.from.place(), self.to.place());
        BringError::Engine { image: self.id.clone(), from, to, source: Box::new(source) }
    }

    async fn send(&self, images: &[Image]) -> Result<Vec<BroughtImage>, BringError> {
        let mut there = Vec::new();
        for image in images {
            there.push(self.to.layers_in_common(&image.layers).await.map_err(|source| self.failed(source))?);
        }
        let refused =
            |source: &EngineError| matches!(source, EngineError::Refused { .. } | EngineError::NotFound { .. });
        match self.send_above(images, &there).await {
            Err(BringError::Engine { source, .. }) if there.iter().any(|there| *there > 0) && refused(&source) => {
                self.send_above(images, &vec![0; images.len()]).await
            }
            sent => sent,
        }
    }

    /// Sends all layers but the lowest of each image, which are `there`.
    async fn send_above(&self, images: &[Image], there: &[usize]) -> Result<Vec<BroughtImage>, BringError> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let bytes = Arc::new(AtomicU64::new(0));
        let (counted, moved) = (bytes.clone(), self.moved.clone());
        let body = body(receiver).inspect(move |part: &io::Result<Bytes>| {
            moved.on();
            let length = part.as_ref().map_or(0, Bytes::len);
            counted.fetch_add(length as u64, Ordering::Relaxed);
        });
        let all = images.iter().zip(there).flat_map(|(image, there)| wanted(image, *there)).collect();
        let thin = async {
            let sender = sender;
            let thinned = Thinning { route: *self, images, sender: &sender, wanted: all, sizes: BTreeMap::new() };
            let thinned = thinned.run().await;
            if thinned.is_err() {
                cut(&sender).await;
            }
            thinned
        };
        let (thinned, loaded) = tokio::join!(thin, load(self.to, self.id, body));
        match (thinned, loaded) {
            // Nobody takes what is thinned any more: the engine tells why.
            (Err(Thinned::NotTaken) | Ok(_), Err(source)) => Err(self.failed(source)),
            (Err(Thinned::Broken(error)), _) => Err(*error),
            (Err(Thinned::NotTaken), Ok(())) => Err(BringError::Lost { image: self.id.clone(), to: self.to.place() }),
            (Ok(sizes), Ok(())) => Ok(shares(images, there, sizes, bytes.load(Ordering::Relaxed))),
        }
    }
}

/// What was sent for each image: what several have in common counts for the first of them, and so does what is no layer.
fn shares(images: &[Image], there: &[usize], mut sizes: BTreeMap<LayerId, u64>, bytes: u64) -> Vec<BroughtImage> {
    let mut rest = bytes - sizes.values().sum::<u64>().min(bytes);
    let share = |(image, there): (&Image, &usize)| {
        let needed = wanted(image, *there);
        let own: Vec<u64> = needed.iter().filter_map(|layer| sizes.remove(layer)).collect();
        let bytes = own.iter().sum::<u64>() + std::mem::take(&mut rest);
        BroughtImage { layers_there: there + needed.len() - own.len(), layers_sent: own.len(), bytes }
    };
    images.iter().zip(there).map(share).collect()
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
    route: Route<'a>,
    images: &'a [Image],
    sender: &'a mpsc::Sender<io::Result<Bytes>>,
    /// Layers that are still to be sent.
    wanted: BTreeSet<LayerId>,
    /// What was sent of each layer.
    sizes: BTreeMap<LayerId, u64>,
}

/// Where a layer is in the archive that is sent.
fn place(layer: &LayerId) -> String {
    format!("{}/layer.tar", layer.digits())
}

impl Thinning<'_> {
    async fn run(mut self) -> Result<BTreeMap<LayerId, u64>, Thinned> {
        let names: Vec<&str> = self.images.iter().map(|image| image.id.as_str()).collect();
        // Layers that are there already are read as well, and not sent.
        let saved = self.route.from.docker().export_images(&names).inspect(|_| self.route.moved.on());
        let saved = std::pin::pin!(saved);
        let mut reader = Reader::new(saved);
        let own: BTreeSet<&str> = self.images.iter().map(|image| image.id.digits()).collect();
        let mut configurations = BTreeMap::new();
        while let Some(entry) = reader.next().await.map_err(|error| self.unreadable(error))? {
            let blob = entry.name.strip_prefix("blobs/sha256/");
            if let Some(digits) = blob.or(entry.name.strip_suffix(".json")).and_then(|name| own.get(name)) {
                let content = reader.whole(CONFIGURATION).await.map_err(|error| self.unreadable(error))?;
                configurations.insert(*digits, content);
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
        let mut manifest = Vec::new();
        for image in self.images {
            let own = image.id.digits();
            let configuration = configurations.remove(own);
            let configuration = configuration.ok_or_else(|| self.wrong(format!("it has no configuration `{own}`")))?;
            if hex(&Sha256::digest(&configuration)) != own {
                return Err(self.wrong(format!("its configuration `{own}` is another one")));
            }
            let name = format!("{own}.json");
            self.send_file(&name, configuration.into()).await?;
            let layers: Vec<String> = image.layers.iter().map(place).collect();
            manifest.push(json!({ "Config": name, "RepoTags": null, "Layers": layers }));
        }
        self.send_file("manifest.json", json!(manifest).to_string().into_bytes().into()).await?;
        self.send(end()).await?;
        Ok(self.sizes)
    }

    /// A layer that is named by its digest is sent as it is read; where it is another one, the archive is never ended.
    async fn send_named<S, E>(&mut self, reader: &mut Reader<S>, entry: &Entry, layer: &LayerId) -> Result<(), Thinned>
    where
        S: futures_util::Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.begin(layer, entry).await?;
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
        self.begin(&layer, entry).await?;
        kept.rewind().map_err(|error| self.here(error))?;
        while let Some(part) = read_part(&mut kept).map_err(|error| self.here(error))? {
            self.send(part).await?;
        }
        self.send(pad(entry.size)).await
    }

    async fn begin(&mut self, layer: &LayerId, entry: &Entry) -> Result<(), Thinned> {
        let front = front(&place(layer), entry.size);
        self.sizes.insert(layer.clone(), (front.len() + pad(entry.size).len()) as u64 + entry.size);
        self.send(front).await
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
        BringError::NotTheImage { image: self.route.id.clone(), from: self.route.from.place(), source }.into()
    }

    /// The archive is none, or the engine that writes it is lost.
    fn unreadable(&self, error: io::Error) -> Thinned {
        if error.kind() == io::ErrorKind::InvalidData {
            return self.wrong(error.to_string());
        }
        let what = format!("save image `{}`", self.route.id);
        let source = match error.downcast::<bollard::errors::Error>() {
            Ok(error) => self.route.from.failed(&what)(error),
            Err(err) => self.route.from.failed(&what)(bollard::errors::Error::IOError { err }),
        };
        self.route.failed(source).into()
    }

    fn here(&self, source: io::Error) -> Thinned {
        BringError::Here { image: self.route.id.clone(), to: self.route.to.place(), source }.into()
    }
}

fn read_part(file: &mut File) -> io::Result<Option<Bytes>> {
    let mut part = Vec::with_capacity(PART);
    file.take(PART as u64).read_to_end(&mut part)?;
    Ok(if part.is_empty() { None } else { Some(part.into()) })
}
