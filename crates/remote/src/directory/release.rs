//! What is known of a release: all that is needed to run it again without the config that it came from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use pleach_core::config::{
    BuildPlace, CheckConfig, CommandLine, ComposeConfig, EnvironmentValue, ImageConfig, ScriptConfig,
};
use pleach_core::period::Period;
use pleach_core::port::{ChannelNames, ImageId, ImageNames, ProjectImage, ProjectImages, TreeDigest};
use pleach_core::word::{CommitId, EnvironmentName, ReleaseId, RunId, ServiceName};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::proxy::ProxyPlace;

/// What a release is made from and how it is run. Secrets stand in it by name only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReleaseSpec {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// The commit.
    pub commit: CommitId,
    /// Which version that commit is, as it was read when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The service's path in the repository.
    #[serde(default)]
    pub path: PathBuf,
    /// Run once in the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<CommandLine>,
    /// Where.
    #[serde(default, skip_serializing_if = "BuildPlace::is_target")]
    pub build_on: BuildPlace,
    /// The process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<CommandLine>,
    /// The image that its container is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageConfig>,
    /// The Compose project, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<ComposeConfig>,
    /// The socket of the engine that its project is on, where it is another than the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_socket: Option<PathBuf>,
    /// The channel that its image is named on; of a project, the images that it builds, each by a name of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelNames>,
    /// Starts it where something else keeps it running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<CommandLine>,
    /// Stops what `start` started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<CommandLine>,
    /// Whom `start` and `stop` are run as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo: Option<String>,
    /// Scripts that were run while it was deployed. Known here so that another one makes it another release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<ScriptConfig>,
    /// Variables of all of these.
    #[serde(default)]
    pub variables: BTreeMap<String, EnvironmentValue>,
    /// What it shares with other releases.
    #[serde(default)]
    pub shared: Vec<PathBuf>,
    /// The public address.
    pub host: String,
    /// What leads the public port to the current release, instead of a router of Pleach's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyPlace>,
    /// The public port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How to tell that it is healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<CheckConfig>,
    /// How long its process may take to end.
    pub stop_grace: Period,
}

impl ReleaseSpec {
    /// Whether its image goes through a registry.
    pub(super) fn has_registry(&self) -> bool {
        self.image.as_ref().is_some_and(|image| image.registry.is_some())
    }

    /// The SHA-256 over everything but the commit and its version, in hexadecimal: what tells that a service is set up otherwise
    /// now.
    pub fn settings(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(object) = value.as_object_mut() {
            object.remove("commit");
            object.remove("version");
        }
        // The keys of a JSON object are sorted here, so equal settings are equal bytes.
        crate::local::hex(&Sha256::digest(value.to_string()))
    }

    /// Whether it is built before it is sent.
    pub(super) fn is_built_here(&self) -> bool {
        self.build.is_some() && self.build_on == BuildPlace::Here
    }

    /// Whether Pleach itself has it run and leads its port to the current release.
    pub fn is_kept_running(&self) -> bool {
        self.run.is_some() || self.image.is_some()
    }

    /// What Pleach has run, for people.
    pub(super) fn process(&self) -> Option<String> {
        let run = self.run.as_ref().map(|run| format!("`{run}`"));
        run.or_else(|| self.image.as_ref().map(|_| "the container".to_owned()))
    }

    /// How long it may take to be healthy.
    pub(super) fn within(&self) -> Period {
        self.health.as_ref().map(|check| check.thresholds).unwrap_or_default().within
    }

    /// The public address, if a router of Pleach's own leads from there.
    pub fn routed(&self) -> Option<(String, u16)> {
        self.address().filter(|_| self.proxy.is_none())
    }

    /// The public address, if it has one.
    pub fn address(&self) -> Option<(String, u16)> {
        self.port.map(|port| (self.host.clone(), port))
    }
}

/// How far a release has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseState {
    /// Its tree is being put in place. Written first, so that whatever lies there belongs to the run that is named.
    Uploading,
    /// Its tree is whole and what is shared is linked.
    Uploaded,
    /// Its build has come to its end as well.
    Built,
    /// It is or was the current one: what was made of it is known to work.
    Used,
}

/// The record of a release, beside its tree and outside of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReleaseRecord {
    /// Its name.
    pub release: ReleaseId,
    /// The run that made it.
    pub run: RunId,
    /// How far it has come.
    pub state: ReleaseState,
    /// When it was begun.
    pub created: Timestamp,
    /// What it is.
    pub spec: ReleaseSpec,
    /// [`ReleaseSpec::settings`].
    pub settings: String,
    /// Of the tree as it was put, before the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeDigest>,
    /// The image, once the target has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageId>,
    /// The services of its Compose project and their images, once the target has all of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<BTreeMap<String, ImageId>>,
    /// Where a registry has those of them that one has: `NAME@sha256:…`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub registry: BTreeMap<String, String>,
    /// What those are called that it builds, without a tag.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub called: BTreeMap<String, String>,
    /// The SHA-256 of the file that its project is resolved and pinned in. Records of before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<String>,
}

impl ReleaseRecord {
    /// All images that it is made of.
    pub(super) fn images(&self) -> impl Iterator<Item = &ImageId> {
        self.image.iter().chain(self.compose.iter().flat_map(BTreeMap::values))
    }

    /// The images that were built of it, by what they are called on a channel.
    pub(super) fn own_images(&self) -> ImageNames {
        if let Some((config, image)) = self.spec.image.as_ref().zip(self.image.clone()) {
            return ImageNames::from([(config.called(&self.spec.service), image)]);
        }
        let images = self.compose.iter().flatten();
        let built: Vec<_> =
            images.filter_map(|(service, image)| Some((service, self.called.get(service)?, image))).collect();
        let name = |(service, called, image): &(&String, &String, &ImageId)| {
            let is_shared = built.iter().any(|(_, other, another)| other == called && another != image);
            let name = if is_shared { format!("{called}-{service}") } else { (*called).clone() };
            (name, (*image).clone())
        };
        built.iter().map(name).collect()
    }

    /// The images of its Compose project, and where they can be had.
    pub(super) fn project(&self) -> Option<ProjectImages> {
        let image = |(service, image): (&String, &ImageId)| {
            let registry = self.registry.get(service).cloned();
            (service.clone(), ProjectImage { image: image.clone(), registry })
        };
        Some(self.compose.as_ref()?.iter().map(image).collect())
    }
}
