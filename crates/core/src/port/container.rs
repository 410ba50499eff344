//! Images of containers, and the engine that runs them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{ChannelNames, ImageNames, NameChange, Secret, Source, SourceRef};
use crate::error::Failure;

/// Text that is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not `sha256:` and 64 hexadecimal digits")]
pub struct NotADigest(pub String);

/// An image, by the digest of its configuration: the same wherever it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageId(String);

impl ImageId {
    /// From `sha256:` and 64 hexadecimal digits.
    pub fn new(text: impl Into<String>) -> Result<Self, NotADigest> {
        let text = text.into();
        if is_digest(&text) { Ok(Self(text)) } else { Err(NotADigest(text)) }
    }

    /// With `sha256:`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits alone.
    pub fn digits(&self) -> &str {
        self.0.trim_start_matches("sha256:")
    }

    /// The first twelve digits, as engines show them.
    pub fn short(&self) -> &str {
        self.digits().get(..12).unwrap_or_default()
    }
}

/// The image of one service of a Compose project, as it runs somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProjectImage {
    /// The image.
    pub image: ImageId,
    /// Where a registry has it: `NAME@sha256:…`. Absent where it was built and never pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
}

/// Those of all its services, by their names.
pub type ProjectImages = BTreeMap<String, ProjectImage>;

/// Whether it is `sha256:` and 64 hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ImageId {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Self, NotADigest> {
        Self::new(text)
    }
}

impl From<ImageId> for String {
    fn from(id: ImageId) -> Self {
        id.0
    }
}

/// What to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageBuild {
    /// The tree that the Dockerfile sees.
    pub tree: SourceRef,
    /// The Dockerfile, relative to the tree.
    pub dockerfile: PathBuf,
    /// What its `ARG`s get. They can be read from the image, so nothing secret belongs here.
    pub arguments: BTreeMap<String, String>,
    /// What its steps can mount (`RUN --mount=type=secret,id=ID`), by id. None of it stays in the image.
    pub secrets: BTreeMap<String, Secret>,
    /// What is written on the image.
    pub labels: BTreeMap<String, String>,
    /// The stage to build; the last one if absent.
    pub stage: Option<String>,
    /// What it is to run on, such as `linux/arm64`; what the builder itself runs on if absent.
    pub platform: Option<String>,
    /// Names that lead to the image once it is built: `NAME:TAG`.
    pub names: Vec<String>,
}

/// What an image is for, and what a target's engine runs: `linux/amd64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platforms {
    /// Of the image, as the engine that has built it says.
    pub image: String,
    /// Of the target's engine.
    pub target: String,
}

impl Platforms {
    /// Whether the image is for what the engine runs.
    pub fn fit(&self) -> bool {
        is_same_platform(&self.image, &self.target)
    }
}

/// Whether two platforms have the same system and processor. Its variant, `v7` of `linux/arm/v7`, counts where both name one.
pub fn is_same_platform(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    let same = (0..2).all(|_| one.next() == other.next());
    same && one.next().zip(other.next()).is_none_or(|(one, other)| one == other)
}

/// What became of bringing an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroughtImage {
    /// How many of its layers the target had.
    pub layers_there: usize,
    /// How many were sent.
    pub layers_sent: usize,
    /// How many bytes were sent, all in all; none where it had the image.
    pub bytes: u64,
}

impl BroughtImage {
    /// How many layers the image has.
    pub fn layers(&self) -> usize {
        self.layers_there + self.layers_sent
    }
}

/// Where an image is in a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RegistryPlace {
    /// The registry's host, a path there, and what the image is called: `registry.example.com/team/odoo-mta`.
    pub repository: String,
    /// The tag.
    pub tag: String,
}

impl RegistryPlace {
    /// `REPOSITORY:TAG`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    /// The registry's host.
    pub fn host(&self) -> &str {
        self.repository.split('/').next().unwrap_or_default()
    }
}

/// Where tags lead in a registry: each to the digest of a manifest there. One that is absent leads nowhere.
pub type RegistryTags = BTreeMap<String, String>;

/// What a registry is told of who asks.
#[derive(Clone, Debug)]
pub struct RegistryLogin {
    /// Who.
    pub user: String,
    /// The password or token.
    pub password: Secret,
}

/// Builds images where Pleach runs, names them there, and brings them to a target.
///
/// Nothing here changes what runs on the target: an image that nothing refers to yet can only be added. What refers to it
/// comes with a lease, over the target's shell.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Containers: Send + Sync {
    /// An image on which all of these labels are written, where images are built. One without a name is not kept there, so it is
    /// none.
    async fn built(&self, labels: &BTreeMap<String, String>) -> Result<Option<ImageId>, Failure>;

    /// Builds an image, unless there is one on which all of `wanted` is written, which is part of what is written on the new one.
    /// Asked for the same by many targets at once, it is built once.
    async fn build(
        &self,
        build: &ImageBuild,
        wanted: &BTreeMap<String, String>,
        source: Arc<dyn Source>,
    ) -> Result<ImageId, Failure>;

    /// What an image that was built is for, and what the target runs.
    async fn platforms(&self, image: &ImageId) -> Result<Platforms, Failure>;

    /// Whether an image is where images are built.
    async fn is_built(&self, image: &ImageId) -> Result<bool, Failure>;

    /// Has a registry have an image that was built, and tells its digest there, as it was read back. Does nothing where it is there,
    /// and leaves another one of that name as it is.
    async fn push(
        &self,
        image: &ImageId,
        place: &RegistryPlace,
        login: Option<RegistryLogin>,
    ) -> Result<String, Failure>;

    /// Where these tags lead in a registry: the digests of manifests there.
    async fn tagged(
        &self,
        repository: &str,
        tags: &[String],
        login: Option<RegistryLogin>,
    ) -> Result<RegistryTags, Failure>;

    /// Has a tag lead to what its registry has by this digest, wherever it led before; tells where it leads then, as it was read
    /// back. With `image`, only if it is that one.
    async fn tag(
        &self,
        place: &RegistryPlace,
        digest: &str,
        image: Option<ImageId>,
        login: Option<RegistryLogin>,
    ) -> Result<String, Failure>;

    /// Makes the target have an image that was built. Does nothing where it has it.
    async fn bring(&self, image: &ImageId) -> Result<BroughtImage, Failure>;

    /// Makes an image of the target be where images are built, by this name. Does nothing where it is there.
    async fn fetch(&self, image: &ImageId, name: &str) -> Result<BroughtImage, Failure>;

    /// Whether the target has an image.
    async fn has(&self, image: &ImageId) -> Result<bool, Failure>;

    /// Where these names lead, where images are built.
    async fn names(&self, names: &[String]) -> Result<ImageNames, Failure>;

    /// Has names lead elsewhere, where images are built; tells where all of them lead then, as it was read back.
    async fn rename(&self, changes: &[NameChange]) -> Result<ImageNames, Failure>;

    /// The versions of a channel, where images are built, that nothing needs beyond the newest `keep`.
    async fn surplus(&self, channel: &ChannelNames, keep: usize) -> Result<Vec<String>, Failure>;

    /// Removes the names of these. An image goes with the last of its names, unless a container uses it.
    async fn forget_surplus(&self, channel: &ChannelNames, keep: usize) -> Result<Vec<String>, Failure>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_differ_in_system_or_processor_and_in_variants_that_are_named() {
        for (one, other, same) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/amd64", "linux/arm64", false),
            ("linux/amd64", "windows/amd64", false),
            ("linux/arm/v7", "linux/arm", true),
            ("linux/arm/v7", "linux/arm/v6", false),
        ] {
            assert_eq!((is_same_platform(one, other), is_same_platform(other, one)), (same, same), "{one} {other}");
        }
    }

    #[test]
    fn only_a_whole_digest_is_one() {
        let digits = "0123456789abcdef".repeat(4);
        assert_eq!(ImageId::new(format!("sha256:{digits}")).expect("one").digits(), digits);
        for wrong in [digits.clone(), format!("sha256:{}", &digits[1..]), format!("sha256:{}", digits.to_uppercase())] {
            ImageId::new(wrong).expect_err("none");
        }
    }
}
