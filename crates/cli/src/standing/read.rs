//! One target's services, as the target tells them.

use std::path::{Path, PathBuf};

use pleach_core::config::ServiceConfig;
use pleach_core::error::Failure;
use pleach_core::port::{Call, NoLines};
use pleach_core::target::Target;
use pleach_core::word::{EnvironmentName, ServiceName};
use pleach_remote::check::{Asker, CheckPlace};
use pleach_remote::directory::{ReleaseStatus, ServiceLayout, ServiceStatus};
use pleach_remote::service_statuses;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Health, Life, ServiceStanding};
use crate::deployment::block_on;
use crate::exit::Ended;
use crate::project::Project;

/// All services of a target. Only their own files are read, not the machine: looking must be quick.
pub(crate) async fn read_statuses(target: &dyn Target, settings: &Value) -> Result<Vec<ServiceStatus>, Failure> {
    match (target.files(), settings.get("path").and_then(Value::as_str)) {
        (Some(files), Some(path)) => service_statuses(files, Path::new(path)).await,
        _ => Ok(Vec::new()),
    }
}

/// The services that go to a target, each with one look at its health.
pub(super) async fn read_target(
    target: &dyn Target,
    settings: &Value,
    environment: &EnvironmentName,
    services: &[(ServiceName, ServiceConfig)],
) -> Result<Vec<ServiceStanding>, Failure> {
    let statuses = read_statuses(target, settings).await?;
    let one = |(service, config): &(ServiceName, ServiceConfig)| {
        let status = statuses.iter().find(|status| status.service == *service).cloned();
        let (service, config) = (service.clone(), config.clone());
        async move { read_service(target, environment, service, &config, status).await }
    };
    let mut standings = Vec::with_capacity(services.len());
    for service in services {
        standings.push(one(service).await);
    }
    Ok(standings)
}

async fn read_service(
    target: &dyn Target,
    environment: &EnvironmentName,
    service: ServiceName,
    config: &ServiceConfig,
    status: Option<ServiceStatus>,
) -> ServiceStanding {
    let mut standing = ServiceStanding {
        environment: environment.clone(),
        service,
        target: target.id().clone(),
        release: None,
        commit: None,
        state: Life::Absent,
        health: Health::Unchecked,
        address: None,
        since: None,
        note: None,
    };
    let Some(status) = status.filter(|status| status.release.is_some()) else { return standing };
    standing.release = status.release.clone();
    standing.commit = status.commit.clone();
    standing.since = status.since;
    standing.address = status.address.as_ref().map(|(host, port)| format!("{host}:{port}"));
    standing.state = life(&status);
    standing.note = note(&status);
    if matches!(standing.state, Life::Running | Life::Placed) {
        standing.health = look(target, config, &status).await;
    }
    standing
}

fn life(status: &ServiceStatus) -> Life {
    match status.status {
        Some(ReleaseStatus::Running | ReleaseStatus::Orphaned) => Life::Running,
        Some(ReleaseStatus::Placed) => Life::Placed,
        Some(ReleaseStatus::Restarting) => Life::Down,
        // With a public address it is expected to answer; without one it was stopped on purpose.
        Some(ReleaseStatus::Stopped) if status.address.is_some() => Life::Down,
        Some(ReleaseStatus::Stopped) => Life::Stopped,
        None => Life::Unknown,
    }
}

fn note(status: &ServiceStatus) -> Option<String> {
    let ended = |what: &str| format!("its process {}{what}", status.last_end.as_deref().unwrap_or("ended"));
    match status.status {
        Some(ReleaseStatus::Restarting) => Some(ended(&format!(", {} times", status.restarts))),
        Some(ReleaseStatus::Orphaned) => Some("nobody starts it again if it ends: deploy it again".to_owned()),
        Some(ReleaseStatus::Running) if status.restarts > 0 => {
            Some(format!("was started again {} times", status.restarts))
        }
        None => Some("its record cannot be found".to_owned()),
        _ => None,
    }
}

/// Asks once what the health check asks.
async fn look(target: &dyn Target, config: &ServiceConfig, status: &ServiceStatus) -> Health {
    let Some(check) = &config.health else { return Health::Unchecked };
    let place = check_place(status);
    let cancel = CancellationToken::new();
    let call = Call { token: None, lines: &NoLines, cancel: &cancel };
    let asker = Asker { place: &place, http: target.http(), shell: target.shell(), call };
    let limit = check.thresholds.timeout.0;
    match tokio::time::timeout(limit, asker.ask(&check.kind, limit)).await {
        Ok(answer) if answer.is_right => Health::Healthy,
        _ => Health::Unhealthy,
    }
}

/// Where the current release is asked: through its public address, else directly.
pub(crate) fn check_place(status: &ServiceStatus) -> CheckPlace {
    let directory = match &status.release {
        Some(release) => ServiceLayout::new(&status.directory).release(release),
        None => status.directory.clone(),
    };
    CheckPlace { address: status.address.clone().or_else(|| status.private.clone()), directory }
}

/// The files that a service's own processes print into: where, and which.
pub(crate) fn output_files(
    project: &Project,
    service: &ServiceName,
    environment: Option<&EnvironmentName>,
) -> Result<Vec<(String, PathBuf)>, Ended> {
    let mut files = Vec::new();
    let wanted = project.config.environments.iter().filter(|(name, _)| environment.is_none_or(|one| one == *name));
    for (name, config) in wanted {
        for (target_name, description) in project.descriptions(config)? {
            let target = project.workspace.open_target(name, &project.planned_target(&target_name, &description))?;
            let statuses = block_on(async { Ok(read_statuses(target.as_ref(), &description.settings).await?) })?;
            let logs = statuses.into_iter().filter(|status| status.service == *service).filter_map(|status| status.log);
            files.extend(logs.map(|log| (format!("{name}/{target_name}"), log)));
        }
    }
    Ok(files)
}
