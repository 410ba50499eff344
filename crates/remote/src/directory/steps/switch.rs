//! `switch`: one rename makes a release the current one, for files and for traffic.

use pleach_core::error::{Failure, Kind};
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use pleach_core::port::Secrets;
use pleach_core::word::ReleaseId;
use serde_json::Value;

use crate::directory::command::ServiceCommand;
use crate::directory::layout::ServiceLayout;
use crate::directory::parameter::SwitchParameters;
use crate::directory::release::ReleaseState;
use crate::directory::site::Site;

fn told(release: Option<&ReleaseId>) -> String {
    release.map_or_else(|| "`current` leads nowhere".to_owned(), |release| format!("`current` leads to `{release}`"))
}

pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: SwitchParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let current = site.current().await?;
    Ok(if current.as_ref() == Some(&parameters.release) {
        Inspection::Settled { evidence: Evidence::seen(told(current.as_ref())), output: Value::Null }
    } else {
        Inspection::Pending { changes: vec![format!("make `{}` the current release", parameters.release)] }
    })
}

pub(super) async fn apply(cx: &StepContext<'_>) -> Result<Applied, Failure> {
    let parameters: SwitchParameters = cx.require_parameters()?;
    let SwitchParameters { place, release, previous, .. } = &parameters;
    let site = Site::of_step(cx, place)?;
    let before = site.current().await?;
    if before != *previous && before.as_ref() != Some(release) {
        return Err(unexpected(place.service.as_str(), before.as_ref(), previous.as_ref()));
    }
    let layout = site.layout();
    let mut record = site.require_record(release).await?;
    if record.state != ReleaseState::Used {
        record.state = ReleaseState::Used;
        site.write_json(&layout.record(release), &record).await?;
    }
    site.files.link(&layout.current(), &ServiceLayout::current_target(release), site.token()).await?;
    let after = site.current().await?;
    if after.as_ref() != Some(release) {
        return Err(unexpected(place.service.as_str(), after.as_ref(), Some(release)));
    }
    Ok(Applied::changed(told(after.as_ref())))
}

fn unexpected(service: &str, found: Option<&ReleaseId>, wanted: Option<&ReleaseId>) -> Failure {
    Failure::new(Kind::Conflict, format!("could not switch service `{service}`"))
        .because(format!("{}, and the plan saw: {}", told(found), told(wanted)))
        .next("see with `pleach runs` who switched it since, and take that back first")
}

/// Back to exactly the release that the plan saw.
pub(super) async fn undo(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Evidence, Failure> {
    let parameters: SwitchParameters = cx.require_parameters()?;
    let SwitchParameters { place, release, previous, data_first } = &parameters;
    let site = Site::of_step(cx, place)?;
    let layout = site.layout();
    let now = site.current().await?;
    if now != *previous && now.as_ref() != Some(release) {
        return Err(unexpected(place.service.as_str(), now.as_ref(), previous.as_ref()).state("it was left as it is"));
    }
    let old = match previous {
        Some(previous) => Some(site.require_record(previous).await?),
        None => None,
    };
    let start = old.as_ref().and_then(|old| Some((old, old.spec.start.as_ref()?)));
    let last = site.own_last_command().await?;
    // Something else keeps the service running: it is told to stop what it may have started, or to start the old one.
    if (start.is_none() || *data_first)
        && let Some(last) = &last
        && !last.has_ended(ServiceCommand::Stop, release)
        && let Some(record) = site.record(release).await?
        && let Some(line) = &record.spec.stop
    {
        site.run_noted(ServiceCommand::Stop, line, &record, secrets).await?;
    }
    match previous {
        Some(previous) => {
            site.files.link(&layout.current(), &ServiceLayout::current_target(previous), site.token()).await?;
        }
        None => site.files.remove(&layout.current(), site.token()).await?,
    }
    if let (Some(last), Some((old, line)), false) = (last, start, data_first)
        && !last.has_ended(ServiceCommand::Start, &old.release)
    {
        site.run_noted(ServiceCommand::Start, line, old, secrets).await?;
    }
    forget_use(&site, release).await?;
    let after = site.current().await?;
    if after != *previous {
        return Err(unexpected(place.service.as_str(), after.as_ref(), previous.as_ref()));
    }
    Ok(Evidence::seen(told(after.as_ref())))
}

/// What this run made current and took back is not known to work: nobody is to go back to it.
async fn forget_use(site: &Site<'_>, release: &ReleaseId) -> Result<(), Failure> {
    let Some(mut record) = site.record(release).await? else { return Ok(()) };
    if record.run == *site.run && record.state == ReleaseState::Used {
        record.state = if record.spec.build.is_some() || record.spec.image.is_some() || record.compose.is_some() {
            ReleaseState::Built
        } else {
            ReleaseState::Uploaded
        };
        site.write_json(&site.layout().record(release), &record).await?;
    }
    Ok(())
}
