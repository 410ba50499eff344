//! The phase `watchdog-confirm`: all services are healthy, so the target is not to take itself back.

use async_trait::async_trait;
use pleach_core::error::Failure;
use pleach_core::phase::{Applied, Evidence, Inspection, Leftover, Phase, StepContext};
use pleach_core::target::Facet;
use pleach_core::word::PhaseName;
use serde_json::Value;

use super::parameters::{CONFIRM, WatchdogParameters};
use super::status::{WatchdogPhase, WatchdogStatus};

/// See the module. Each service's lane on a target has it as a step of its last stage; the first confirms for all.
pub struct ConfirmPhase {
    name: PhaseName,
}

impl ConfirmPhase {
    /// The phase; `None` if its name were none.
    pub fn new() -> Option<Self> {
        Some(Self { name: PhaseName::new(CONFIRM).ok()? })
    }
}

const CONFIRMED: &str = "the watchdog is confirmed: the target stays as it is";

async fn statuses(cx: &StepContext<'_>) -> Result<Vec<WatchdogStatus>, Failure> {
    let parameters: WatchdogParameters = cx.require_parameters()?;
    parameters.watchdog().statuses(cx.require_shell()?).await
}

fn is_confirmed(statuses: &[WatchdogStatus], cx: &StepContext<'_>) -> bool {
    statuses.iter().any(|status| status.run == *cx.run && status.phase == WatchdogPhase::Confirmed)
}

#[async_trait]
impl Phase for ConfirmPhase {
    fn name(&self) -> &PhaseName {
        &self.name
    }

    fn needs(&self) -> &[Facet] {
        &[Facet::Shell]
    }

    async fn inspect(&self, cx: &StepContext<'_>) -> Result<Inspection, Failure> {
        if is_confirmed(&statuses(cx).await?, cx) {
            return Ok(Inspection::Settled { evidence: Evidence::seen(CONFIRMED), output: Value::Null });
        }
        Ok(Inspection::Pending { changes: vec!["confirm the watchdog".to_owned()] })
    }

    async fn apply(&self, cx: &StepContext<'_>) -> Result<Applied, Failure> {
        let statuses = statuses(cx).await?;
        if is_confirmed(&statuses, cx) {
            return Ok(Applied::unchanged(CONFIRMED));
        }
        let parameters: WatchdogParameters = cx.require_parameters()?;
        let (watchdog, shell) = (parameters.watchdog(), cx.require_shell()?);
        watchdog.confirm(shell, cx.run).await?;
        // What earlier runs left has been seen by whoever planned this one.
        for over in statuses.iter().filter(|status| status.run != *cx.run && status.phase.is_over()) {
            watchdog.discard(shell, &over.run).await?;
        }
        Ok(Applied::changed(CONFIRMED))
    }

    /// From here on the deployer itself takes back.
    async fn undo(&self, _: &StepContext<'_>, _: &Leftover) -> Result<Evidence, Failure> {
        Ok(Evidence::seen("a confirmed watchdog restores nothing"))
    }
}
