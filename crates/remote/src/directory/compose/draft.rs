//! The part of a draft that makes a release of a Compose project.
//!
//! The project is resolved and pinned into one file of the release before anything of it is touched. `start` and `stop` are
//! made of that file, so all that knows such commands knows Compose projects: the switch and its way back, the watchdog,
//! `restart`, `stop`.

use pleach_core::config::{ComposeConfig, ServiceConfig};
use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_core::word::{ReleaseId, ServiceName};

use crate::directory::parameter::{UploadParameters, WaitParameters};
use crate::directory::phase::Work;
use crate::directory::recipe::{SHORT, Scene, Steps};
use crate::directory::release::ReleaseSpec;

/// The project of a service, by its name.
pub(in crate::directory) fn project(config: &ServiceConfig, service: &ServiceName) -> Option<ComposeConfig> {
    let compose = config.compose.as_ref()?;
    Some(ComposeConfig { project: Some(compose.called(service)), ..compose.clone() })
}

impl Scene<'_> {
    /// Resolves the project on the target, gets its images, and pins them.
    pub(in crate::directory) fn add_project(
        &self,
        steps: &mut Steps,
        upload: &UploadParameters,
        compose: &ComposeConfig,
    ) -> Result<(), Failure> {
        self.require_engine()?;
        self.require_same_project(compose)?;
        let name = compose.project.as_deref().unwrap_or_default();
        let limit = self.request.service_config.build_limit;
        let images = match upload.project.is_empty() {
            true => "get its images".to_owned(),
            false => {
                let proven = upload.project.iter().map(|(name, proven)| format!("{name} {}", proven.image.short()));
                format!("take its images as they are ({})", proven.collect::<Vec<_>>().join(", "))
            }
        };
        let summary = format!("resolve Compose project `{name}`, {images} and pin them");
        steps.add(Work::Compose, summary, upload, limit)?;
        Ok(())
    }

    /// What runs beside another project, or instead of a process, would be in its way.
    fn require_same_project(&self, compose: &ComposeConfig) -> Result<(), Failure> {
        let Some(old) = self.kept.iter().find(|kept| Some(&kept.release) == self.previous.release.as_ref()) else {
            return Ok(());
        };
        let before = old.spec.compose.as_ref().and_then(|compose| compose.project.as_ref());
        if self.halted || before == compose.project.as_ref() {
            return Ok(());
        }
        let (service, environment) = (&self.request.service, &self.request.environment);
        let what = match before {
            Some(before) => format!("release `{}` runs as project `{before}`", old.release),
            None => format!("release `{}` is no Compose project", old.release),
        };
        Err(Failure::new(
            Kind::Conflict,
            format!("service `{service}` cannot become another Compose project as it runs"),
        )
        .because(what)
        .state("nothing was touched")
        .next(format!("stop it first: `pleach stop {environment} --only {service}`")))
    }

    /// Waits until all of the project runs.
    pub(in crate::directory) fn add_wait(
        &self,
        steps: &mut Steps,
        release: &ReleaseId,
        spec: &ReleaseSpec,
    ) -> Result<(), Failure> {
        let Some(compose) = &spec.compose else { return Ok(()) };
        let within = spec.within();
        let name = compose.project.as_deref().unwrap_or_default();
        let wait = WaitParameters { place: self.place.clone(), release: release.clone(), within };
        let summary = format!("all services of `{name}` run, and are healthy where they can tell");
        steps.add(Work::Wait, summary, &wait, Period(within.0 + SHORT.0))?;
        Ok(())
    }
}
