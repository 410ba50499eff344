//! The snapshot `volumes`: named volumes of the target's engine that the config names, as they were before the run.
//!
//! They are [kept](crate::volume) and put back on the target, by the executable there, which is put there first where it is not. The
//! step `volumes` stands before all others of its service and changes nothing: it is there to be taken back, which is to restore
//! this snapshot, after everything else of the service was.

use std::path::Path;
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
use super::snapshot::require_data;
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

pub(super) fn told(kept: &[KeptVolume]) -> String {
    kept.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Has volumes kept in `place`, as they are now.
pub(super) async fn ask_keep(
    site: &Site<'_>,
    parameters: &VolumesParameters,
    place: &Path,
) -> Result<Vec<KeptVolume>, Failure> {
    let request = KeepVolumes {
        place: place.to_owned(),
        socket: parameters.place.socket(),
        holder: parameters.place.volume_holder(),
        owner: parameters.owner.clone(),
        volumes: parameters.volumes.clone(),
        resolved: site.current().await?.map(|release| site.layout().release(&release).join(PINNED)),
    };
    site.ask(["supervise", "keep-volumes"], &request).await
}

/// Has what `place` keeps proven.
pub(super) async fn ask_prove(site: &Site<'_>, place: &Path) -> Result<Vec<KeptVolume>, Failure> {
    site.ask(["supervise", "prove-volumes"], &place).await
}

/// Has what a run keeps put back.
pub(super) async fn ask_put_back(
    site: &Site<'_>,
    request: &PutBackVolumes,
    run: &RunId,
) -> Result<VolumesPutBack, Failure> {
    site.ask_with(&["supervise", "put-back-volumes", run.as_str()], request).await
}

/// What was ended for them runs again; tells what was seen of it.
pub(super) async fn start_again(site: &Site<'_>, secrets: &dyn Secrets) -> Result<Option<String>, Failure> {
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
        let kept = ask_keep(&site, &parameters, &site.layout().kept_volumes(cx.run)).await?;
        Ok(json!({ "volumes": kept.len() }))
    }

    async fn prove(&self, cx: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        let parameters: VolumesParameters = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &parameters.place)?;
        let kept = ask_prove(&site, &site.layout().kept_volumes(cx.run)).await?;
        Ok(Evidence::seen(format!("equal copies are kept of {}", told(&kept))))
    }

    async fn restore(&self, cx: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        let parameters: VolumesParameters = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &parameters.place)?;
        let done = ask_put_back(&site, &parameters.put_back(), cx.run).await?;
        let names: Vec<String> = done.volumes.iter().map(|name| format!("`{name}`")).collect();
        let many = if names.len() == 1 { "" } else { "s" };
        let mut seen = format!("volume{many} {} as before the run", names.join(", "));
        if !done.aside.is_empty() {
            seen = format!("{seen}; what was there lies in {}", quoted(&done.aside));
        }
        // Also where a step before it has ended what ran on them.
        if (done.stopped || done.changed)
            && let Some(anew) = start_again(&site, self.secrets.as_ref()).await?
        {
            seen = format!("{seen}; {anew}");
        }
        Ok(Evidence::seen(seen))
    }

    async fn require_restorable(&self, cx: &SnapshotContext<'_>, record: &SnapshotRecord) -> Result<(), Failure> {
        require_data(cx, self.prove(cx, record).await).await
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
