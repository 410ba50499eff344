//! The snapshot `directory-release`: which release is current, and that it can be gone back to.
//!
//! Old releases lie untouched beside the new one, so capturing one is pinning it. Its tree is not compared byte by byte: a
//! service may write into its own directory while it runs (`__pycache__`), and that must not stop a deployment.

use std::sync::Arc;

use async_trait::async_trait;
use pleach_core::error::{Failure, Kind};
use pleach_core::phase::Evidence;
use pleach_core::port::{Containers, FileKind, Secrets};
use pleach_core::snapshot::{Snapshot, SnapshotContext, SnapshotRecord};
use pleach_core::target::Facet;
use pleach_core::word::{ReleaseId, SnapshotKind};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::compose::{Project, pinned_fault};
use super::layout::ServiceLayout;
use super::parameter::{CurrentParameters, Place, word};
use super::pin::Pin;
use super::site::{Site, read_json};

/// The kind's name in plans.
pub(super) const KIND: &str = "directory-release";

/// See the module.
pub struct ReleaseSnapshot {
    kind: SnapshotKind,
    secrets: Arc<dyn Secrets>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Captured {
    release: Option<ReleaseId>,
    /// Whether its process ran.
    running: bool,
}

impl ReleaseSnapshot {
    pub(super) fn new(secrets: Arc<dyn Secrets>) -> Option<Self> {
        Some(Self { kind: SnapshotKind::new(KIND).ok()?, secrets })
    }
}

fn captured(record: &SnapshotRecord) -> Result<Captured, Failure> {
    serde_json::from_value(record.clone()).map_err(|error| {
        Failure::new(Kind::Internal, "could not read what a snapshot left behind").because(error.to_string())
    })
}

/// Whether a release can be gone back to, and what shows it.
async fn require_whole(
    site: &Site<'_>,
    containers: Option<&dyn Containers>,
    secrets: &dyn Secrets,
    release: &ReleaseId,
) -> Result<String, Failure> {
    let record = site.require_record(release).await?;
    let path = site.layout().release(release);
    let is_current = site.current().await?.as_ref() == Some(release);
    let missing = |because: String| {
        let next = if is_current {
            let first = site.place.typed(format!("rm {}", word(&site.layout().current())));
            format!("deploy as if it were the first time: `{first}`")
        } else {
            let (commit, environment, service) =
                (record.spec.commit.short(), &record.spec.environment, &site.place.service);
            format!(
                "what runs runs on; to have {commit} again, `git revert {commit}..` on its branch, then `pleach deploy \
                 {environment} --only {service}`"
            )
        };
        Failure::new(Kind::Conflict, format!("release `{release}` cannot be gone back to"))
            .because(because)
            .state("nothing was touched")
            .next(next)
    };
    if !matches!(site.files.stat(&path).await?.map(|stat| stat.kind), Some(FileKind::Directory)) {
        return Err(missing(format!("`{}` is not there", path.display())));
    }
    if let (Some(image), Some(containers)) = (&record.image, containers)
        && !containers.has(image).await?
    {
        return Err(missing(format!("its image {} is no longer on the target's engine", image.short())));
    }
    if record.compose.is_some() {
        if let Some(because) = pinned_fault(site.files, &site.layout(), &record).await? {
            return Err(missing(because));
        }
        if let Some(image) = Project::of(site, &record, secrets)?.missing_image().await? {
            return Err(missing(format!("its image {image} is no longer on the target's engine")));
        }
    }
    let entries = site.files.list(&path).await?.len();
    let what = match (&record.image, &record.compose) {
        (Some(image), _) => format!("its image {}", image.short()),
        (None, Some(images)) => format!("{entries} entries and the images of its {} services", images.len()),
        (None, None) => format!("{entries} entries"),
    };
    Ok(format!("release `{release}` of {} is there with {what}", record.spec.commit.short()))
}

/// Where the data of a service cannot be put back: why its run is not taken back, and how to have the release alone.
pub(super) async fn require_data(cx: &SnapshotContext<'_>, proven: Result<Evidence, Failure>) -> Result<(), Failure> {
    let Err(why) = proven else { return Ok(()) };
    let place: Place = cx.require_parameters()?;
    let site = Site::of_snapshot(cx, &place)?;
    let (service, environment, target) = (&place.service, cx.target.environment(), cx.target.id());
    let pin: Option<Pin> = read_json(site.files, &site.layout().pin(cx.run)).await.ok().flatten();
    let release = pin.and_then(|pin| pin.release).map_or_else(|| "RELEASE".to_owned(), |release| release.to_string());
    let what = format!("run `{}` cannot be taken back with the data of `{service}` on `{target}`", cx.run);
    let mut failure = Failure::new(why.kind, what).because(why.what);
    failure.because.extend(why.because);
    Err(failure.state("nothing was touched").next(format!(
        "`pleach rollback {environment} {service} --to {release}` makes that release current, and leaves data as they are"
    )))
}

#[async_trait]
impl Snapshot for ReleaseSnapshot {
    fn kind(&self) -> &SnapshotKind {
        &self.kind
    }

    fn needs(&self) -> &[Facet] {
        &[Facet::Files]
    }

    async fn capture(&self, cx: &SnapshotContext<'_>) -> Result<SnapshotRecord, Failure> {
        let place: Place = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &place)?;
        let release = site.current().await?;
        let mut running = false;
        if let Some(release) = &release {
            require_whole(&site, cx.target.containers(), self.secrets.as_ref(), release).await?;
            running = site.is_up(release).await?;
        }
        let pin = Pin { run: cx.run.clone(), release: release.clone(), token: cx.token };
        site.write_json(&site.layout().pin(cx.run), &pin).await?;
        Ok(json!(Captured { release, running }))
    }

    async fn prove(&self, cx: &SnapshotContext<'_>, record: &SnapshotRecord) -> Result<Evidence, Failure> {
        let place: Place = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &place)?;
        let captured = captured(record)?;
        let pin: Option<Pin> = read_json(site.files, &site.layout().pin(cx.run)).await?;
        let changed = |what: &str| {
            Failure::new(Kind::Conflict, format!("snapshot `{}` does not hold", cx.id))
                .because(what.to_owned())
                .state("nothing was changed")
                .next("make a new plan")
        };
        if pin.is_none_or(|pin| pin.release != captured.release) {
            return Err(changed("its pin is gone or names another release"));
        }
        Ok(Evidence::seen(match &captured.release {
            None => "there is no release yet: going back is removing the new one".to_owned(),
            Some(release) => {
                format!(
                    "{}, and pinned",
                    require_whole(&site, cx.target.containers(), self.secrets.as_ref(), release).await?
                )
            }
        }))
    }

    async fn restore(&self, cx: &SnapshotContext<'_>, record: &SnapshotRecord) -> Result<Evidence, Failure> {
        let place: Place = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &place)?;
        let captured = captured(record)?;
        let current = site.layout().current();
        match &captured.release {
            None => site.files.remove(&current, site.token()).await?,
            Some(release) => {
                let record = site.require_record(release).await?;
                if captured.running && record.spec.is_kept_running() {
                    site.ensure_healthy(&record, self.secrets.as_ref()).await?;
                }
                site.files.link(&current, &ServiceLayout::current_target(release), site.token()).await?;
            }
        }
        let seen = site.current().await?;
        if seen != captured.release {
            return Err(Failure::new(Kind::Conflict, format!("snapshot `{}` was restored and is not there", cx.id))
                .because("`current` was switched meanwhile")
                .next(format!("look with `{}`", site.place.typed(format!("ls -l {}", word(&current))))));
        }
        Ok(Evidence::seen(
            seen.map_or_else(
                || "`current` leads nowhere".to_owned(),
                |release| format!("`current` leads to `{release}`"),
            ),
        ))
    }

    async fn require_own(&self, cx: &SnapshotContext<'_>, record: &SnapshotRecord) -> Result<(), Failure> {
        let CurrentParameters { place, release: wanted } = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &place)?;
        let captured = captured(record)?;
        let current = site.current().await?;
        let Some(other) = current.filter(|current| ![&captured.release, &wanted].contains(&&Some(current.clone())))
        else {
            return Ok(());
        };
        let brought = site.record(&other).await?.map(|record| record.run);
        if brought.as_ref() == Some(cx.run) {
            return Ok(());
        }
        let (service, environment) = (&place.service, cx.target.environment());
        let by = brought.map(|run| format!(", which run `{run}` brought")).unwrap_or_default();
        let next = match &captured.release {
            Some(release) => format!(
                "see `pleach status {environment}`; `pleach rollback {environment} {service} --to {release}` makes that release \
                 current, and leaves data as they are"
            ),
            None => format!("see `pleach status {environment}`"),
        };
        let what = format!(
            "run `{}` cannot be gone on with: `{service}` on `{}` is no longer its own",
            cx.run,
            cx.target.id()
        );
        Err(Failure::new(Kind::Conflict, what)
            .because(format!("its current release is `{other}`{by}"))
            .state("nothing was touched")
            .next(next))
    }

    /// Its pin goes with those of older runs; what it leads to may be there for another reason.
    async fn require_restorable(&self, cx: &SnapshotContext<'_>, record: &SnapshotRecord) -> Result<(), Failure> {
        let place: Place = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &place)?;
        let Some(release) = captured(record)?.release else { return Ok(()) };
        require_whole(&site, cx.target.containers(), self.secrets.as_ref(), &release).await.map(drop)
    }

    async fn discard(&self, cx: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        let place: Place = cx.require_parameters()?;
        let site = Site::of_snapshot(cx, &place)?;
        site.files.remove(&site.layout().pin(cx.run), site.token()).await?;
        Ok(Evidence::seen("its pin is gone"))
    }
}
