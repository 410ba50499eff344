//! A project whose images were proven elsewhere: the very same ones are taken, and nothing is built.
//!
//! What a registry has is pulled by its digest. What was built on a target comes from where images are built, which has got it back
//! from there: only layers that are missing travel.

use std::collections::{BTreeMap, BTreeSet};

use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Containers, Effect, ImageId, ProjectImage, ProjectImages, is_same_platform};

use super::line::{docker, images_line};
use super::project::{Project, missing};
use super::resolved::Resolved;
use crate::directory::recipe::{Scene, fact};
use crate::ssh::quote_text;

/// Of images that were proven by platform, what is for this one; where one of both is not known, it may be.
pub(in crate::directory) fn for_platform<'a, T>(proven: &'a BTreeMap<String, T>, platform: &str) -> Option<&'a T> {
    let is_for_it = |of: &str| of.is_empty() || platform.is_empty() || is_same_platform(of, platform);
    proven.iter().find(|(of, _)| is_for_it(of)).map(|(_, images)| images)
}

impl Scene<'_> {
    /// The images that were proven for what the target runs, where they are to be taken as they are.
    pub(in crate::directory) fn proven_project(&self) -> Result<ProjectImages, Failure> {
        let Some(images) = self.proven_for(self.request.project)? else { return Ok(ProjectImages::new()) };
        let builder: String = fact(self.request, "docker/builder")?;
        let unregistered = |(_, image): &(&String, &ProjectImage)| image.registry.is_none();
        let Some((name, _)) = images.iter().find(unregistered).filter(|_| builder.is_empty()) else {
            return Ok(images.clone());
        };
        let service = self.request.service;
        Err(Failure::new(Kind::Rejected, format!("the images of `{service}` cannot be taken as they were proven"))
            .because(format!("that of `{name}` was built where it was proven, and no registry has it"))
            .because("there is no Docker engine where Pleach runs, which would have to pass it on")
            .state("nothing was touched")
            .next(format!(
                "name an engine as `DOCKER_HOST`; or push it: `image: REGISTRY/…` of `{name}` without `build`, then deploy that"
            )))
    }

    /// Whether the target runs these.
    pub(in crate::directory) fn has_project(&self, proven: &ProjectImages) -> Result<bool, Failure> {
        let there: ProjectImages = fact(self.request, &format!("service/{}/project", self.request.service))?;
        let same = |(name, there): (&String, &ProjectImage)| {
            proven.get(name).is_some_and(|proven| proven.image == there.image)
        };
        Ok(!there.is_empty() && there.iter().all(same))
    }
}

impl Project<'_> {
    /// Has the target's engine have the images of these services, as they were proven.
    pub(super) async fn take_proven(
        &self,
        resolved: &Resolved,
        names: &BTreeMap<String, String>,
        proven: &ProjectImages,
        containers: &dyn Containers,
    ) -> Result<BTreeMap<String, ImageId>, Failure> {
        let mut wanted: BTreeMap<&String, &ProjectImage> = BTreeMap::new();
        for name in names.keys() {
            wanted.insert(name, proven.get(name).ok_or_else(|| self.unproven(name))?);
        }
        let docker = docker(self.socket());
        let mut lines = BTreeSet::new();
        for (name, ProjectImage { image, registry }) in &wanted {
            match registry {
                Some(place) => {
                    let platform = resolved.platform(name);
                    let platform = platform.map(|of| format!("--platform {} ", quote_text(of))).unwrap_or_default();
                    let pull = format!("{docker} pull --quiet {platform}{}", quote_text(place));
                    lines.insert(format!("{{ {docker} image inspect {image} >/dev/null 2>&1 || {pull}; }}"));
                }
                None => {
                    containers.bring(image).await?;
                }
            }
        }
        if !lines.is_empty() {
            let output = self.ask(lines.into_iter().collect::<Vec<_>>().join(" && "), Effect::Write).await?;
            if !output.succeeded() {
                let login = self.site.place.typed("docker login".to_owned());
                let next = format!("where it asks for a login, `{login}`");
                return Err(self.failed("pull the proven images", &output).next(next));
            }
        }
        let images: BTreeMap<String, ImageId> =
            wanted.iter().map(|(name, proven)| ((*name).clone(), proven.image.clone())).collect();
        let output = self.ask(images_line(self.socket(), images.values().map(ImageId::as_str)), Effect::Read).await?;
        match missing(&images, &output) {
            Ok(None) => Ok(images),
            Ok(Some(other)) => Err(Failure::new(
                Kind::Conflict,
                format!("Compose project `{}` would not run what was proven", self.name()),
            )
            .because(format!("image {other} is not what its registry gives, or somebody has removed it since"))
            .next("deploy anew where it was proven, then `pleach promote` again")),
            Err(()) => {
                Err(self.failed("see the images", &output).next(format!("look with `{}`", self.typed("images"))))
            }
        }
    }

    fn unproven(&self, name: &str) -> Failure {
        let what = format!("service `{name}` of Compose project `{}` was not proven", self.name());
        Failure::new(Kind::Rejected, what)
            .because("the Compose files have it here, and where they were proven they did not")
            .next("see `profiles` and variables of the service in `pleach.toml`; deploy it there, then `pleach promote` again")
    }
}

/// Which of an image's places in registries is that of this name; else the first one.
pub(super) fn place_in_registry(name: &str, places: &[String]) -> Option<String> {
    let wanted = repository(name);
    let same = places.iter().find(|place| repository(place) == wanted);
    same.or(places.first()).cloned()
}

/// The name of an image without tag and digest, and as engines write those of Docker's own registry.
pub(super) fn repository(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or_default();
    let end = name.rfind(':').filter(|at| !name[*at..].contains('/')).unwrap_or(name.len());
    let name = &name[..end];
    let name = name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("index.docker.io/")).unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_registries_the_one_that_the_compose_file_names_is_asked() {
        let places =
            ["mirror:5000/odoo@sha256:1", "postgres@sha256:2", "mirror:5000/postgres@sha256:2"].map(str::to_owned);
        for (name, place) in [
            ("postgres:15", 1),
            ("docker.io/library/postgres", 1),
            ("mirror:5000/postgres:15", 2),
            ("mirror:5000/postgres@sha256:2", 2),
            ("elsewhere/postgres", 0),
        ] {
            assert_eq!(place_in_registry(name, &places).as_deref(), Some(places[place].as_str()), "{name}");
        }
        assert_eq!(place_in_registry("shop-web", &[]), None);
    }
}
