//! `compose` and `wait`: a Compose project is resolved and pinned, and it stands.

use std::collections::BTreeSet;
use std::time::Duration;

use pleach_core::error::{Failure, Kind};
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use pleach_core::port::Secrets;
use pleach_core::word::ReleaseId;
use serde_json::Value;
use tokio::time::Instant;

use crate::directory::compose::{Member, Pinned, Project, Standing, judge};
use crate::directory::parameter::{PartParameters, UploadParameters, WaitParameters};
use crate::directory::release::{ReleaseRecord, ReleaseState};
use crate::directory::site::Site;

/// How often it is looked.
const PACE: Duration = Duration::from_millis(500);

/// How long all must be well before it is believed: what ends as soon as it is started does that within this.
const STEADY: Duration = Duration::from_secs(2);

/// What this run has pinned of a release.
async fn own(site: &Site<'_>, release: &ReleaseId) -> Result<Option<ReleaseRecord>, Failure> {
    let record = site.record(release).await?;
    Ok(record.filter(|record| record.run == *site.run && record.compose.is_some()))
}

fn pinned(record: &ReleaseRecord) -> String {
    let images = record.compose.iter().flatten().map(|(service, image)| format!("{service} {}", image.short()));
    format!("pinned: {}", images.collect::<Vec<_>>().join(", "))
}

pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: UploadParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    Ok(match own(&site, &parameters.release).await? {
        Some(record) => Inspection::Settled { evidence: Evidence::seen(pinned(&record)), output: Value::Null },
        None => Inspection::Pending { changes: vec!["resolve the project, get its images".to_owned()] },
    })
}

pub(super) async fn apply(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let parameters: UploadParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let release = &parameters.release;
    if let Some(record) = own(&site, release).await? {
        return Ok(Applied::unchanged(pinned(&record)));
    }
    let mut record = site.require_record(release).await?;
    let containers = if parameters.project.is_empty() { None } else { Some(cx.require_containers()?) };
    let proven = containers.map(|containers| (&parameters.project, containers));
    let Pinned { images, registry, called, digest } = Project::of(&site, &record, secrets)?.pin(proven).await?;
    record.state = ReleaseState::Built;
    (record.compose, record.registry, record.called) = (Some(images), registry, called);
    record.pinned = Some(digest);
    site.write_json(&site.layout().record(release), &record).await?;
    Ok(Applied::changed(pinned(&record)))
}

/// Of what was not there before, nothing stays but its volumes. It comes behind the way back of the switch, which has stopped
/// that and started again what was.
pub(super) async fn undo(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Evidence, Failure> {
    let parameters: UploadParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let Some(record) = own(&site, &parameters.release).await? else {
        return Ok(Evidence::seen("nothing of the project was started"));
    };
    let project = Project::of(&site, &record, secrets)?;
    let before = match &parameters.previous.release {
        Some(previous) => site.record(previous).await?.and_then(|record| record.compose),
        None => None,
    };
    let Some(before) = before else {
        project.run("down", "remove the containers").await?;
        return Ok(Evidence::seen(format!("project `{}` has no containers; its volumes stay", project.name())));
    };
    let added = record.compose.iter().flatten().filter(|(service, _)| !before.contains_key(*service));
    let added: Vec<&str> = added.map(|(service, _)| service.as_str()).collect();
    if added.is_empty() {
        return Ok(Evidence::seen("the project has no other services than before"));
    }
    project.run(&format!("rm --stop --force {}", added.join(" ")), "remove what was added").await?;
    Ok(Evidence::seen(format!("{} removed; their volumes stay", added.join(", "))))
}

pub(super) async fn inspect_standing(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Inspection, Failure> {
    Ok(match stand(cx, secrets).await {
        Ok(seen) => Inspection::Settled { evidence: Evidence::seen(seen), output: Value::Null },
        Err(failure) => Inspection::Pending { changes: vec![failure.what] },
    })
}

pub(super) async fn wait(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    Ok(Applied::unchanged(stand(cx, secrets).await?))
}

async fn stand(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<String, Failure> {
    let parameters: WaitParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let record = site.require_record(&parameters.release).await?;
    let project = Project::of(&site, &record, secrets)?;
    tokio::select! {
        biased;
        () = cx.cancel.cancelled() => {
            let what = format!("stopped waiting for Compose project `{}`", project.name());
            Err(Failure::new(Kind::Cancelled, what).because("the run was asked to stop").next("go on with `pleach resume`"))
        }
        seen = project.stand(parameters.within.0) => seen,
    }
}

/// That it was done before says nothing: restarting once more is what is left to do.
pub(super) fn inspect_part(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: PartParameters = cx.require_parameters()?;
    Ok(Inspection::Pending { changes: vec![format!("restart `{}`", parameters.part)] })
}

pub(super) async fn restart_part(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let PartParameters { place, release, part } = cx.require_parameters()?;
    let site = Site::of_step(cx, &place)?;
    let record = site.require_record(&release).await?;
    let project = Project::of(&site, &record, secrets)?;
    let names: Vec<&str> = project.part(&part).into_iter().map(String::as_str).collect();
    if names.is_empty() {
        let all: Vec<&str> = project.services().keys().map(String::as_str).collect();
        return Err(Failure::new(Kind::Rejected, format!("Compose project `{}` has no part `{part}`", project.name()))
            .because(format!("its services are {}", all.join(", ")))
            .next(format!(
                "name one of these: `pleach restart {} {} --part …`",
                record.spec.environment, place.service
            )));
    }
    project.run(&format!("restart {}", names.join(" ")), "restart containers").await?;
    Ok(Applied::changed(format!("{} restarted", names.join(", "))))
}

impl Project<'_> {
    /// Waits until all of it stands and goes on to.
    pub(super) async fn stand(&self, within: Duration) -> Result<String, Failure> {
        let begun = Instant::now();
        let (mut well, mut lost): (Option<Instant>, bool) = (None, false);
        loop {
            let members = self.members().await?;
            let because = match judge(self.services(), &members) {
                Standing::Well(told) => {
                    if well.get_or_insert_with(Instant::now).elapsed() >= STEADY {
                        return Ok(told + &self.told_orphans(&members));
                    }
                    lost = false;
                    told
                }
                Standing::Waits(told) => {
                    (well, lost) = (None, false);
                    told
                }
                // One that is about to be started again may be seen in between.
                Standing::Lost(told, services) => {
                    if lost {
                        return Err(self.fallen(told, &services).await);
                    }
                    (well, lost) = (None, true);
                    told
                }
            };
            if begun.elapsed() > within + STEADY {
                let services: Vec<String> = self.services().keys().cloned().collect();
                let because = format!("{because}, after {} s", within.as_secs());
                return Err(self.fallen(because, &services).await);
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Containers of services that the Compose files no longer have are named until somebody removes them.
    fn told_orphans(&self, members: &[Member]) -> String {
        let services: BTreeSet<&str> =
            members.iter().filter(|member| member.is_left_behind()).map(Member::service).collect();
        let names: Vec<&str> = services.into_iter().filter(|service| !self.services().contains_key(*service)).collect();
        if names.is_empty() {
            return String::new();
        }
        let (told, remove) = (names.join(", "), self.typed_removal(&names, members));
        format!("; {told} stopped, no longer in the Compose files; containers and volumes stay until `{remove}`")
    }

    async fn fallen(&self, because: String, services: &[String]) -> Failure {
        let names = services.join(" ");
        Failure::new(Kind::Rejected, format!("not all of Compose project `{}` runs", self.name()))
            .because(because)
            .next(format!("read all of its log: `{}`", self.typed(&format!("logs {names}"))))
            .output(self.last_lines(&names).await)
    }
}
