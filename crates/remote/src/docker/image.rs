//! What images an engine has.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::stream::{self, StreamExt as _};
use pleach_core::port::{ImageId, NotADigest, is_digest};

use super::engine::Engine;
use super::error::{EngineError, Said};

/// Requests to one engine at a time.
const AT_ONCE: usize = 8;

/// A layer, by the digest of its files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerId(String);

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LayerId {
    /// From `sha256:` and 64 hexadecimal digits.
    pub fn new(text: impl Into<String>) -> Result<Self, NotADigest> {
        let text = text.into();
        if is_digest(&text) { Ok(Self(text)) } else { Err(NotADigest(text)) }
    }

    /// The digits alone.
    pub(super) fn digits(&self) -> &str {
        self.0.trim_start_matches("sha256:")
    }
}

/// An image that an engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its layers, lowest first.
    pub layers: Vec<LayerId>,
    /// The names that lead to it on this engine: `NAME:TAG`.
    pub names: BTreeSet<String>,
    /// What was written on it when it was built.
    pub labels: BTreeMap<String, String>,
    /// When it was built, as RFC 3339 writes it.
    pub created: String,
    /// Of all its layers, in bytes.
    pub size: u64,
    /// What runs it: `linux/amd64`.
    pub platform: String,
}

impl Engine {
    /// An image by id or by name; nothing where this engine has none.
    pub async fn image(&self, name: &str) -> Result<Option<Image>, EngineError> {
        let what = format!("look at image `{name}`");
        let found = match self.docker().inspect_image(name).await.map_err(self.failed(&what)) {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let lacks = |lacking| self.lacks(&what, lacking);
        let id = found.id.and_then(|id| ImageId::new(id).ok()).ok_or_else(|| lacks("id of the image"))?;
        let layers = found.root_fs.and_then(|root| root.layers).unwrap_or_default();
        let layers = layers.into_iter().map(LayerId::new).collect::<Result<_, _>>();
        let (os, processor) = (found.os.unwrap_or_default(), found.architecture.unwrap_or_default());
        Ok(Some(Image {
            id,
            layers: layers.map_err(|_| lacks("layers of the image by digest"))?,
            names: found.repo_tags.unwrap_or_default().into_iter().collect(),
            labels: found.config.and_then(|config| config.labels).unwrap_or_default().into_iter().collect(),
            created: found.created.unwrap_or_default(),
            size: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
            platform: format!("{os}/{processor}"),
        }))
    }

    /// An image that has to be there.
    pub async fn require_image(&self, id: &ImageId) -> Result<Image, EngineError> {
        let what = format!("find image `{id}`");
        self.image(id.as_str()).await?.ok_or_else(|| EngineError::NotFound {
            what,
            place: self.place(),
            source: Said("no image has this id".into()),
        })
    }

    /// The ids of all images on which all of these labels are written.
    pub async fn images(&self, labels: &BTreeMap<String, String>) -> Result<BTreeSet<ImageId>, EngineError> {
        let labels = labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        let filters = HashMap::from([("label", labels)]);
        self.image_ids(ListImagesOptionsBuilder::default().filters(&filters)).await
    }

    pub(super) async fn image_ids(&self, options: ListImagesOptionsBuilder) -> Result<BTreeSet<ImageId>, EngineError> {
        let what = "list its images";
        let found = self.docker().list_images(Some(options.build())).await.map_err(self.failed(what))?;
        let ids = found.into_iter().map(|image| ImageId::new(image.id));
        ids.collect::<Result<_, _>>().map_err(|_| self.lacks(what, "ids of images by digest"))
    }

    /// How many of an image's layers the engine has, counted from the lowest: it knows a layer only together with all
    /// below it.
    pub(super) async fn layers_in_common(&self, layers: &[LayerId]) -> Result<usize, EngineError> {
        let ids = self.image_ids(ListImagesOptionsBuilder::default().all(true)).await?;
        let looks = ids.into_iter().map(|id| async move { self.image(id.as_str()).await });
        let mut images = stream::iter(looks).buffer_unordered(AT_ONCE);
        let mut most = 0;
        while let Some(image) = images.next().await {
            // Gone since it was listed: then it counts for nothing.
            let Some(image) = image? else { continue };
            let same = image.layers.iter().zip(layers).take_while(|(one, other)| one == other).count();
            most = most.max(same);
        }
        Ok(most)
    }

    /// Has `name`, as `NAME:TAG`, lead to an image, whatever it has led to.
    pub async fn ensure_name(&self, id: &ImageId, name: &str) -> Result<(), EngineError> {
        let what = format!("name image `{id}` `{name}`");
        // A colon in front of the last slash is that of a registry's port.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (name, "latest"),
        };
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        self.docker().tag_image(id.as_str(), Some(options)).await.map_err(self.failed(&what))
    }

    /// Removes a name, or an image by its id, and what only it needed; succeeds where it is gone. Never one that a container
    /// uses.
    pub async fn ensure_no_image(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveImageOptionsBuilder::default().force(false).build();
        let removed = self.docker().remove_image(name, Some(options), None).await;
        match removed.map_err(self.failed(&format!("remove image `{name}`"))) {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}
