//! `route` and `close`: public ports.

use pleach_core::error::Failure;
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use serde_json::Value;

use crate::directory::parameter::RouteParameters;
use crate::directory::site::Site;

fn ports(parameters: &RouteParameters) -> String {
    let ports: Vec<String> = parameters.routers.iter().map(|(host, port)| format!("{host}:{port}")).collect();
    ports.join(", ")
}

/// The ports of the list that have a router.
async fn routed(site: &Site<'_>, parameters: &RouteParameters) -> Result<usize, Failure> {
    let mut count = 0;
    for (_, port) in &parameters.routers {
        count += usize::from(site.router(*port).await?.is_some());
    }
    Ok(count)
}

pub(super) async fn inspect_routed(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: RouteParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    Ok(if routed(&site, &parameters).await? == parameters.routers.len() {
        let evidence = Evidence::seen(format!("{} leads to `current`", ports(&parameters)));
        Inspection::Settled { evidence, output: Value::Null }
    } else {
        Inspection::Pending { changes: vec![format!("make {} lead to `current`", ports(&parameters))] }
    })
}

pub(super) async fn inspect_closed(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: RouteParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    Ok(if routed(&site, &parameters).await? == 0 {
        let evidence = Evidence::seen(format!("{} has no router", ports(&parameters)));
        Inspection::Settled { evidence, output: Value::Null }
    } else {
        Inspection::Pending { changes: vec![format!("give up {}", ports(&parameters))] }
    })
}

pub(super) async fn open(cx: &StepContext<'_>) -> Result<Applied, Failure> {
    let parameters: RouteParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let mut own = false;
    for (host, port) in &parameters.routers {
        own |= site.ensure_routed(host, *port).await?.run == *cx.run;
    }
    let evidence = format!("{} leads to `current`", ports(&parameters));
    Ok(if own { Applied::changed(evidence) } else { Applied::unchanged(evidence) })
}

/// Ends the routers that the plan did not see, whoever started them last: see
/// [`undo_start`](super::process::undo_start).
pub(super) async fn undo_open(cx: &StepContext<'_>) -> Result<Evidence, Failure> {
    let parameters: RouteParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let mut seen = Vec::new();
    for (host, port) in &parameters.routers {
        if parameters.seen.contains(&(host.clone(), *port)) {
            seen.push(format!("the router of {host}:{port} was there before and stays"));
        } else {
            // Also where no record tells of one: it may have been about to start.
            site.ensure_unrouted(*port, parameters.drain).await?;
            seen.push(format!("{host}:{port} has no router"));
        }
    }
    Ok(Evidence::seen(seen.join("; ")))
}

pub(super) async fn close(cx: &StepContext<'_>) -> Result<Applied, Failure> {
    let parameters: RouteParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let mut changed = false;
    for (_, port) in &parameters.routers {
        changed |= site.ensure_unrouted(*port, parameters.drain).await?;
    }
    let evidence = format!("{} has no router", ports(&parameters));
    Ok(if changed { Applied::changed(evidence) } else { Applied::unchanged(evidence) })
}

pub(super) async fn undo_close(cx: &StepContext<'_>) -> Result<Evidence, Failure> {
    let parameters: RouteParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    for (host, port) in &parameters.routers {
        site.ensure_routed(host, *port).await?;
    }
    Ok(Evidence::seen(format!("{} leads to `current`", ports(&parameters))))
}
