//! Names of images on a channel: the part of a draft, and what a site does with them on its target's engine.

use pleach_core::error::Failure;
use pleach_core::port::{ChannelNames, ImageId, ImageNames, NameChange, RegistryTags};
use pleach_core::word::{ReleaseId, RunId};
use serde::{Deserialize, Serialize};

use super::parameter::ChannelParameters;
use super::phase::Work;
use super::recipe::{FILES, SHORT, Scene, Steps};
use super::release::ReleaseSpec;
use super::site::{Site, ask_program, read_json};
use crate::supervise::{NamesRequest, RenameRequest, SurplusRequest};

/// How many versions of a channel stay, whatever needs them.
pub(super) const VERSIONS: usize = 5;

/// What a run gave names to, and where these led before. Durable before the first of them is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", from = "WrittenNote")]
pub(super) struct NamesNote {
    pub(super) run: RunId,
    /// Where they are to lead.
    pub(super) names: ImageNames,
    /// On the target's engine.
    pub(super) before: ImageNames,
    /// Where images are built; absent where that could not be asked, and nothing is changed there then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) built_before: Option<ImageNames>,
    /// In the registry that its images go through; absent where there is none, or it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) registry: Option<TagsNote>,
}

/// A note as it may lie on a target.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenNote {
    run: RunId,
    /// What all names are to lead to, in a note of before.
    image: Option<ImageId>,
    names: WrittenNames,
    before: ImageNames,
    built_before: Option<ImageNames>,
    registry: Option<TagsNote>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenNames {
    Leading(ImageNames),
    Listed(Vec<String>),
}

impl From<WrittenNote> for NamesNote {
    fn from(written: WrittenNote) -> Self {
        let WrittenNote { run, image, names, before, built_before, registry } = written;
        let names = match names {
            WrittenNames::Leading(names) => names,
            WrittenNames::Listed(names) => names.into_iter().filter_map(|name| Some((name, image.clone()?))).collect(),
        };
        Self { run, names, before, built_before, registry }
    }
}

/// The same in a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct TagsNote {
    pub(super) repository: String,
    /// What they are to lead to.
    pub(super) digest: String,
    pub(super) tags: Vec<String>,
    pub(super) before: RegistryTags,
}

impl NamesNote {
    /// Has all names lead to their image.
    pub(super) fn forward(&self) -> Vec<NameChange> {
        let to =
            |(name, image)| NameChange { name: String::clone(name), to: Some(Clone::clone(image)), only_from: None };
        self.names.iter().map(to).collect()
    }

    /// Has those that still lead to their image lead where they did.
    pub(super) fn back(&self, before: &ImageNames) -> Vec<NameChange> {
        let to = |(name, image)| NameChange {
            name: String::clone(name),
            to: before.get(name).cloned(),
            only_from: Some(Clone::clone(image)),
        };
        self.names.iter().map(to).collect()
    }

    /// Whether all of them lead to their image.
    pub(super) fn is_given(&self, names: &ImageNames) -> bool {
        self.names.iter().all(|(name, image)| names.get(name) == Some(image))
    }
}

impl Scene<'_> {
    /// The channel that images of this release are named on.
    pub(super) fn channel_of(&self, spec: &ReleaseSpec) -> Option<ChannelNames> {
        let channel = self.request.config.environments.get(self.request.environment)?.channel.clone()?;
        let project = || spec.compose.is_some().then(|| self.request.service.as_str().to_lowercase());
        let name = spec.image.as_ref().map(|image| image.called(self.request.service)).or_else(project)?;
        Some(ChannelNames { name, channel })
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
            channel: channel.clone(),
            version: version.map(str::to_owned),
            login: self.login(spec),
        };
        // What a project builds is known once it is resolved.
        let (its, name) =
            if spec.compose.is_some() { ("images that it builds", "…") } else { ("image", &*channel.name) };
        let named = channel.of(name);
        let names = version.map(|version| format!("`{}` and ", named.version(version))).unwrap_or_default();
        let summary = format!("name the {its} {names}`{}`", named.latest());
        // From a registry, an image that has been gone here since may have to come back first.
        let limit = if spec.has_registry() { FILES } else { SHORT };
        steps.finish().add(Work::Channel, summary, &parameters, limit)?;
        Ok(())
    }
}

impl Site<'_> {
    /// What this run has noted of names.
    pub(super) async fn names_note(&self) -> Result<Option<NamesNote>, Failure> {
        read_json(self.files, &self.layout().names(self.run)).await
    }

    /// Where names lead on the target's engine.
    pub(super) async fn image_names(&self, names: &ImageNames) -> Result<ImageNames, Failure> {
        let request = NamesRequest { socket: self.place.socket(), names: names.keys().cloned().collect() };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_of_before_leads_all_of_its_names_to_the_one_image() {
        let image = format!("sha256:{}", "ab".repeat(32));
        let text = format!(r#"{{"run":"run-1","image":"{image}","names":["a:x-latest","a:x-v1"],"before":{{}}}}"#);
        let note: NamesNote = serde_json::from_str(&text).expect("a note");
        assert_eq!(note.names.keys().collect::<Vec<_>>(), ["a:x-latest", "a:x-v1"]);
        assert!(note.names.values().all(|led| led.as_str() == image) && note.registry.is_none());
        let written = serde_json::to_string(&note).expect("text");
        assert_eq!(serde_json::from_str::<NamesNote>(&written).expect("a note"), note);
    }
}
