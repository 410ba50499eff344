//! The watchdogs of hosts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pleach_core::error::{Failure, Kind};
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

/// The hosts of these environments that may have a watchdog. Nothing is reached.
pub(crate) fn watched_targets(
    project: &Project,
    environment: Option<&EnvironmentName>,
) -> Result<Vec<Watched>, Failure> {
    let mut watched = Vec::new();
    for (name, config) in &project.config.environments {
        if environment.is_some_and(|wanted| wanted != name) || config.watchdog(name).is_none() {
            continue;
        }
        for planned in project.planned_targets(name, &[])? {
            let Some(path) = planned.settings.get("path").and_then(Value::as_str) else { continue };
            if planned.kind == "ssh" {
                let target = project.workspace.open_target(name, &planned)?;
                let watchdog = Watchdog::new(Guard::new(Path::new(path).join(".pleach")));
                watched.push(Watched { environment: name.clone(), name: planned.name, target, watchdog });
            }
        }
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
