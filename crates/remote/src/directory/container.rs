//! What a release with an image needs on its target's engine: names, and the parts of its container.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pleach_core::config::ImageConfig;
use pleach_core::error::{Failure, Kind, OUTPUT_LINES};
use pleach_core::port::{ImageBuild, ImageId, RegistryPlace, Shell, SourceRef};
use pleach_core::word::{CommitId, EnvironmentName, ReleaseId, ServiceName};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::parameter::Place;
use super::release::{ReleaseRecord, ReleaseSpec};
use super::site::{Site, ask_program};
use crate::docker::{Printed, label};
use crate::local::hex;
use crate::supervise::{ContainerRecord, ContainerRequest, ImageRequest, Looked, RemoveRequest};

impl Place {
    /// The socket of the target's engine.
    pub(super) fn socket(&self) -> PathBuf {
        self.docker_socket.clone().unwrap_or_else(|| crate::docker::SOCKET.into())
    }

    /// What tells the same service in two directories of one machine apart.
    fn mark(&self) -> String {
        let digest = hex(&Sha256::digest(self.directory.as_os_str().as_encoded_bytes()));
        digest.get(..8).unwrap_or_default().to_owned()
    }

    /// The name of a release's container.
    pub(super) fn container_name(&self, release: &ReleaseId) -> String {
        format!("{}-{release}-{}", self.service, self.mark())
    }

    /// The name of the container through which its volumes are read and written.
    pub(super) fn volume_holder(&self) -> String {
        format!("pleach-volume-{}-{}", self.service, self.mark())
    }

    /// The name that keeps a release's image on the target. Engines take no capitals there.
    pub(super) fn image_name(&self, release: &ReleaseId) -> String {
        format!("pleach/{}:{release}-{}", self.service.as_str().to_lowercase(), self.mark())
    }
}

/// What is written on an image: built from the same, it bears the same.
pub(super) fn image_labels(
    spec: &ReleaseSpec,
    image: &ImageConfig,
    platform: Option<&str>,
) -> BTreeMap<String, String> {
    let mut made = serde_json::json!({
        "path": spec.path, "file": image.file, "stage": image.stage, "arguments": image.arguments,
    });
    if !image.secrets.is_empty() {
        made["secrets"] = image.secrets.keys().map(String::as_str).collect();
    }
    if let Some(platform) = platform {
        made["platform"] = platform.into();
    }
    let settings = hex(&Sha256::digest(made.to_string()));
    label::labels([
        (label::SERVICE, Some(spec.service.as_str())),
        (label::COMMIT, Some(spec.commit.as_str())),
        (label::SETTINGS, Some(settings.as_str())),
    ])
}

/// What is built; its secrets are not fetched yet.
pub(super) fn image_build(spec: &ReleaseSpec, image: &ImageConfig, platform: Option<&str>) -> ImageBuild {
    ImageBuild {
        tree: SourceRef { commit: spec.commit.clone(), path: spec.path.clone() },
        dockerfile: image.file.clone(),
        arguments: image.arguments.clone(),
        secrets: BTreeMap::new(),
        labels: image_labels(spec, image, platform),
        stage: image.stage.clone(),
        platform: platform.map(str::to_owned),
        names: vec![built_name(&spec.service, &spec.commit, platform)],
    }
}

/// The name of what was built of a commit, where images are built; with the platform where that is not the builder's own.
pub fn built_name(service: &ServiceName, commit: &CommitId, platform: Option<&str>) -> String {
    // A hyphen would make it the name of a release.
    let foreign = platform.map(|platform| format!("_{}", platform.replace('/', "_"))).unwrap_or_default();
    format!("pleach/{}:{}{foreign}", service.as_str().to_lowercase(), commit.short())
}

/// The name of an image of a Compose project's service on its way to an environment, where images are built: always the same, so that
/// none is left behind but the last one.
pub fn passed_name(service: &ServiceName, to: &EnvironmentName, of: &str, platform: Option<&str>) -> String {
    let foreign = platform.map(|platform| format!("_{}", platform.replace('/', "_"))).unwrap_or_default();
    format!("pleach/{}:to-{to}-{of}{foreign}", service.as_str().to_lowercase())
}

/// Where an image of a service is in its registry. The same image is always there by the same name, and no other one.
pub(super) fn registry_place(spec: &ReleaseSpec, id: &ImageId) -> Option<RegistryPlace> {
    let image = spec.image.as_ref()?;
    let repository = format!("{}/{}", image.registry.as_ref()?, image.called(&spec.service));
    Some(RegistryPlace { repository, tag: format!("{}-{}", spec.commit.short(), id.short()) })
}

/// What the container of a release is to be.
pub(super) fn container_request(place: &Place, record: &ReleaseRecord) -> Result<ContainerRequest, Failure> {
    let release = &record.release;
    let missing = || {
        Failure::new(Kind::Conflict, format!("release `{release}` of `{}` has no image yet", place.service))
            .state("nothing of it was started")
            .next("deploy it again")
    };
    let (image, id) = record.spec.image.as_ref().zip(record.image.clone()).ok_or_else(missing)?;
    Ok(ContainerRequest {
        socket: place.socket(),
        program: place.program.clone(),
        name: place.container_name(release),
        image: id,
        made_by: record.run.clone(),
        environment: record.spec.environment.clone(),
        port: image.port,
        command: image.command.clone(),
        memory: image.memory,
        millicpus: image.cpus.map(millicpus),
        volumes: image.volumes.clone(),
    })
}

/// At least one thousandth of a processor.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded in front of it")]
fn millicpus(cpus: f64) -> u32 {
    (cpus * 1000.0).clamp(1.0, f64::from(u32::MAX)) as u32
}

/// What the engine of the target says of a container that a record names.
pub(super) async fn look(
    shell: &dyn Shell,
    container: &ContainerRecord,
    directory: &Path,
    release: &ReleaseId,
) -> Result<Option<Looked>, Failure> {
    ask_to_look(shell, &container.program, "look", directory, release, &[]).await
}

/// What a release's container printed after the time `since`: the last `count` lines, or without a count the first part.
pub(super) async fn container_lines(
    shell: &dyn Shell,
    program: &Path,
    directory: &Path,
    release: &ReleaseId,
    count: Option<usize>,
    since: &str,
) -> Result<Printed, Failure> {
    let count = count.map_or_else(|| "all".to_owned(), |count| count.to_string());
    ask_to_look(shell, program, "lines", directory, release, &[&count, since]).await
}

async fn ask_to_look<T: DeserializeOwned>(
    shell: &dyn Shell,
    program: &Path,
    verb: &str,
    directory: &Path,
    release: &ReleaseId,
    more: &[&str],
) -> Result<T, Failure> {
    let directory = directory.to_string_lossy();
    let words = ["supervise", verb, &*directory, release.as_str()];
    let words: Vec<&str> = words.into_iter().chain(more.iter().copied()).collect();
    ask_program(shell, program, &words, None, || format!("look at the container of release `{release}`")).await
}

impl Site<'_> {
    /// The last lines that a release's container printed, as they are.
    pub(super) async fn container_lines(&self, release: &ReleaseId) -> Vec<String> {
        let Some(shell) = self.shell else { return Vec::new() };
        let (program, directory) = (&self.place.program, &self.place.directory);
        let printed = container_lines(shell, program, directory, release, Some(OUTPUT_LINES), "").await;
        printed.unwrap_or_default().lines.into_iter().map(|(_, line)| line).collect()
    }

    /// Gives a release's image its name on the target.
    pub(super) async fn ensure_image_name(&self, release: &ReleaseId, image: &ImageId) -> Result<(), Failure> {
        let name = self.place.image_name(release);
        self.ask(["supervise", "image"], &ImageRequest { socket: self.place.socket(), image: image.clone(), name })
            .await
    }

    /// Removes what a release has on the target's engine; its volumes stay.
    pub(super) async fn remove_container(&self, release: &ReleaseId) -> Result<(), Failure> {
        let request = RemoveRequest {
            directory: self.place.directory.clone(),
            release: release.clone(),
            socket: self.place.socket(),
            container: self.place.container_name(release),
            image_name: self.place.image_name(release),
        };
        self.ask(["supervise", "remove"], &request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_processor_is_at_least_a_thousandth() {
        assert_eq!([0.0001, 0.5, 1.5].map(millicpus), [1, 500, 1500]);
    }
}
