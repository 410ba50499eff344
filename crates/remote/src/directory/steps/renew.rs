//! `renew`: the process of the current release is ended, and started anew by this run.
//!
//! | the instance's record names | this run has |
//! |---|---|
//! | another run, and it runs | not begun, or not ended it yet |
//! | any run, and nothing runs | ended it |
//! | this run, and it runs | started it: done |

use pleach_core::error::{Failure, Kind};
use pleach_core::phase::{Applied, Change, Evidence, Inspection, StepContext};
use pleach_core::port::{FileKind, Secrets};
use pleach_core::word::ReleaseId;
use serde_json::{Value, json};

use super::process::warning;
use crate::directory::instance::InstanceState;
use crate::directory::parameter::RenewParameters;
use crate::directory::routing::{asked, leader};
use crate::directory::site::Site;
use crate::supervise::InstanceRecord;

/// The instance that this run has started, if it runs.
async fn own(site: &Site<'_>, parameters: &RenewParameters) -> Result<Option<InstanceRecord>, Failure> {
    let instance = site.instance(&parameters.release).await?;
    Ok(instance.and_then(|(record, state)| {
        let runs = matches!(state, InstanceState::Running | InstanceState::Restarting);
        (runs && record.run == *site.run).then_some(record)
    }))
}

fn told(record: &InstanceRecord) -> String {
    format!("{} runs, started anew, on port {}", leader(record), record.port)
}

fn output(record: &InstanceRecord) -> Value {
    json!({ "host": record.host, "port": record.port })
}

pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: RenewParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    Ok(match own(&site, &parameters).await? {
        Some(record) => Inspection::Settled { evidence: Evidence::seen(told(&record)), output: output(&record) },
        None => Inspection::Pending { changes: vec![format!("start release `{}` anew", parameters.release)] },
    })
}

pub(super) async fn apply(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let parameters: RenewParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    if let Some(record) = own(&site, &parameters).await? {
        return Ok(Applied::changed(told(&record)).output(output(&record)));
    }
    let release = &parameters.release;
    let record = site.require_record(release).await?;
    if let Some(other) = overtaken(&site, release).await? {
        return Err(Failure::new(Kind::Conflict, format!("release `{release}` is not started again"))
            .because(format!("{other}: somebody has deployed since this was planned"))
            .state("what is live there was not touched")
            .next(format!("`pleach restart {} {}`", record.spec.environment, record.spec.service)));
    }
    require_startable(&site, &parameters, secrets).await?;
    let stopped = site.ensure_stopped(release, parameters.drain, record.spec.stop_grace).await?;
    let instance = site.ensure_started(&record, secrets).await?;
    let applied = Applied::changed(told(&instance)).output(output(&instance));
    Ok(match warning(release, stopped, parameters.drain, record.spec.stop_grace) {
        Some(why) => Applied { change: Change::Warned(why), ..applied },
        None => applied,
    })
}

/// What is live instead of a release. Whoever goes on with a run that was killed may come long after others.
async fn overtaken(site: &Site<'_>, release: &ReleaseId) -> Result<Option<String>, Failure> {
    Ok(match site.current().await? {
        Some(current) if current == *release => None,
        Some(current) => Some(format!("release `{current}` is live")),
        None => Some("no release is live".to_owned()),
    })
}

/// What runs is not ended where it is known that it could not be started: without its directory, or without its secrets.
async fn require_startable(
    site: &Site<'_>,
    parameters: &RenewParameters,
    secrets: &dyn Secrets,
) -> Result<(), Failure> {
    let release = &parameters.release;
    let record = site.require_record(release).await?;
    site.variables(&record.spec, release, secrets).await?;
    let path = site.layout().release(release);
    match site.files.stat(&path).await?.map(|stat| stat.kind) {
        Some(FileKind::Directory) => Ok(()),
        _ => Err(Failure::new(Kind::Conflict, format!("release `{release}` could not be started again"))
            .because(format!("`{}` is not there", path.display()))
            .state("its process was not ended")
            .next(format!(
                "deploy it anew: `pleach deploy {} --only {}`",
                record.spec.environment, record.spec.service
            ))),
    }
}

/// It runs, whoever started it. One that an interrupted attempt was about to end may say so only now, so it is ended and
/// started again before it is given up.
pub(super) async fn undo(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Evidence, Failure> {
    let parameters: RenewParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let release = &parameters.release;
    if let Some(other) = overtaken(&site, release).await? {
        return Ok(Evidence::seen(format!("nothing of release `{release}` was started: {other}")));
    }
    let record = site.require_record(release).await?;
    let runs = site.is_up(release).await?;
    let seen = if runs { site.require_healthy(release, &asked(&record.spec), None, secrets).await.ok() } else { None };
    let healthy = match seen {
        Some(healthy) => healthy,
        None => {
            require_startable(&site, &parameters, secrets).await?;
            site.ensure_stopped(release, parameters.drain, record.spec.stop_grace).await?;
            site.ensure_healthy(&record, secrets).await?
        }
    };
    Ok(Evidence::seen(format!("release `{release}` runs: {healthy}")))
}
