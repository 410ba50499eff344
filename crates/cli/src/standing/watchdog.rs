//! The watchdogs of hosts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pleach_core::error::{Failure, Kind};
use pleach_core::plan::PlannedTarget;
use pleach_core::port::{Holder, Lease, Shell};
use pleach_core::target::Target;
use pleach_core::word::{EnvironmentName, TargetName};
use pleach_remote::guard::{Guard, HolderLife, LeaseState, TargetLeases};
use pleach_remote::watchdog::{Watchdog, WatchdogPhase, WatchdogStatus};
use pleach_store::{Life, ProcessIdentity};
use serde_json::Value;
use tokio::time::timeout;

use super::WatchdogStanding;
use crate::project::Project;

/// The longest that one host may take to tell of its watchdogs.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// A host that takes itself back unless somebody confirms.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) environment: EnvironmentName,
    pub(crate) name: TargetName,
    target: Arc<dyn Target>,
    leases: TargetLeases,
    watchdog: Watchdog,
}

/// Those of an environment's targets that may have a watchdog. Nothing is reached.
pub(crate) fn watched_targets(
    project: &Project,
    environment: &EnvironmentName,
    planned: Vec<PlannedTarget>,
) -> Result<Vec<Watched>, Failure> {
    let mut watched = Vec::new();
    if project.require_environment(environment)?.watchdog(environment).is_none() {
        return Ok(watched);
    }
    let (targets, mut there) = project.workspace.open_with_leases(environment, &planned)?;
    for planned in planned {
        let key = (environment.clone(), planned.name.clone());
        let (Some(leases), Some(target)) = (there.remove(&key), targets.get(&planned.name)) else { continue };
        let Some(path) = planned.settings.get("path").and_then(Value::as_str) else { continue };
        let watchdog = Watchdog::new(Guard::below(Path::new(path)));
        watched.push(Watched { environment: key.0, name: key.1, target: target.clone(), leases, watchdog });
    }
    Ok(watched)
}

fn is_at_work(state: &LeaseState, lease: &Lease) -> bool {
    let lives = match state.life {
        HolderLife::Gone => false,
        HolderLife::Alive => true,
        HolderLife::Stopped | HolderLife::Unknown => !state.expired,
    };
    lives && ProcessIdentity::from(&lease.holder).life() != Life::Dead
}

impl Watched {
    fn require_shell(&self) -> Result<&dyn Shell, Failure> {
        self.target
            .shell()
            .ok_or_else(|| Failure::new(Kind::Unsupported, format!("target `{}` runs no commands", self.name)))
    }

    /// What its watchdogs say.
    pub(crate) async fn statuses(&self) -> Result<Vec<WatchdogStatus>, Failure> {
        self.watchdog.statuses(self.require_shell()?).await
    }

    /// Says that all is well, for the run that the watchdog was armed for. A run at work, wherever that is, confirms by
    /// itself once it has seen that all is well.
    pub(crate) async fn confirm(&self, status: &WatchdogStatus) -> Result<WatchdogStatus, Failure> {
        let state = self.leases.show(&self.environment, &self.name).await?;
        if let Some(lease) = state.lease.as_ref().filter(|lease| is_at_work(&state, lease)) {
            let Holder { user, host, .. } = &lease.holder;
            return Err(Failure::new(Kind::Conflict, format!("could not confirm on `{}`", self.name))
                .because(format!("run {} of {user} on {host} is at work there, and confirms by itself", lease.run))
                .state("nothing was touched")
                .next(format!("see who it is with `pleach lease show {} {}`", self.environment, self.name)));
        }
        self.watchdog.confirm(self.require_shell()?, &status.run).await
    }

    /// Those that somebody should know of. A host that does not answer is told by its services.
    pub(super) async fn stand(&self) -> Vec<WatchdogStanding> {
        let statuses = timeout(READ_LIMIT, self.statuses()).await;
        let known =
            |status: &WatchdogStatus| !matches!(status.phase, WatchdogPhase::Confirmed | WatchdogPhase::Disarmed);
        let told = |status: WatchdogStatus| WatchdogStanding {
            environment: self.environment.clone(),
            target: self.name.clone(),
            run: status.run,
            phase: status.phase,
            expires: status.expires,
            journal: status.journal,
        };
        statuses.ok().and_then(Result::ok).unwrap_or_default().into_iter().filter(known).map(told).collect()
    }
}
