//! The snapshot `watchdog`: the target itself keeps what has to be put back, and does it when nobody is left to.

use async_trait::async_trait;
use pleach_core::error::{Failure, Kind};
use pleach_core::phase::Evidence;
use pleach_core::port::Shell;
use pleach_core::snapshot::{Snapshot, SnapshotContext, SnapshotRecord};
use pleach_core::target::Facet;
use pleach_core::word::SnapshotKind;
use serde_json::json;

use super::error::WatchdogError;
use super::instruction::Instruction;
use super::parameters::{KIND, WatchdogParameters};
use super::status::{BootEntry, WatchdogPhase, WatchdogStatus};
use super::watch::Claim;

/// See the module.
pub struct WatchdogSnapshot {
    kind: SnapshotKind,
}

impl WatchdogSnapshot {
    /// The snapshot; `None` if its name were none.
    pub fn new() -> Option<Self> {
        Some(Self { kind: SnapshotKind::new(KIND).ok()? })
    }
}

fn require_shell<'a>(cx: &SnapshotContext<'a>) -> Result<&'a dyn Shell, Failure> {
    let missing = || Failure::new(Kind::Unsupported, format!("target `{}` runs no commands", cx.target.id()));
    cx.target.shell().ok_or_else(missing)
}

/// The instructions for one run.
fn for_run(instructions: &[Instruction], run: &str) -> Vec<Instruction> {
    let named = |word: &String| if word == "{run}" { run.to_owned() } else { word.clone() };
    let of = |instruction: &Instruction| match instruction {
        Instruction::Command { directory, limit, argv } => {
            Instruction::Command { directory: directory.clone(), limit: *limit, argv: argv.iter().map(named).collect() }
        }
        other => other.clone(),
    };
    instructions.iter().map(of).collect()
}

fn told(status: &WatchdogStatus) -> String {
    let boot = match status.boot_entry {
        BootEntry::Systemd => "a timer of systemd goes on with it after a reboot",
        BootEntry::Cron | BootEntry::Crontab => "cron goes on with it after a reboot",
        BootEntry::Local => "`/etc/local.d` goes on with it after a reboot",
        BootEntry::None => "nothing goes on with it after a reboot",
    };
    format!("a watchdog is armed: without a sign of life it takes the target back at {}; {boot}", status.expires)
}

#[async_trait]
impl Snapshot for WatchdogSnapshot {
    fn kind(&self) -> &SnapshotKind {
        &self.kind
    }

    fn needs(&self) -> &[Facet] {
        &[Facet::Shell]
    }

    async fn capture(&self, cx: &SnapshotContext<'_>) -> Result<SnapshotRecord, Failure> {
        let parameters: WatchdogParameters = cx.require_parameters()?;
        let claim =
            Claim { environment: cx.target.environment(), target: cx.target.id(), run: cx.run, token: cx.token };
        let instructions = for_run(&parameters.instructions, cx.run.as_str());
        let shell = require_shell(cx)?;
        let status = parameters.watchdog().arm(shell, claim, parameters.deadline.0, &instructions).await?;
        Ok(json!({ "boot-entry": status.boot_entry }))
    }

    /// Armed, and in the name of the lease that counts now: an earlier process may have armed it.
    async fn prove(&self, cx: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        let parameters: WatchdogParameters = cx.require_parameters()?;
        match parameters.watchdog().try_renew(require_shell(cx)?, cx.run, cx.token).await {
            Ok(status) => Ok(Evidence::seen(told(&status))),
            // By the run itself, shortly before it was cut off, or by a person while it was held.
            Err(WatchdogError::TooLate(status)) if status.phase == WatchdogPhase::Confirmed => {
                Ok(Evidence::seen("the watchdog was confirmed: the target no longer takes itself back"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Nothing is restored by hand from what the watchdog keeps.
    async fn restore(&self, cx: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        Err(Failure::new(Kind::Unsupported, format!("could not restore snapshot `{}`", cx.id))
            .because("the target restores it by itself when nobody confirms"))
    }

    /// It has done its part with the run.
    async fn require_restorable(&self, _: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<(), Failure> {
        Ok(())
    }

    async fn discard(&self, cx: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        let parameters: WatchdogParameters = cx.require_parameters()?;
        let (watchdog, shell) = (parameters.watchdog(), require_shell(cx)?);
        let Some(status) = watchdog.statuses(shell).await?.into_iter().find(|status| status.run == *cx.run) else {
            return Ok(Evidence::seen("there is no watchdog"));
        };
        if !status.phase.is_over() {
            match watchdog.disarm(shell, cx.run).await {
                // It was quicker, and has nothing left to do.
                Err(failure) if failure.kind == Kind::Conflict => {}
                disarmed => drop(disarmed?),
            }
        }
        watchdog.discard(shell, cx.run).await?;
        Ok(Evidence::seen("the watchdog is gone"))
    }
}
