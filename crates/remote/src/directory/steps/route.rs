//! `route` and `close`: public ports.

use pleach_core::error::Failure;
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use serde_json::Value;

use crate::directory::parameter::RouteParameters;
use crate::directory::site::Site;
use crate::proxy::{LeadRequest, LeadTo, Led};

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
    let led = match &parameters.led {
        Some(led) => site.files.stat(&site.layout().led()).await?.is_some().then_some(led),
        None => None,
    };
    Ok(if led.is_none() && routed(&site, &parameters).await? == 0 {
        let evidence = Evidence::seen(closed(&parameters));
        Inspection::Settled { evidence, output: Value::Null }
    } else {
        let led = led.map(|led| format!("give up {}", led.bind));
        let routed = (!parameters.routers.is_empty()).then(|| format!("give up {}", ports(&parameters)));
        Inspection::Pending { changes: led.into_iter().chain(routed).collect() }
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
    if let Some(led) = &parameters.led {
        site.ensure_led(&asked(LeadTo::Nowhere, led, &parameters)).await?;
        changed = true;
    }
    let evidence = closed(&parameters);
    Ok(if changed { Applied::changed(evidence) } else { Applied::unchanged(evidence) })
}

fn asked(to: LeadTo, led: &Led, parameters: &RouteParameters) -> LeadRequest {
    LeadRequest { led: led.clone(), to, limit: parameters.drain, back: true }
}

fn closed(parameters: &RouteParameters) -> String {
    let led = parameters.led.as_ref().map(|led| format!("nothing leads from {}", led.bind));
    let routed = (!parameters.routers.is_empty()).then(|| format!("{} has no router", ports(parameters)));
    led.into_iter().chain(routed).collect::<Vec<_>>().join("; ")
}

pub(super) async fn undo_close(cx: &StepContext<'_>) -> Result<Evidence, Failure> {
    let parameters: RouteParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    for (host, port) in &parameters.routers {
        site.ensure_routed(host, *port).await?;
    }
    if let Some(led) = &parameters.led {
        return Ok(Evidence::seen(site.ensure_led(&asked(LeadTo::Current, led, &parameters)).await?));
    }
    Ok(Evidence::seen(format!("{} leads to `current`", ports(&parameters))))
}
