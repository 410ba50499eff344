//! The part of a draft that makes a release of a Compose project, and the command lines that start and stop it.
//!
//! The project is resolved and pinned into one file of the release before anything of it is touched. `start` and `stop` are
//! made of that file, so all that knows such commands knows Compose projects: the switch and its way back, the watchdog,
//! `restart`, `stop`.

use std::path::Path;

use pleach_core::config::{CommandLine, ComposeConfig, ServiceConfig};
use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_core::word::{ReleaseId, ServiceName};

use super::composed::{PINNED, STARTING};
use super::parameter::{UploadParameters, WaitParameters};
use super::phase::Work;
use super::recipe::{SHORT, Scene, Steps};
use super::release::ReleaseSpec;
use crate::ssh::quote_text;

/// The project of a service, by its name.
pub(super) fn project(config: &ServiceConfig, service: &ServiceName) -> Option<ComposeConfig> {
    let compose = config.compose.as_ref()?;
    let name = || service.as_str().to_lowercase().replace('.', "-");
    Some(ComposeConfig { project: Some(compose.project.clone().unwrap_or_else(name)), ..compose.clone() })
}

/// `docker compose` of a project, in front of its verb. `files` is what stands between.
pub(super) fn compose_line(socket: Option<&Path>, project: &str, files: &str, verb: &str) -> String {
    format!("{} compose -p {project} {files} {verb}", docker(socket))
}

/// `docker` for the engine of the target.
pub(super) fn docker(socket: Option<&Path>) -> String {
    match socket {
        Some(socket) => format!("DOCKER_HOST={} docker", quote_text(&format!("unix://{}", socket.display()))),
        None => "docker".to_owned(),
    }
}

/// The files and profiles as the config names them.
pub(super) fn written_files(compose: &ComposeConfig) -> String {
    let files = compose.files.iter().map(|file| format!("-f {}", quote_text(&file.to_string_lossy())));
    let profiles = compose.profiles.iter().map(|profile| format!("--profile {}", quote_text(profile)));
    files.chain(profiles).collect::<Vec<_>>().join(" ")
}

/// A verb about what is pinned in the release.
pub(super) fn pinned_line(socket: Option<&Path>, compose: &ComposeConfig, verb: &str) -> String {
    compose_line(socket, compose.project.as_deref().unwrap_or_default(), &format!("-f {PINNED}"), verb)
}

/// What its services have printed.
pub(super) fn logs_line(socket: Option<&Path>, compose: &ComposeConfig, options: &str) -> String {
    // Some versions clear each line of a terminal even where there is none, whatever they are told.
    pinned_line(socket, compose, &format!("logs --no-color {options} 2>&1 | sed 's/^\x1b\\[2K//'"))
}

/// What starts and stops a release with a project.
pub(super) fn commands(socket: Option<&Path>, compose: &ComposeConfig) -> [CommandLine; 2] {
    [format!("sh {STARTING}"), pinned_line(socket, compose, "stop")].map(CommandLine::Line)
}

/// The text of [`STARTING`]: what other releases have started and this one has not would be in its way.
pub(super) fn starting<'a>(
    socket: Option<&Path>,
    compose: &ComposeConfig,
    services: impl Iterator<Item = &'a String>,
) -> String {
    let project = compose.project.as_deref().unwrap_or_default();
    let names: String = services.map(|name| format!("{name} ")).collect();
    let (docker, up) = (docker(socket), pinned_line(socket, compose, "up -d --no-build --pull never"));
    format!(
        r#"# Starts this release of Compose project `{project}`, and stops what other releases have started and this one has not.
export COMPOSE_IGNORE_ORPHANS=1
{docker} ps --filter label=com.docker.compose.project={project} --filter label=com.docker.compose.oneoff=False \
    --format '{{{{.ID}}}} {{{{.Label "com.docker.compose.service"}}}} {{{{.Label "com.docker.compose.project.config_files"}}}}' |
while read -r id service file; do
    case $file in */{PINNED}) ;; *) continue ;; esac
    case ' {names}' in *" $service "*) ;; *) {docker} stop "$id" >/dev/null || exit 1 ;; esac
done || exit 1
{up}
"#
    )
}

impl Scene<'_> {
    /// Resolves the project on the target, gets its images, and pins them.
    pub(super) fn add_project(
        &self,
        steps: &mut Steps,
        upload: &UploadParameters,
        compose: &ComposeConfig,
    ) -> Result<(), Failure> {
        self.require_engine()?;
        self.require_same_project(compose)?;
        let name = compose.project.as_deref().unwrap_or_default();
        let limit = self.request.service_config.build_limit;
        let summary = format!("resolve Compose project `{name}`, get its images and pin them");
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
    pub(super) fn add_wait(&self, steps: &mut Steps, release: &ReleaseId, spec: &ReleaseSpec) -> Result<(), Failure> {
        let Some(compose) = &spec.compose else { return Ok(()) };
        let within = spec.health.as_ref().map(|check| check.thresholds).unwrap_or_default().within;
        let name = compose.project.as_deref().unwrap_or_default();
        let wait = WaitParameters { place: self.place.clone(), release: release.clone(), within };
        let summary = format!("all services of `{name}` run, and are healthy where they can tell");
        steps.add(Work::Wait, summary, &wait, Period(within.0 + SHORT.0))?;
        Ok(())
    }
}
