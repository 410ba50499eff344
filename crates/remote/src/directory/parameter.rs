//! The parameters of steps, as plans carry them. Plain data; secrets by name only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pleach_core::config::{CheckConfig, CommandLine, RegistryConfig};
use pleach_core::percent::Percent;
use pleach_core::period::Period;
use pleach_core::port::{ChannelNames, ImageId, ImageNames, ProjectImages, SecretName};
use pleach_core::word::{EnvironmentName, ReleaseId, RunId, ServiceName};
use serde::{Deserialize, Serialize};

use super::layout::ServiceLayout;
use super::release::ReleaseSpec;
use crate::proxy::{Led, Part};
use crate::ssh::quote_text;
use crate::volume::Owner;

/// A path as one word of a command that a person types.
pub(super) fn word(path: &Path) -> String {
    quote_text(&path.to_string_lossy())
}

/// Where a service lies on its target, and the executable there that knows `supervise` and `route`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Place {
    /// The service's directory on the target, absolute.
    pub directory: PathBuf,
    /// The service.
    pub service: ServiceName,
    /// The executable on the target.
    pub program: PathBuf,
    /// How one gets to a shell there from where Pleach runs, such as `ssh vm1`; absent on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<String>,
    /// The socket of the Docker engine there, where it is another than the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_socket: Option<PathBuf>,
    /// What `sudo` asks for there; absent where it asks for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo_password: Option<SecretName>,
}

impl Place {
    /// A command for the target's shell as one types it where Pleach runs.
    pub(crate) fn typed(&self, command: String) -> String {
        typed_from(self.reach.as_deref(), command)
    }

    /// The paths below it.
    pub fn layout(&self) -> ServiceLayout {
        ServiceLayout::new(&self.directory)
    }
}

/// A command for a target's shell as one types it where Pleach runs: behind `ssh HOST`, or here.
pub(super) fn typed_from(reach: Option<&str>, command: String) -> String {
    match reach {
        Some(reach) => format!("{reach} {}", quote_text(&command)),
        None => command,
    }
}

/// What the plan saw before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Previous {
    /// The release that was current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// Releases whose process ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<ReleaseId>,
    /// Ports that had a router.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routers: Vec<(String, u16)>,
}

/// Of a step about one release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ReleaseParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) release: ReleaseId,
    /// What is asked of what runs again once the step is taken back; nothing if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) back: Option<Asked>,
}

/// Of the snapshot `directory-release`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CurrentParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    /// What the run is to make current; absent where it leaves that as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) release: Option<ReleaseId>,
}

/// Of `files`, and of the snapshot that it names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct FilesParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    /// Absolute paths on the target.
    pub(super) paths: Vec<PathBuf>,
}

/// Of `volumes`, and of the snapshot that it names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct VolumesParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    /// As the config names them.
    pub(super) volumes: Vec<String>,
    /// Whose containers run on them.
    pub(super) owner: Owner,
    /// How long each of these may take to end.
    pub(super) stop_grace: Period,
}

/// Of `backup`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct BackupParameters {
    /// Where, and the volumes.
    #[serde(flatten)]
    pub(super) kept: VolumesParameters,
    pub(super) release: ReleaseId,
    /// Absolute paths on the target.
    pub(super) paths: Vec<PathBuf>,
}

/// Of `put-back`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PutBackParameters {
    /// Where, and the volumes.
    #[serde(flatten)]
    pub(super) kept: VolumesParameters,
    pub(super) environment: EnvironmentName,
    pub(super) backup: RunId,
    /// The release that was current when it was made.
    pub(super) release: ReleaseId,
}

/// Of `forget`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ForgetParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) backup: RunId,
}

/// Of `upload`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct UploadParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) release: ReleaseId,
    pub(super) spec: ReleaseSpec,
    #[serde(default)]
    pub(super) previous: Previous,
    /// The image that is taken as it is; one is built if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<ImageId>,
    /// The images of the Compose project that are taken as they are; they are built and pulled if there are none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) project: ProjectImages,
    /// What the image is built for, where that is another platform than the builder's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<String>,
    /// How one logs in to its registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) login: Option<RegistryConfig>,
}

/// What a step that asks for health asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Asked {
    /// What the config says.
    Check(CheckConfig),
    /// Any answer over HTTP, for a service with a port and no check.
    AnyAnswer,
    /// That the process stays, for one without a port.
    Stays,
}

/// Of `health` and `verify`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct HealthParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) release: ReleaseId,
    pub(super) asked: Asked,
    /// The address to ask; that of the release's own process if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<(String, u16)>,
}

/// Of `start`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct StartParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) release: ReleaseId,
    #[serde(default)]
    pub(super) previous: Previous,
}

/// Of `route` and `close`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RouteParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) routers: Vec<(String, u16)>,
    /// Those of them that the plan saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) seen: Vec<(String, u16)>,
    pub(super) drain: Period,
    /// What the proxy leads to the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) led: Option<Led>,
}

/// Of `lead`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LeadParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) release: ReleaseId,
    pub(super) led: Led,
    pub(super) limit: Period,
    /// The release that was current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<ReleaseId>,
    /// Whether the plan saw the proxy have the address for this service, wherever requests went.
    pub(super) seen: bool,
}

/// Of `switch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct SwitchParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) release: ReleaseId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<ReleaseId>,
    /// Whether data is put back before anything of the release before is started again, where the step is taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) data_first: bool,
}

/// Of `canary`: what `lead` has, for a part of the requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CanaryParameters {
    #[serde(flatten)]
    pub(super) lead: LeadParameters,
    /// The part.
    pub(super) part: Part,
}

/// Of `analysis`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct AnalysisParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) led: Led,
    /// What the release is watched with.
    pub(super) part: Part,
    /// How long its requests may take to end where they are given back.
    pub(super) limit: Period,
    pub(super) wait: Period,
    /// The largest part of its requests that may fail.
    pub(super) errors: Percent,
    /// The longest that its answers may take on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) latency: Option<Period>,
    /// What is run at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<CommandLine>,
    /// How long a person may take to say that it goes on; nobody is asked if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pause: Option<Period>,
    /// The fewest requests that are judged.
    pub(super) requests: u32,
    /// What is asked of it all the time.
    pub(super) asked: Asked,
}

/// Of `retire` and `stop`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RetireParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    /// The releases whose processes end.
    pub(super) releases: Vec<ReleaseId>,
    /// The one that goes on without requests, until the next deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) standby: Option<ReleaseId>,
    /// The routers that end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) routers: Vec<(String, u16)>,
    pub(super) drain: Period,
    pub(super) stop_grace: Period,
    /// What the proxy leads to the service: requests that went to these releases end first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) led: Option<Led>,
}

/// Of `renew`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RenewParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) release: ReleaseId,
    pub(super) drain: Period,
}

/// Of `wait`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct WaitParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) release: ReleaseId,
    pub(super) within: Period,
}

/// Of `restart-part`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PartParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) release: ReleaseId,
    pub(super) part: String,
}

/// Of `channel`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ChannelParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) release: ReleaseId,
    pub(super) channel: ChannelNames,
    /// The version that the image is named for; it is the latest one in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    /// How one logs in to the registry that has its images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) login: Option<RegistryConfig>,
}

impl ChannelParameters {
    /// Where all names lead once it is done.
    pub(super) fn names(&self, images: &ImageNames) -> ImageNames {
        let mut names = ImageNames::new();
        for (called, image) in images {
            let channel = self.channel.of(called);
            let version = self.version.iter().map(|version| channel.version(version));
            names.extend(version.chain([channel.latest()]).map(|name| (name, image.clone())));
        }
        names
    }
}

/// Of `prune`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PruneParameters {
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) release: ReleaseId,
    pub(super) previous: Previous,
    pub(super) keep: u32,
    /// Of its versions only the newest stay, beside those that something needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) channel: Option<ChannelNames>,
}
