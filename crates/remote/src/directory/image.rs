//! The part of a draft that makes a release of an image.

use std::collections::BTreeMap;

use pleach_core::config::{ImageConfig, RegistryConfig};
use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_core::port::{ImageId, is_same_platform};
use pleach_core::word::ReleaseId;

use super::compose::for_platform;
use super::parameter::UploadParameters;
use super::phase::Work;
use super::recipe::{Scene, Steps, fact};
use super::release::ReleaseSpec;
use crate::docker::MissingEngine;

/// For bringing an image: how long that takes depends on its size and the line, so what ends it is that it does not get on.
const BRING: Period = Period::seconds(24 * 60 * 60);

impl Scene<'_> {
    /// Builds the image where Pleach runs, and brings it.
    pub(super) fn add_image(
        &self,
        steps: &mut Steps,
        upload: &UploadParameters,
        image: &ImageConfig,
        release: &ReleaseId,
    ) -> Result<(), Failure> {
        let (limit, short) = (self.request.service_config.build_limit, self.request.commit.short());
        let summary = match &upload.image {
            Some(proven) => format!("take image {} of {short} as it is", proven.short()),
            None => {
                let platform = upload.platform.as_ref().map(|platform| format!(" for {platform}")).unwrap_or_default();
                format!("build `{}` of {short} here{platform}", image.file.display())
            }
        };
        steps.add(Work::BuildImage, summary, upload, limit)?;
        if let Some(registry) = &image.registry {
            let summary = format!("push it to `{registry}/{}`", image.called(self.request.service));
            steps.add(Work::Push, summary, upload, limit)?;
        }
        let by_hand = self.place.typed(format!(
            "docker rm -f {}; docker rmi {}",
            self.place.container_name(release),
            self.place.image_name(release)
        ));
        let whence = if image.registry.is_some() { "take from the registry" } else { "bring" };
        let summary = format!("{whence} the layers of the image that `{}` lacks", self.request.target);
        steps.add(Work::Image, summary, upload, BRING)?.by(by_hand);
        Ok(())
    }

    /// What the target's engine runs, such as `linux/amd64`; empty where nobody told.
    fn platform(&self) -> Result<String, Failure> {
        fact(self.request, "docker/platform")
    }

    /// The image that was proven for what the target runs, where one is to be taken as it is.
    pub(super) fn proven_image(&self, spec: &ReleaseSpec) -> Result<Option<ImageId>, Failure> {
        if spec.image.is_none() {
            return Ok(None);
        }
        // Where one of both is not known, the step that takes it looks whether it fits.
        Ok(self.proven_for(self.request.images)?.cloned())
    }

    /// What of all that was proven is for what the target runs; nothing where nothing was.
    pub(super) fn proven_for<'p, T>(&self, proven: &'p BTreeMap<String, T>) -> Result<Option<&'p T>, Failure> {
        let platform = self.platform()?;
        let found = for_platform(proven, &platform);
        if found.is_some() || proven.is_empty() {
            return Ok(found);
        }
        let (service, target) = (self.request.service, self.request.target);
        let proven: Vec<String> = proven.keys().map(|of| format!("`{of}`")).collect();
        Err(Failure::new(Kind::Rejected, format!("no image of `{service}` is proven for `{target}`"))
            .because(format!("its engine runs `{platform}`, and what is proven is for {}", proven.join(" and ")))
            .state("nothing was touched")
            .next(format!(
                "prove one on a target with `{platform}`, or leave `{target}` out with `targets` of the service"
            )))
    }

    /// What an image has to be built for, where that is not what the builder itself runs on.
    pub(super) fn foreign_platform(&self, spec: &ReleaseSpec) -> Result<Option<String>, Failure> {
        let Some(image) = &spec.image else { return Ok(None) };
        let (platform, builder) = (self.platform()?, fact::<String>(self.request, "docker/builder")?);
        if platform.is_empty() {
            return Ok(None);
        }
        let named = image.platforms.iter().find(|named| is_same_platform(named, &platform));
        if named.is_none() && !image.platforms.is_empty() {
            let (service, target) = (self.request.service, self.request.target);
            let named: Vec<String> = image.platforms.iter().map(|named| format!("`{named}`")).collect();
            return Err(Failure::new(Kind::Rejected, format!("service `{service}` has no image for `{target}`"))
                .because(format!("its engine runs `{platform}`, and `platforms` has {}", named.join(" and ")))
                .state("nothing was touched")
                .next(format!(
                    "add `{platform}` to `services.{service}.image.platforms`, or leave `{target}` out with `targets` of the \
                     service"
                )));
        }
        let wanted = named.unwrap_or(&platform);
        Ok((!builder.is_empty() && *wanted != builder).then(|| wanted.clone()))
    }

    /// How one logs in to the registry of the service's images, where the config says so.
    pub(super) fn login(&self, spec: &ReleaseSpec) -> Option<RegistryConfig> {
        let registry = spec.image.as_ref()?.registry.as_ref()?;
        self.request.config.registries.get(registry.split('/').next()?).cloned()
    }

    /// There is an engine that runs containers, and it may be asked to.
    pub(super) fn require_engine(&self) -> Result<(), Failure> {
        let missing: Option<MissingEngine> = fact(self.request, "docker/missing")?;
        let Some(missing) = missing else { return Ok(()) };
        let (service, target) = (&self.request.service, &self.request.target);
        let socket = self.place.socket().display().to_string();
        let advice = missing.advice(|command| format!("`{}`", self.place.typed(command.to_owned())));
        let (because, next) = match missing {
            MissingEngine::Rights => (format!("the user may not use `{socket}`"), advice),
            MissingEngine::Absent => (
                format!("there is no `{socket}`, so no Docker engine listens there"),
                format!("{advice}; or name another `docker-socket`"),
            ),
            MissingEngine::Old { api } => (
                format!("the Docker engine at `{socket}` is too old: it speaks API {api}"),
                format!("{advice}; or name another `docker-socket`"),
            ),
        };
        Err(Failure::new(Kind::Rejected, format!("service `{service}` cannot run as a container on `{target}`"))
            .because(because)
            .state("nothing was touched")
            .next(next))
    }

    /// There is an engine where images are built: also what is built already comes from there.
    pub(super) fn require_builder(&self) -> Result<(), Failure> {
        let missing: Option<MissingEngine> = fact(self.request, "docker/builder-missing")?;
        let Some(missing) = missing else { return Ok(()) };
        let next = format!(
            "{}; or name another one: `DOCKER_HOST=unix:///PATH`",
            missing.advice(|command| format!("`{command}`"))
        );
        let because = match missing {
            MissingEngine::Rights => "the user may not use the Docker engine where Pleach runs".to_owned(),
            MissingEngine::Absent => "there is no Docker engine where Pleach runs".to_owned(),
            MissingEngine::Old { api } => {
                format!("the Docker engine where Pleach runs is too old: it speaks API {api}")
            }
        };
        let what = format!("the image of service `{}` cannot be built here", self.request.service);
        Err(Failure::new(Kind::Rejected, what).because(because).state("nothing was touched").next(next))
    }
}
