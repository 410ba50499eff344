//! The snapshot `files`: what the config names beside the releases, as it was before the run.
//!
//! Releases are never written over, so going back to one needs no copy of it. Shared directories, settings and unit files
//! are: these are [kept](crate::kept) and put back, and what runs on them is started anew then, because it holds on to the
//! files that were moved aside.
//!
//! The step `files` stands before all others of its service and changes nothing: it is there to be taken back, which is to
//! restore this snapshot, after everything else of the service was.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use pleach_core::config::{ServiceConfig, SnapshotSource};
use pleach_core::error::Failure;
use pleach_core::phase::Evidence;
use pleach_core::port::Secrets;
use pleach_core::snapshot::{Snapshot, SnapshotContext, SnapshotRecord};
use pleach_core::target::Facet;
use pleach_core::word::SnapshotKind;
use serde_json::json;

use super::command::{ServiceCommand, is_halted};
use super::layout::ServiceLayout;
use super::parameter::{FilesParameters, Place};
use super::routing::asked;
use super::site::Site;
use super::snapshot::require_data;
use crate::kept::{KeptFiles, KeptPath};
use crate::supervise::{AgainRequest, StartedAgain};

/// The kind's name in plans.
pub(super) const KIND: &str = "files";

/// Where the paths of a service's `snapshot` lie on the target.
pub(super) fn kept_paths(config: &ServiceConfig, place: &Place) -> Vec<PathBuf> {
    let shared = place.layout().shared();
    // Joined by their parts: a path that ends in `/` names the same directory as one that does not.
    let clean = |path: &Path| path.components().collect::<PathBuf>();
    config.snapshot.iter().filter_map(SnapshotSource::path).map(|path| clean(&shared.join(path))).collect()
}

/// See the module.
pub(super) struct FilesSnapshot {
    kind: SnapshotKind,
    secrets: Arc<dyn Secrets>,
}

impl FilesSnapshot {
    pub(super) fn new(secrets: Arc<dyn Secrets>) -> Option<Self> {
        Some(Self { kind: SnapshotKind::new(KIND).ok()?, secrets })
    }
}

/// What runs of the current release is started anew; tells what was seen, if anything runs.
pub(super) async fn start_anew(site: &Site<'_>, secrets: &dyn Secrets) -> Result<Option<String>, Failure> {
    let Some(release) = site.current().await? else { return Ok(None) };
    let record = site.require_record(&release).await?;
    if let Some(start) = &record.spec.start {
        if is_halted(site.files, &site.layout(), &record).await? {
            return Ok(None);
        }
        // What runs of a project and has not changed would go on with the files that were moved aside.
        if let (Some(_), Some(stop)) = (&record.spec.compose, &record.spec.stop) {
            site.run_line(ServiceCommand::Stop, stop, &record, secrets).await?;
        }
        return site.run_line(ServiceCommand::Start, start, &record, secrets).await.map(Some);
    }
    if !site.is_up(&release).await? {
        return Ok(None);
    }
    let request = AgainRequest {
        directory: site.place.directory.clone(),
        release: release.clone(),
        stop_grace: record.spec.stop_grace,
    };
    let again: StartedAgain = site.ask(["supervise", "again"], &request).await?;
    let Some(process) = again.process else { return Ok(None) };
    let healthy = site.require_healthy(&release, &asked(&record.spec), None, secrets).await?;
    Ok(Some(format!("release `{release}` runs on them as process {process}: {healthy}")))
}

fn kept(layout: &ServiceLayout, cx: &SnapshotContext<'_>) -> KeptFiles {
    KeptFiles::new(layout.kept(cx.run))
}

pub(super) fn told(paths: &[KeptPath]) -> String {
    paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn quoted(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}

#[async_trait]
impl Snapshot for FilesSnapshot {
    fn kind(&self) -> &SnapshotKind {
        &self.kind
    }

    fn needs(&self) -> &[Facet] {
        &[Facet::Files, Facet::Shell]
    }

    async fn capture(&self, cx: &SnapshotContext<'_>) -> Result<SnapshotRecord, Failure> {
        let parameters: FilesParameters = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &parameters.place)?;
        let paths = kept(&site.layout(), cx).keep(site.require_shell()?, cx.call(), &parameters.paths).await?;
        Ok(json!({ "paths": paths.len() }))
    }

    async fn prove(&self, cx: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        let parameters: FilesParameters = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &parameters.place)?;
        let paths = kept(&site.layout(), cx).prove(site.require_shell()?, cx.call()).await?;
        Ok(Evidence::seen(format!("equal copies are kept of {}", told(&paths))))
    }

    async fn restore(&self, cx: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        let parameters: FilesParameters = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &parameters.place)?;
        let done = kept(&site.layout(), cx).put_back(site.require_shell()?, cx.call()).await?;
        let mut seen = format!("{} as before the run", quoted(&parameters.paths));
        if !done.aside.is_empty() {
            seen = format!("{seen}; what was there lies in {}", quoted(&done.aside));
        }
        if done.changed
            && let Some(anew) = start_anew(&site, self.secrets.as_ref()).await?
        {
            seen = format!("{seen}; {anew}");
        }
        Ok(Evidence::seen(seen))
    }

    async fn require_restorable(&self, cx: &SnapshotContext<'_>, record: &SnapshotRecord) -> Result<(), Failure> {
        require_data(cx, self.prove(cx, record).await).await
    }

    async fn discard(&self, cx: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        let parameters: FilesParameters = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &parameters.place)?;
        kept(&site.layout(), cx).discard(site.require_shell()?, cx.call()).await?;
        Ok(Evidence::seen("its copies are gone"))
    }
}
