//! The watchdogs of hosts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pleach_core::error::{Failure, Kind};
use pleach_core::plan::PlannedTarget;
use pleach_core::port::Shell;
use pleach_core::target::Target;
use pleach_core::word::{EnvironmentName, TargetName};
use pleach_remote::guard::Guard;
use pleach_remote::watchdog::{Watchdog, WatchdogPhase, WatchdogStatus};
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
    for planned in planned.into_iter().filter(|planned| planned.kind == "ssh") {
        let Some(path) = planned.settings.get("path").and_then(Value::as_str) else { continue };
        let target = project.workspace.open_target(environment, &planned)?;
        let watchdog = Watchdog::new(Guard::below(Path::new(path)));
        watched.push(Watched { environment: environment.clone(), name: planned.name, target, watchdog });
    }
    Ok(watched)
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

    /// Says that all is well, for the run that the watchdog was armed for.
    pub(crate) async fn confirm(&self, status: &WatchdogStatus) -> Result<WatchdogStatus, Failure> {
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
