//! The part of a draft that makes a release of an image.

use pleach_core::config::{ImageConfig, RegistryConfig};
use pleach_core::error::{Failure, Kind};
use pleach_core::word::ReleaseId;

use super::parameter::UploadParameters;
use super::phase::Work;
use super::recipe::{FILES, Scene, Steps, fact};
use super::release::ReleaseSpec;

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
            None => format!("build `{}` of {short} here", image.file.display()),
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
        steps.add(Work::Image, summary, upload, FILES)?.by(by_hand);
        Ok(())
    }

    /// How one logs in to the registry of the service's images, where the config says so.
    pub(super) fn login(&self, spec: &ReleaseSpec) -> Option<RegistryConfig> {
        let registry = spec.image.as_ref()?.registry.as_ref()?;
        self.request.config.registries.get(registry.split('/').next()?).cloned()
    }

    /// There is an engine that runs containers, and it may be asked to.
    pub(super) fn require_engine(&self) -> Result<(), Failure> {
        let missing: Option<String> = fact(self.request, "docker/missing")?;
        let Some(missing) = missing else { return Ok(()) };
        let (service, target) = (&self.request.service, &self.request.target);
        let socket = self.place.socket().display().to_string();
        let typed = |command: &str| format!("`{}`", self.place.typed(command.to_owned()));
        let (because, next) = match missing.as_str() {
            "rights" => (
                format!("the user may not use `{socket}`"),
                format!("{}, then log in anew", typed("sudo usermod -aG docker \"$(id -un)\"")),
            ),
            _ => (
                format!("there is no `{socket}`, so no Docker engine listens there"),
                format!(
                    "start it with {}, install it with {}, or name another `docker-socket`",
                    typed("sudo systemctl start docker"),
                    typed("sudo apt-get install docker.io")
                ),
            ),
        };
        Err(Failure::new(Kind::Rejected, format!("service `{service}` cannot run as a container on `{target}`"))
            .because(because)
            .state("nothing was touched")
            .next(next))
    }
}
