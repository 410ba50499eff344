//! `lead`: the requests to a service's public address go to a release, through the target's proxy.

use pleach_core::error::Failure;
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use serde_json::Value;

use crate::directory::led::look;
use crate::directory::parameter::LeadParameters;
use crate::directory::site::Site;
use crate::proxy::{Drained, LeadRequest, LeadTo, Leads, Led, SettleRequest};

impl Site<'_> {
    /// Has requests go there; tells what was read back.
    pub(super) async fn ensure_led(&self, request: &LeadRequest) -> Result<String, Failure> {
        let leads: Leads = self.ask(["proxy", "lead"], request).await?;
        Ok(leads.evidence)
    }

    /// Waits until what requests went to before has ended those that it had.
    pub(super) async fn settle_led(&self, request: &SettleRequest) -> Result<Drained, Failure> {
        self.ask(["proxy", "settle"], request).await
    }

    /// Where requests go now.
    pub(super) async fn leads(&self, led: &Led) -> Result<Leads, Failure> {
        look(self.require_shell()?, &self.place.program, led).await
    }
}

pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let LeadParameters { place, release, led, .. } = cx.require_parameters()?;
    let site = Site::of_step(cx, &place)?;
    let leads = site.leads(&led).await?;
    Ok(if leads.release.as_ref() == Some(&release) {
        Inspection::Settled { evidence: Evidence::seen(leads.evidence), output: Value::Null }
    } else {
        Inspection::Pending { changes: vec![format!("lead {} to `{release}`", led.bind)] }
    })
}

pub(super) async fn apply(cx: &StepContext<'_>) -> Result<Applied, Failure> {
    let LeadParameters { place, release, led, limit, .. } = cx.require_parameters()?;
    let site = Site::of_step(cx, &place)?;
    let before = site.leads(&led).await?;
    let evidence =
        site.ensure_led(&LeadRequest { led, to: LeadTo::Release(release.clone()), limit, back: false }).await?;
    let same = before.release.as_ref() == Some(&release);
    Ok(if same { Applied::unchanged(evidence) } else { Applied::changed(evidence) })
}

/// Back to the release that the plan saw; nowhere where the proxy did not have the address then.
pub(super) async fn undo(cx: &StepContext<'_>) -> Result<Evidence, Failure> {
    let LeadParameters { place, led, limit, previous, seen, .. } = cx.require_parameters()?;
    let site = Site::of_step(cx, &place)?;
    let to = previous.filter(|_| seen).map_or(LeadTo::Nowhere, LeadTo::Release);
    let evidence = site.ensure_led(&LeadRequest { led: led.clone(), to, limit, back: true }).await?;
    let settled = site.settle_led(&SettleRequest { led, limit, back: true }).await?;
    Ok(Evidence::seen(if settled.drained { evidence } else { format!("{evidence}; {}", settled.evidence) }))
}
