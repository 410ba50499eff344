//! `canary`: a part of the requests goes to the new release, and all that ask for it. It is taken back as `lead` is.

use pleach_core::error::Failure;
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use serde_json::Value;

use super::lead;
use crate::directory::parameter::{CanaryParameters, LeadParameters};
use crate::directory::site::Site;
use crate::proxy::{LeadRequest, LeadTo, Leads, LedMatch, Part};

/// Whether exactly this part goes there, and all others where they went before.
pub(super) fn is_shared(leads: &Leads, part: &Part) -> bool {
    let wanted = [(&part.release, part.percent), (&part.beside, 100u8.saturating_sub(part.percent))];
    let matched = part.matching.clone().map(|matching| LedMatch { release: part.release.clone(), matching });
    leads.shares.len() == 2
        && leads.matched == matched
        && wanted.iter().all(|(release, percent)| leads.shares.get(*release) == Some(percent))
}

pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let CanaryParameters { lead: LeadParameters { place, led, .. }, part } = cx.require_parameters()?;
    let site = Site::of_step(cx, &place)?;
    let leads = site.leads(&led).await?;
    Ok(if is_shared(&leads, &part) {
        Inspection::Settled { evidence: Evidence::seen(leads.evidence), output: Value::Null }
    } else {
        Inspection::Pending { changes: vec![format!("lead {part} of {} to `{}`", led.bind, part.release)] }
    })
}

pub(super) async fn apply(cx: &StepContext<'_>) -> Result<Applied, Failure> {
    let CanaryParameters { lead: LeadParameters { place, led, limit, .. }, part } = cx.require_parameters()?;
    let site = Site::of_step(cx, &place)?;
    let evidence = site.ensure_led(&LeadRequest { led, to: LeadTo::Part(part), limit, back: false }).await?;
    Ok(Applied::changed(evidence))
}

/// All requests go to the release before again, and nobody is asked whether it goes on.
pub(super) async fn undo(cx: &StepContext<'_>) -> Result<Evidence, Failure> {
    let CanaryParameters { lead: LeadParameters { place, .. }, .. } = cx.require_parameters()?;
    let seen = lead::undo(cx).await?;
    Site::of_step(cx, &place)?.withdraw_question().await?;
    Ok(seen)
}
