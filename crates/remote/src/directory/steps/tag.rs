//! Names of a channel in the registry that the images of a service go through: tags there, by digest.
//!
//! Engines move a tag and cannot remove one, so what was first named by a run that is taken back keeps that name, which is told.

use pleach_core::error::Failure;
use pleach_core::phase::StepContext;
use pleach_core::port::{Containers, ImageNames, RegistryLogin, RegistryPlace, RegistryTags, Secrets};

use super::push::login;
use crate::directory::channel::TagsNote;
use crate::directory::container::registry_place;
use crate::directory::parameter::ChannelParameters;
use crate::directory::release::ReleaseRecord;

/// The registry of a service, and who asks.
pub(super) struct Tags<'a> {
    containers: &'a dyn Containers,
    login: Option<RegistryLogin>,
}

impl<'a> Tags<'a> {
    pub(super) async fn of(
        cx: &'a StepContext<'_>,
        parameters: &ChannelParameters,
        secrets: &dyn Secrets,
    ) -> Result<Self, Failure> {
        let login = login(parameters.login.as_ref(), secrets).await?;
        Ok(Self { containers: cx.require_containers()?, login })
    }

    /// Where these names are to lead in the registry, and where they do now; nothing where images go through none.
    pub(super) async fn note(&self, record: &ReleaseRecord, names: &ImageNames) -> Result<Option<TagsNote>, Failure> {
        let image = record.image.as_ref();
        let Some((image, place)) = image.and_then(|image| Some((image, registry_place(&record.spec, image)?))) else {
            return Ok(None);
        };
        let pushed = self.containers.tagged(&place.repository, std::slice::from_ref(&place.tag), self.login.clone());
        let digest = match pushed.await?.remove(&place.tag) {
            Some(digest) => digest,
            // Somebody has removed it there.
            None => self.containers.push(image, &place, self.login.clone()).await?,
        };
        let tags: Vec<String> =
            names.keys().filter_map(|name| name.rsplit_once(':')).map(|(_, tag)| tag.to_owned()).collect();
        let before = self.containers.tagged(&place.repository, &tags, self.login.clone()).await?;
        Ok(Some(TagsNote { repository: place.repository, digest, tags, before }))
    }

    /// Whether all of them lead where they are to.
    pub(super) async fn are_given(&self, note: &TagsNote) -> Result<bool, Failure> {
        let seen = self.seen(note).await?;
        Ok(note.tags.iter().all(|tag| seen.get(tag) == Some(&note.digest)))
    }

    /// Has all of them lead to the image of a release; tells whether any led elsewhere.
    pub(super) async fn give(&self, note: &TagsNote, record: &ReleaseRecord) -> Result<bool, Failure> {
        let seen = self.seen(note).await?;
        let others: Vec<&String> = note.tags.iter().filter(|tag| seen.get(*tag) != Some(&note.digest)).collect();
        for tag in &others {
            self.containers.tag(&place(note, tag), &note.digest, record.image.clone(), self.login.clone()).await?;
        }
        Ok(!others.is_empty())
    }

    /// Has those that still lead to what this run gave them lead where they did before; tells where each leads.
    pub(super) async fn take_back(&self, note: &TagsNote) -> Result<Vec<String>, Failure> {
        let (mut told, seen) = (Vec::new(), self.seen(note).await?);
        for tag in &note.tags {
            let place = place(note, tag);
            let name = place.name();
            told.push(match (seen.get(tag), note.before.get(tag)) {
                (Some(now), Some(before)) if *now == note.digest && now != before => {
                    let now = self.containers.tag(&place, before, None, self.login.clone()).await?;
                    format!("`{name}` leads to {now}")
                }
                (Some(now), None) if *now == note.digest => {
                    format!("`{name}` stays: no engine removes it from a registry")
                }
                (Some(now), before) if before == Some(now) => format!("`{name}` leads to {now}"),
                (Some(_), _) => format!("`{name}` stays: somebody has moved it"),
                (None, _) => format!("`{name}` is gone"),
            });
        }
        Ok(told)
    }

    async fn seen(&self, note: &TagsNote) -> Result<RegistryTags, Failure> {
        self.containers.tagged(&note.repository, &note.tags, self.login.clone()).await
    }
}

fn place(note: &TagsNote, tag: &str) -> RegistryPlace {
    RegistryPlace { repository: note.repository.clone(), tag: tag.to_owned() }
}
