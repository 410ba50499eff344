//! Reading it all, target by target.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pleach_core::config::{ServiceConfig, TargetConfig};
use pleach_core::error::{Failure, Kind};
use pleach_core::journal::Outcome;
use pleach_core::port::{Leases as _, RunEntry};
use pleach_core::target::Target;
use pleach_core::word::{EnvironmentName, RunId, ServiceName, TargetName};
use pleach_remote::ssh::Destination;
use pleach_store::ProcessIdentity;
use serde_json::Value;
use tokio::task::JoinSet;

use super::read::{Statuses, read_statuses, read_target};
use super::{LeaseStanding, RunStanding, ServiceStanding, Standing, WatchdogStanding, watched_targets};
use crate::board::{Row, rows};
use crate::exit::Ended;
use crate::project::{Project, Workspace};

/// The longest that one target may take to tell how its services are.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// One target and the services that go there.
#[derive(Clone)]
pub(crate) struct TargetReader {
    pub(crate) environment: EnvironmentName,
    pub(crate) name: TargetName,
    target: Result<Arc<dyn Target>, Failure>,
    settings: Value,
    /// How one gets to a shell there, unless it is this machine.
    reach: Option<String>,
    services: Vec<(ServiceName, ServiceConfig)>,
    /// All that the config has, wherever they go.
    configured: BTreeSet<ServiceName>,
}

impl TargetReader {
    /// Reads it within the time limit. A target that does not answer gives rows that say so.
    pub(crate) async fn read(&self) -> Vec<ServiceStanding> {
        let read = async {
            let target = self.require_target()?;
            read_target(target.as_ref(), &self.settings, &self.environment, &self.services, &self.configured).await
        };
        within_limit(read).await.unwrap_or_else(|failure| self.unknown(&failure))
    }

    /// How its services are, as their own files tell, within the time limit.
    pub(crate) async fn statuses(&self) -> Result<Statuses, Failure> {
        within_limit(async { read_statuses(self.require_target()?.as_ref(), &self.settings).await }).await
    }

    /// The target, to read something else of it.
    pub(crate) fn require_target(&self) -> Result<Arc<dyn Target>, Failure> {
        self.target.clone()
    }

    /// Where its services lie, if it is a directory anywhere.
    pub(crate) fn root(&self) -> Option<&Path> {
        self.settings.get("path").and_then(Value::as_str).map(Path::new)
    }

    /// The executable there that keeps services running.
    pub(crate) fn program(&self) -> Option<&str> {
        self.settings.get("program").and_then(Value::as_str)
    }

    /// How one gets to a shell there from here, such as `ssh vm1`; nothing on this machine.
    pub(crate) fn reach(&self) -> Option<&str> {
        self.reach.as_deref()
    }

    /// The services that go there.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.services.iter().map(|(service, _)| service)
    }

    fn unknown(&self, failure: &Failure) -> Vec<ServiceStanding> {
        let why = failure.because.last().unwrap_or(&failure.what);
        let row = |(service, _): &(ServiceName, ServiceConfig)| {
            ServiceStanding::absent(&self.environment, service, &self.name).unknown(why.clone())
        };
        self.services.iter().map(row).collect()
    }
}

/// What is read of one target, unless it takes too long to answer.
pub(crate) async fn within_limit<T>(read: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    within(READ_LIMIT, read).await
}

/// The same with a limit of its own.
pub(crate) async fn within<T>(limit: Duration, read: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(limit, read).await.unwrap_or_else(|_| {
        Err(Failure::new(Kind::UnknownOutcome, format!("it gave no answer within {} s", limit.as_secs())))
    })
}

/// The targets of one environment, or of all.
pub(crate) fn readers(project: &Project, environment: Option<&EnvironmentName>) -> Result<Vec<TargetReader>, Failure> {
    if let Some(name) = environment {
        project.require_environment(name)?;
    }
    let mut readers = Vec::new();
    let wanted = project.config.environments.iter().filter(|(name, _)| environment.is_none_or(|one| one == *name));
    for (name, config) in wanted {
        let destinations = project.config.destinations(config);
        let descriptions = project.descriptions(config)?;
        for (target_name, description) in &descriptions {
            let target = project.workspace.open_target(name, &project.planned_target(target_name, description));
            let goes = destinations.iter().filter(|(_, targets)| targets.contains(&target_name));
            let services = goes.map(|(service, _)| ((*service).clone(), project.config.services[*service].clone()));
            let services: Vec<_> = services.collect();
            // Also one that nothing goes to any more: something may be left there.
            let (environment, name, settings) = (name.clone(), target_name.clone(), description.settings.clone());
            let configured = project.config.services.keys().cloned().collect();
            let reach = match config.targets.get(&name) {
                Some(TargetConfig::Ssh(ssh)) => Some(Destination::of(ssh).command_line()),
                _ => None,
            };
            readers.push(TargetReader { environment, name, target, settings, reach, services, configured });
        }
    }
    Ok(readers)
}

/// Everything in one environment, or in all.
pub(crate) async fn stand(project: &Project, environment: Option<&EnvironmentName>) -> Result<Standing, Ended> {
    let mut reading = JoinSet::new();
    for reader in readers(project, environment)? {
        reading.spawn(async move { reader.read().await });
    }
    let mut asking = JoinSet::new();
    for name in project.config.environments.keys().filter(|name| environment.is_none_or(|one| one == *name)) {
        for watched in watched_targets(project, name, project.planned_targets(name, &[])?)? {
            asking.spawn(async move { watched.stand().await });
        }
    }
    let mut services: Vec<ServiceStanding> = reading.join_all().await.into_iter().flatten().collect();
    services.sort_by(|a, b| (&a.environment, &a.service, &a.target).cmp(&(&b.environment, &b.service, &b.target)));
    let mut watchdogs: Vec<WatchdogStanding> = asking.join_all().await.into_iter().flatten().collect();
    watchdogs.sort_by(|a, b| (&a.environment, &a.target, &a.run).cmp(&(&b.environment, &b.target, &b.run)));
    let (unfinished, leases) = runs_and_leases(&project.workspace, environment).await?;
    Ok(Standing { services, unfinished, leases, watchdogs })
}

/// Runs that need somebody, the newest first, and the leases that are held.
pub(crate) async fn runs_and_leases(
    workspace: &Workspace,
    environment: Option<&EnvironmentName>,
) -> Result<(Vec<RunStanding>, Vec<LeaseStanding>), Failure> {
    let here = |name: &EnvironmentName| environment.is_none_or(|wanted| wanted == name);
    let leases: Vec<LeaseStanding> = workspace
        .leases
        .list()
        .await?
        .into_iter()
        .filter(|lease| here(&lease.environment))
        .map(|lease| LeaseStanding {
            alive: ProcessIdentity::from(&lease.holder).is_alive(),
            holder: format!("{} on {} (process {})", lease.holder.user, lease.holder.host, lease.holder.process),
            environment: lease.environment,
            target: lease.target,
            run: lease.run,
            reason: lease.reason,
            since: lease.started,
            expires: lease.expires,
        })
        .collect();
    let mut unfinished = Vec::new();
    for entry in open_runs(workspace, &workspace.entries()?)?.into_iter().filter(|entry| here(&entry.environment)) {
        let working = leases.iter().any(|lease| lease.alive && lease.run == entry.run);
        let (run, environment) = (entry.run, entry.environment);
        unfinished.push(RunStanding { run, environment, started: entry.started, outcome: entry.outcome, working });
    }
    Ok((unfinished, leases))
}

/// The runs that need somebody, of all from the newest on: one that stopped before its end, or that is held or stuck, and that is
/// not [superseded].
pub(crate) fn open_runs(workspace: &Workspace, entries: &[RunEntry]) -> Result<Vec<RunEntry>, Failure> {
    let mut open = Vec::new();
    for entry in entries {
        let needs = match entry.outcome {
            None | Some(Outcome::Held | Outcome::Stuck) => superseded(workspace, entries, entry)?.is_none(),
            Some(Outcome::Succeeded | Outcome::RolledBack) => false,
        };
        if needs {
            open.push(entry.clone());
        }
    }
    Ok(open)
}

/// The later run in the same environment after which nobody needs to finish this one, and nobody may: it would bring back
/// what the later one has replaced. A run that was taken back whole has left everything as it found it, and is none; nor is
/// a restart or backup, which replaces nothing but an earlier one.
pub(crate) fn superseded(
    workspace: &Workspace,
    entries: &[RunEntry],
    entry: &RunEntry,
) -> Result<Option<RunId>, Failure> {
    let leaves_it =
        |run: &RunId| workspace.state(run).is_ok_and(|state| !state.plan().operation.changes_what_is_live());
    let later = entries.iter().take_while(|later| later.run != entry.run);
    for later in later.filter(|later| later.environment == entry.environment) {
        let leaves = match later.outcome {
            _ if leaves_it(&later.run) && !leaves_it(&entry.run) => false,
            Some(Outcome::RolledBack) => rows(&workspace.state(&later.run)?).iter().any(Row::is_left),
            _ => true,
        };
        if leaves {
            return Ok(Some(later.run.clone()));
        }
    }
    Ok(None)
}
