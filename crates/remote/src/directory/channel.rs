//! Names of images on a channel: the part of a draft, and what a site does with them on its target's engine.

use std::collections::BTreeSet;

use pleach_core::error::Failure;
use pleach_core::port::{ChannelNames, ImageId, ImageNames, NameChange};
use pleach_core::word::{ReleaseId, RunId};
use serde::{Deserialize, Serialize};

use super::parameter::ChannelParameters;
use super::phase::Work;
use super::recipe::{SHORT, Scene, Steps};
use super::release::ReleaseSpec;
use super::site::{Site, ask_program, read_json};
use crate::supervise::{NamesRequest, RenameRequest, SurplusRequest};

/// How many versions of a channel stay, whatever needs them.
pub(super) const VERSIONS: usize = 5;

/// What a run gave names to, and where these led before. Durable before the first of them is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct NamesNote {
    pub(super) run: RunId,
    pub(super) image: ImageId,
    pub(super) names: BTreeSet<String>,
    /// On the target's engine.
    pub(super) before: ImageNames,
    /// Where images are built; absent where that could not be asked, and nothing is changed there then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) built_before: Option<ImageNames>,
}

impl NamesNote {
    /// Has all names lead to the image.
    pub(super) fn forward(&self) -> Vec<NameChange> {
        let to = |name: &String| NameChange { name: name.clone(), to: Some(self.image.clone()), only_from: None };
        self.names.iter().map(to).collect()
    }

    /// Has those that still lead to the image lead where they did.
    pub(super) fn back(&self, before: &ImageNames) -> Vec<NameChange> {
        let to = |name: &String| NameChange {
            name: name.clone(),
            to: before.get(name).cloned(),
            only_from: Some(self.image.clone()),
        };
        self.names.iter().map(to).collect()
    }

    /// Whether all of them lead to the image.
    pub(super) fn is_given(&self, names: &ImageNames) -> bool {
        self.names.iter().all(|name| names.get(name) == Some(&self.image))
    }
}

impl Scene<'_> {
    /// The channel that images of this release are named on.
    pub(super) fn channel_of(&self, spec: &ReleaseSpec) -> Option<ChannelNames> {
        let environment = self.request.config.environments.get(self.request.environment)?;
        let (channel, image) = environment.channel.clone().zip(spec.image.as_ref())?;
        Some(ChannelNames { name: image.called(self.request.service), channel })
    }

    /// Names the image of a release that is live; without a version as the latest one alone.
    pub(super) fn add_channel(
        &self,
        steps: &mut Steps,
        spec: &ReleaseSpec,
        release: &ReleaseId,
        version: Option<&str>,
    ) -> Result<(), Failure> {
        let Some(channel) = self.channel_of(spec) else { return Ok(()) };
        let parameters = ChannelParameters {
            place: self.place.clone(),
            release: release.clone(),
            channel,
            version: version.map(str::to_owned),
        };
        let names: Vec<String> = parameters.names().into_iter().map(|name| format!("`{name}`")).collect();
        steps.finish().add(Work::Channel, format!("name its image {}", names.join(" and ")), &parameters, SHORT)?;
        Ok(())
    }
}

impl Site<'_> {
    /// What this run has noted of names.
    pub(super) async fn names_note(&self) -> Result<Option<NamesNote>, Failure> {
        read_json(self.files, &self.layout().names(self.run)).await
    }

    /// Where names lead on the target's engine.
    pub(super) async fn image_names(&self, names: &BTreeSet<String>) -> Result<ImageNames, Failure> {
        let request = NamesRequest { socket: self.place.socket(), names: names.iter().cloned().collect() };
        self.look("names", &request, || "see where names of images lead".into()).await
    }

    /// Has names lead elsewhere on the target's engine; tells where all of them lead then.
    pub(super) async fn rename_images(&self, changes: Vec<NameChange>) -> Result<ImageNames, Failure> {
        self.ask(["supervise", "rename"], &RenameRequest { socket: self.place.socket(), changes }).await
    }

    /// The versions on the target's engine that nothing needs any more.
    pub(super) async fn surplus_versions(&self, channel: &ChannelNames) -> Result<Vec<String>, Failure> {
        let what = || format!("see which versions of `{}` nothing needs", channel.name);
        self.look("surplus", &self.surplus_request(channel), what).await
    }

    /// Removes their names.
    pub(super) async fn forget_surplus_versions(&self, channel: &ChannelNames) -> Result<Vec<String>, Failure> {
        self.ask(["supervise", "forget"], &self.surplus_request(channel)).await
    }

    fn surplus_request(&self, channel: &ChannelNames) -> SurplusRequest {
        SurplusRequest { socket: self.place.socket(), channel: channel.clone(), keep: VERSIONS }
    }

    async fn look<T: serde::de::DeserializeOwned>(
        &self,
        verb: &str,
        request: &impl Serialize,
        what: impl FnOnce() -> String,
    ) -> Result<T, Failure> {
        let request = serde_json::to_vec(request).unwrap_or_default();
        ask_program(self.require_shell()?, &self.place.program, &["supervise", verb], Some(request), what).await
    }
}
