//! `start`, `retire` and `stop`: the processes of releases.

use pleach_core::error::Failure;
use pleach_core::period::Period;
use pleach_core::phase::{Applied, Change, Evidence, Inspection, StepContext};
use pleach_core::port::Secrets;
use pleach_core::word::ReleaseId;
use serde_json::{Value, json};

use crate::directory::instance::InstanceState;
use crate::directory::parameter::{RetireParameters, StartParameters};
use crate::directory::routing::leader;
use crate::directory::site::Site;
use crate::proxy::SettleRequest;
use crate::supervise::{InstanceRecord, Stopped};

/// Of what was never led to, few connections are open.
const BRIEFLY: Period = Period::seconds(2);

/// Where a process listens it was told; a container's port is led to.
fn told_running(record: &InstanceRecord) -> String {
    let told = if record.container.is_some() { "reached at" } else { "told to listen on" };
    format!("{} runs, {told} port {}", leader(record), record.port)
}

pub(super) async fn inspect_started(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: StartParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    Ok(match site.instance(&parameters.release).await? {
        Some((record, InstanceState::Running | InstanceState::Restarting)) => Inspection::Settled {
            evidence: Evidence::seen(told_running(&record)),
            output: json!({ "host": record.host, "port": record.port }),
        },
        _ => Inspection::Pending { changes: vec![format!("start the process of release `{}`", parameters.release)] },
    })
}

pub(super) async fn start(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let parameters: StartParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let record = site.require_record(&parameters.release).await?;
    let ran = site.instance(&parameters.release).await?;
    let instance = site.ensure_started(&record, secrets).await?;
    let evidence = told_running(&instance);
    let same = ran.is_some_and(|(before, state)| {
        matches!(state, InstanceState::Running | InstanceState::Restarting) && before.run != *cx.run
    });
    let applied = if same { Applied::unchanged(evidence) } else { Applied::changed(evidence) };
    Ok(applied.output(json!({ "host": instance.host, "port": instance.port })))
}

/// Ends the process, unless the plan saw it running. Who started it last does not matter: a later run may have stopped it
/// and, when it was taken back itself, started it again.
pub(super) async fn undo_start(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Evidence, Failure> {
    let parameters: StartParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let mut seen = end_new(&site, &parameters).await?;
    seen.extend(site.ensure_as_before(&parameters.previous, secrets).await?);
    Ok(Evidence::seen(seen.join("; ")))
}

async fn end_new(site: &Site<'_>, parameters: &StartParameters) -> Result<Vec<String>, Failure> {
    let release = &parameters.release;
    let Some(record) = site.record(release).await? else {
        return Ok(vec![format!("release `{release}` is not there, so nothing of it runs")]);
    };
    if parameters.previous.running.contains(release) {
        let up = site.instance(release).await?.filter(|(_, state)| state.stays());
        return Ok(vec![match up {
            Some((instance, _)) => format!("{} ran before and stays", leader(&instance)),
            None => format!("release `{release}` ran before and has been ended since"),
        }]);
    }
    // Also where no record tells of a process: one may have been about to start.
    let grace = record.spec.stop_grace;
    let stopped = site.ensure_stopped(release, BRIEFLY, grace).await?;
    let told = std::iter::once(format!("nothing of release `{release}` runs"));
    Ok(told.chain(warning(release, stopped, BRIEFLY, grace)).collect())
}

pub(super) async fn inspect_stopped(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: RetireParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let mut changes = Vec::new();
    for release in &parameters.releases {
        if site.is_up(release).await? {
            changes.push(format!("end the process of release `{release}`"));
        }
    }
    for (_, port) in &parameters.routers {
        if site.router(*port).await?.is_some() {
            changes.push(format!("give up port {port}"));
        }
    }
    // What the proxy still has of it is only seen by waiting for it.
    if let Some(standby) = parameters.standby.as_ref().filter(|_| parameters.led.is_some()) {
        changes.push(format!("wait until requests to release `{standby}` have ended"));
    }
    Ok(if changes.is_empty() {
        Inspection::Settled { evidence: Evidence::seen(told(&parameters)), output: Value::Null }
    } else {
        Inspection::Pending { changes }
    })
}

/// What a person should know of how a release was ended.
pub(super) fn warning(release: &ReleaseId, stopped: Stopped, drain: Period, grace: Period) -> Option<String> {
    match (stopped.killed, stopped.drained) {
        (true, _) => Some(format!("release `{release}` did not end within {grace} of SIGTERM and was killed")),
        (false, false) => {
            Some(format!("release `{release}` was ended after {drain}, while connections to it were still open"))
        }
        (false, true) => None,
    }
}

fn told(parameters: &RetireParameters) -> String {
    let names: Vec<String> = parameters.releases.iter().map(|release| format!("`{release}`")).collect();
    let ended = match names.as_slice() {
        [] => "nothing had to end".to_owned(),
        names => format!("nothing of release {} runs", names.join(", ")),
    };
    match &parameters.standby {
        Some(standby) => format!("release `{standby}` stands by; {ended}"),
        None => ended,
    }
}

pub(super) async fn stop(cx: &StepContext<'_>) -> Result<Applied, Failure> {
    let parameters: RetireParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    // Taken back first of all: who leads back to what stands by has seen that it runs.
    let (mut changed, mut warnings) = (parameters.standby.is_some(), Vec::new());
    for (_, port) in &parameters.routers {
        changed |= site.ensure_unrouted(*port, parameters.drain).await?;
    }
    if let Some(led) = &parameters.led {
        let settled =
            site.settle_led(&SettleRequest { led: led.clone(), limit: parameters.drain, back: false }).await?;
        let drain = parameters.drain;
        let late = || format!("requests had not ended after {drain}, so they were cut: {}", settled.evidence);
        warnings.extend((!settled.drained).then(late));
    }
    for release in &parameters.releases {
        let stopped = site.ensure_stopped(release, parameters.drain, parameters.stop_grace).await?;
        changed |= stopped.was_running;
        warnings.extend(warning(release, stopped, parameters.drain, parameters.stop_grace));
    }
    if let Some(standby) = &parameters.standby
        && !site.is_up(standby).await?
    {
        warnings.push(format!("nothing of release `{standby}` runs any more, so `pleach rollback` would start it"));
    }
    let told = told(&parameters);
    if warnings.is_empty() {
        return Ok(if changed { Applied::changed(told) } else { Applied::unchanged(told) });
    }
    let warning = warnings.join("; ");
    let evidence = format!("{told}; {warning}");
    Ok(Applied { change: Change::Warned(warning), ..Applied::changed(evidence) })
}

/// Starts again what the plan saw running, and waits until it is healthy.
pub(super) async fn undo_stop(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Evidence, Failure> {
    let parameters: RetireParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let mut seen = Vec::new();
    for release in parameters.releases.iter().chain(&parameters.standby) {
        let record = site.require_record(release).await?;
        if record.spec.is_kept_running() {
            let healthy = site.ensure_healthy(&record, secrets).await?;
            seen.push(format!("release `{release}` runs: {healthy}"));
        }
    }
    for (host, port) in &parameters.routers {
        site.ensure_routed(host, *port).await?;
        seen.push(format!("port {port} leads to `current`"));
    }
    if seen.is_empty() {
        seen.push("nothing had been ended".to_owned());
    }
    Ok(Evidence::seen(seen.join("; ")))
}
