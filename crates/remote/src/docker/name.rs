//! Names that lead to images: where they lead, changing that, and which of a channel nothing needs any more.
//!
//! An engine knows no condition under which a name is moved, so each one is looked at in front of a change and read back behind
//! it. Names are removed, never images: an image goes with the last of its names, and not where a container is made of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::query_parameters::{ListContainersOptionsBuilder, ListImagesOptionsBuilder};
use jiff::Timestamp;
use pleach_core::port::{ChannelNames, ImageId, ImageNames, NameChange};

use super::engine::Engine;
use super::error::EngineError;
use super::image::Image;

/// What the names of releases, and of what is built, begin with: `pleach/SERVICE:RELEASE-MARK` and `pleach/SERVICE:COMMIT`.
const OWN: &str = "pleach/";

impl Engine {
    /// Where these names lead.
    pub async fn names(&self, names: &[String]) -> Result<ImageNames, EngineError> {
        let mut found = ImageNames::new();
        for name in names {
            found.extend(self.image(name).await?.map(|image| (name.clone(), image.id)));
        }
        Ok(found)
    }

    /// Has names lead elsewhere; tells where all of them lead then.
    pub async fn rename(&self, changes: &[NameChange]) -> Result<ImageNames, EngineError> {
        let names: Vec<String> = changes.iter().map(|change| change.name.clone()).collect();
        let before = self.names(&names).await?;
        for change in changes {
            let now = before.get(&change.name);
            let is_moved = change.only_from.is_some() && now != change.only_from.as_ref();
            if is_moved || now == change.to.as_ref() {
                continue;
            }
            match &change.to {
                Some(image) if change.only_from.is_none() || self.image(image.as_str()).await?.is_some() => {
                    self.ensure_name(image, &change.name).await?;
                }
                _ => self.ensure_no_name(&change.name).await?,
            }
        }
        self.names(&names).await
    }

    /// The versions of a channel that nothing needs beyond the newest `keep`, by when their images were built.
    pub async fn surplus(&self, channel: &ChannelNames, keep: usize) -> Result<Vec<String>, EngineError> {
        let filters = HashMap::from([("reference", vec![channel.version("*")])]);
        let mut versions = Vec::new();
        for id in self.image_ids(ListImagesOptionsBuilder::default().filters(&filters)).await? {
            // Gone since it was listed: then it has no names either.
            let Some(image) = self.image(id.as_str()).await? else { continue };
            let built = image.created.parse::<Timestamp>().unwrap_or_default();
            let own = image.names.iter().filter(|name| channel.version_of(name).is_some());
            versions.extend(own.map(|name| (Reverse((built, name.clone())), image.clone())).collect::<Vec<_>>());
        }
        versions.sort_by(|(one, _), (other, _)| one.cmp(other));
        let versions = versions.into_iter().map(|(Reverse((_, name)), image)| (name, image)).skip(keep);
        let old: Vec<(String, Image)> = versions.collect();
        if old.is_empty() {
            return Ok(Vec::new());
        }
        let used = self.used_images().await?.into_keys().collect::<BTreeSet<_>>();
        let needed = |image: &Image| {
            used.contains(&image.id)
                || image.names.contains(&channel.latest())
                || image.names.iter().any(|name| channel.is_of_another(name) || is_of_a_release(name))
        };
        Ok(old.into_iter().filter(|(_, image)| !needed(image)).map(|(name, _)| name).collect())
    }

    /// Removes the names of these; tells which are gone.
    pub async fn forget_surplus(&self, channel: &ChannelNames, keep: usize) -> Result<Vec<String>, EngineError> {
        let surplus = self.surplus(channel, keep).await?;
        for name in &surplus {
            self.ensure_no_name(name).await?;
        }
        let left = self.names(&surplus).await?;
        Ok(surplus.into_iter().filter(|name| !left.contains_key(name)).collect())
    }

    /// The images that containers are made of, whether they run or not, with the names of these.
    pub(crate) async fn used_images(&self) -> Result<BTreeMap<ImageId, BTreeSet<String>>, EngineError> {
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let listed = self.docker().list_containers(Some(options)).await.map_err(self.failed("list its containers"))?;
        let mut used: BTreeMap<ImageId, BTreeSet<String>> = BTreeMap::new();
        for container in listed {
            let Some(image) = container.image_id.and_then(|id| ImageId::new(id).ok()) else { continue };
            let names = container.names.unwrap_or_default().into_iter();
            used.entry(image).or_default().extend(names.map(|name| name.trim_start_matches('/').to_owned()));
        }
        Ok(used)
    }

    /// A container may be made of the image meanwhile: then the name that is its last one stays.
    async fn ensure_no_name(&self, name: &str) -> Result<(), EngineError> {
        match self.ensure_no_image(name).await {
            Err(EngineError::Conflict { .. }) => Ok(()),
            removed => removed,
        }
    }
}

/// Whether a name keeps the image of a release: of what is built, the tag is the short commit alone.
fn is_of_a_release(name: &str) -> bool {
    let tag = name.strip_prefix(OWN).and_then(|rest| rest.rsplit_once(':')).map(|(_, tag)| tag);
    tag.is_some_and(|tag| tag.contains('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_release_is_told_from_what_was_built() {
        assert!(is_of_a_release("pleach/shop:0001-ab12cd34-0123abcd"));
        for other in ["pleach/shop:ab12cd34", "shop:uat-v1-2", "registry:5000/pleach/shop:0001-ab12cd34-0123abcd"] {
            assert!(!is_of_a_release(other), "{other}");
        }
    }
}
