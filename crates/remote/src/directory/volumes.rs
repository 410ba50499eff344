//! The snapshot `volumes`: named volumes of the target's engine that the config names, as they were before the run.
//!
//! They are [kept](crate::volume) and put back on the target, by the executable there, which is put there first where it is not. The
//! step `volumes` stands before all others of its service and changes nothing: it is there to be taken back, which is to restore
//! this snapshot, after everything else of the service was.

use std::sync::Arc;

use async_trait::async_trait;
use pleach_core::config::{ServiceConfig, SnapshotSource};
use pleach_core::error::{Failure, Kind};
use pleach_core::phase::Evidence;
use pleach_core::port::Secrets;
use pleach_core::snapshot::{Snapshot, SnapshotContext, SnapshotRecord};
use pleach_core::target::Facet;
use pleach_core::word::{RunId, SnapshotKind};
use serde_json::json;

use super::compose::{PINNED, project};
use super::files::{quoted, start_anew};
use super::parameter::{Place, VolumesParameters};
use super::routing::asked;
use super::site::Site;
use super::steps::ensure_program;
use crate::supervise::{AgainRequest, StartedAgain};
use crate::volume::{KeepVolumes, KeptVolume, Owner, PutBackVolumes, VolumesPutBack};

/// The kind's name in plans.
pub(super) const KIND: &str = "volumes";

/// The volumes of a service's `snapshot`, as it names them.
pub(super) fn kept_volumes(config: &ServiceConfig) -> Vec<String> {
    config.snapshot.iter().filter_map(SnapshotSource::volume).map(str::to_owned).collect()
}

/// Whose containers run on them.
pub(super) fn owner(config: &ServiceConfig, place: &Place) -> Owner {
    match project(config, &place.service) {
        Some(compose) => Owner::Project(compose.project.unwrap_or_default()),
        None => Owner::Service(place.directory.to_string_lossy().into_owned()),
    }
}

impl VolumesParameters {
    /// What the target is asked to have put back, by this program or by itself.
    pub(super) fn put_back(&self) -> PutBackVolumes {
        let layout = self.place.layout();
        PutBackVolumes {
            all: layout.all_kept_volumes(),
            aside: layout.replaced_volumes(),
            socket: self.place.socket(),
            holder: self.place.volume_holder(),
            owner: self.owner.clone(),
            stop_grace: self.stop_grace,
        }
    }
}

/// See the module.
pub(super) struct VolumesSnapshot {
    kind: SnapshotKind,
    secrets: Arc<dyn Secrets>,
}

impl VolumesSnapshot {
    pub(super) fn new(secrets: Arc<dyn Secrets>) -> Option<Self> {
        Some(Self { kind: SnapshotKind::new(KIND).ok()?, secrets })
    }
}

fn told(kept: &[KeptVolume]) -> String {
    kept.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

async fn put_back(site: &Site<'_>, parameters: &VolumesParameters, run: &RunId) -> Result<VolumesPutBack, Failure> {
    site.ask_with(&["supervise", "put-back-volumes", run.as_str()], &parameters.put_back()).await
}

/// What was ended for them runs again; tells what was seen of it.
async fn start_again(site: &Site<'_>, secrets: &dyn Secrets) -> Result<Option<String>, Failure> {
    let Some(release) = site.current().await? else { return Ok(None) };
    let record = site.require_record(&release).await?;
    if record.spec.image.is_none() {
        return start_anew(site, secrets).await;
    }
    let directory = site.place.directory.clone();
    let request = AgainRequest { directory, release: release.clone(), stop_grace: record.spec.stop_grace };
    // Does nothing where it had been stopped before.
    let _: StartedAgain = site.ask(["supervise", "again"], &request).await?;
    if !site.is_up(&release).await? {
        return Ok(None);
    }
    let healthy = site.require_healthy(&release, &asked(&record.spec), None, secrets).await?;
    Ok(Some(format!("release `{release}` runs on them: {healthy}")))
}

#[async_trait]
impl Snapshot for VolumesSnapshot {
    fn kind(&self) -> &SnapshotKind {
        &self.kind
    }

    fn needs(&self) -> &[Facet] {
        &[Facet::Files, Facet::Shell]
    }

    async fn capture(&self, cx: &SnapshotContext<'_>) -> Result<SnapshotRecord, Failure> {
        let parameters: VolumesParameters = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &parameters.place)?;
        ensure_program(&site).await?;
        let layout = site.layout();
        let request = KeepVolumes {
            place: layout.kept_volumes(cx.run),
            socket: parameters.place.socket(),
            holder: parameters.place.volume_holder(),
            owner: parameters.owner.clone(),
            volumes: parameters.volumes.clone(),
            resolved: site.current().await?.map(|release| layout.release(&release).join(PINNED)),
        };
        let kept: Vec<KeptVolume> = site.ask(["supervise", "keep-volumes"], &request).await?;
        Ok(json!({ "volumes": kept.len() }))
    }

    async fn prove(&self, cx: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        let parameters: VolumesParameters = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &parameters.place)?;
        let place = site.layout().kept_volumes(cx.run);
        let kept: Vec<KeptVolume> = site.ask(["supervise", "prove-volumes"], &place).await?;
        Ok(Evidence::seen(format!("equal copies are kept of {}", told(&kept))))
    }

    async fn restore(&self, cx: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        let parameters: VolumesParameters = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &parameters.place)?;
        let done = put_back(&site, &parameters, cx.run).await?;
        let names: Vec<String> = done.volumes.iter().map(|name| format!("`{name}`")).collect();
        let many = if names.len() == 1 { "" } else { "s" };
        let mut seen = format!("volume{many} {} as before the run", names.join(", "));
        if !done.aside.is_empty() {
            seen = format!("{seen}; what was there lies in {}", quoted(&done.aside));
        }
        if done.stopped
            && let Some(anew) = start_again(&site, self.secrets.as_ref()).await?
        {
            seen = format!("{seen}; {anew}");
        }
        Ok(Evidence::seen(seen))
    }

    async fn discard(&self, cx: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        let parameters: VolumesParameters = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &parameters.place)?;
        site.files.remove(&site.layout().kept_volumes(cx.run), site.token()).await?;
        Ok(Evidence::seen("its copies are gone"))
    }
}

/// `volumes` changes nothing; what it counts on is there.
pub(super) async fn require_kept(site: &Site<'_>, run: &RunId) -> Result<(), Failure> {
    let kept = site.layout().kept_volumes(run);
    if site.files.stat(&kept).await?.is_some() {
        return Ok(());
    }
    Err(Failure::new(Kind::Conflict, "what is kept of volumes is gone")
        .because(format!("`{}` is not there", kept.display()))
        .next("make a new plan"))
}
