//! The images of a directory's services, as their engine tells of them, read without changing anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{FileKind, Files, ImageId, Shell};
use pleach_core::word::{CommitId, EnvironmentName, ReleaseId, ServiceName};
use serde::Serialize;

use super::compose::seen_images;
use super::layout::{ServiceLayout, release_number};
use super::release::ReleaseRecord;
use super::site::{ask_program, current, is_service, read_json, read_process_json};
use crate::docker::{Engine, EngineWay, SeenImage};
use crate::supervise::{ImagesRequest, InstanceRecord};

/// An image of a service: what its engine has, what its releases are made of, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceImage {
    /// Its id.
    pub image: ImageId,
    /// As the engine has it; nothing where somebody has removed it.
    pub seen: Option<SeenImage>,
    /// The commit that releases say they are made from.
    pub commit: Option<CommitId>,
    /// The releases that are made of it, oldest first.
    pub releases: Vec<ReleaseId>,
}

/// The images of one service on one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceImages {
    /// The environment that its newest release was made for.
    pub environment: Option<EnvironmentName>,
    /// The current release.
    pub current: Option<ReleaseId>,
    /// What is there, the newest image first; what is no longer there last.
    pub images: Vec<ServiceImage>,
}

/// Reads the images of all services below `root` that run as containers. One that cannot be read says so itself and hides no
/// other.
///
/// # Errors
/// `root` cannot be listed.
pub async fn service_images(
    files: &dyn Files,
    shell: &dyn Shell,
    root: &Path,
) -> Result<Vec<(ServiceName, Result<ServiceImages, Failure>)>, Failure> {
    let folders = files.list(root).await?.into_iter().filter(|entry| entry.kind == FileKind::Directory);
    let named = folders.filter_map(|entry| ServiceName::new(&entry.name).ok());
    let read = join_all(named.map(|service| async move {
        let layout = ServiceLayout::new(root.join(service.as_str()));
        let read = async {
            if is_service(files, &layout).await? {
                read_images(files, shell, &layout, &service).await
            } else {
                Ok(None)
            }
        };
        let read = read.await.transpose()?;
        Some((service, read))
    }));
    Ok(read.await.into_iter().flatten().collect())
}

/// What was built of a service, on the engine of this machine or of `DOCKER_HOST`.
pub async fn built_images(service: &ServiceName) -> Result<Vec<ServiceImage>, Failure> {
    let engine = Engine::connect(EngineWay::of_environment()).await?;
    Ok(joined(engine.seen_images(service).await?, &[]))
}

/// Nothing of a service that runs no containers.
pub(super) async fn read_images(
    files: &dyn Files,
    shell: &dyn Shell,
    layout: &ServiceLayout,
    service: &ServiceName,
) -> Result<Option<ServiceImages>, Failure> {
    let mut records: Vec<ReleaseRecord> = Vec::new();
    for stat in files.list(&layout.records()).await? {
        if let Some(release) = stat.name.strip_suffix(".json").and_then(|name| ReleaseId::new(name).ok()) {
            let record: Option<ReleaseRecord> = read_json(files, &layout.record(&release)).await?;
            records.extend(record.filter(|record| record.spec.image.is_some() || record.spec.compose.is_some()));
        }
    }
    records.sort_by_key(|record| release_number(record.release.as_str()));
    let Some(newest) = records.last() else { return Ok(None) };
    let environment = Some(newest.spec.environment.clone());
    if newest.spec.compose.is_some() {
        let wanted = records.iter().flat_map(ReleaseRecord::images).cloned().collect();
        let seen = seen_images(shell, &newest.spec, &wanted).await?;
        let current = current(files, layout).await?;
        return Ok(Some(ServiceImages { environment, current, images: joined(seen, &records) }));
    }
    // What a project of before was made of is not asked for here.
    records.retain(|record| record.spec.image.is_some());
    let (program, socket) = way(files, layout, &records).await?.ok_or_else(|| {
        Failure::new(Kind::Rejected, format!("nothing of `{service}` tells how its engine is asked"))
            .because("none of its releases was ever started")
    })?;
    let request = serde_json::to_vec(&ImagesRequest { socket, service: service.clone() }).unwrap_or_default();
    let what = || format!("see the images of `{service}`");
    let seen = ask_program(shell, &program, &["supervise", "images"], Some(request), what).await?;
    Ok(Some(ServiceImages { environment, current: current(files, layout).await?, images: joined(seen, &records) }))
}

/// The executable that the newest release was started by, and the socket of its engine.
async fn way(
    files: &dyn Files,
    layout: &ServiceLayout,
    records: &[ReleaseRecord],
) -> Result<Option<(PathBuf, PathBuf)>, Failure> {
    for record in records.iter().rev() {
        let instance: Option<InstanceRecord> = read_process_json(files, &layout.instance(&record.release)).await?;
        if let Some(container) = instance.and_then(|instance| instance.container) {
            return Ok(Some((container.program, container.socket)));
        }
    }
    Ok(None)
}

fn joined(seen: Vec<SeenImage>, records: &[ReleaseRecord]) -> Vec<ServiceImage> {
    let mut releases: BTreeMap<ImageId, Made> = BTreeMap::new();
    for record in records {
        let own: BTreeSet<ImageId> = record.own_images().into_values().collect();
        for image in record.images().collect::<BTreeSet<_>>() {
            let made = releases.entry(image.clone()).or_default();
            if own.contains(image) && made.commit.is_none() {
                (made.commit, made.version) = (Some(record.spec.commit.clone()), record.spec.version.clone());
            }
            made.releases.push(record.release.clone());
        }
    }
    let there: BTreeSet<ImageId> = seen.iter().map(|image| image.id.clone()).collect();
    let mut images: Vec<ServiceImage> = seen
        .into_iter()
        .map(|mut seen| {
            let Made { commit, version, releases } = releases.get(&seen.id).cloned().unwrap_or_default();
            // Compose writes none on what it builds.
            seen.version = seen.version.or(version);
            ServiceImage { image: seen.id.clone(), commit, releases, seen: Some(seen) }
        })
        .collect();
    images.sort_by(|one, other| {
        let built = |image: &ServiceImage| image.seen.as_ref().and_then(|seen| seen.created);
        built(other).cmp(&built(one)).then_with(|| one.image.cmp(&other.image))
    });
    let gone = releases.into_iter().filter(|(image, _)| !there.contains(image));
    images.extend(gone.map(|(image, Made { commit, releases, .. })| ServiceImage {
        image,
        seen: None,
        commit,
        releases,
    }));
    images
}

/// What is known of an image by the releases that are made of it.
#[derive(Clone, Default)]
struct Made {
    /// What it was built from; nothing of what was only pulled.
    commit: Option<CommitId>,
    version: Option<String>,
    releases: Vec<ReleaseId>,
}
