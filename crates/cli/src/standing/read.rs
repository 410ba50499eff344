//! One target's services, as the target tells them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use pleach_core::config::ServiceConfig;
use pleach_core::error::Failure;
use pleach_core::port::{Call, NoLines};
use pleach_core::target::Target;
use pleach_core::word::{EnvironmentName, ReleaseId, ServiceName};
use pleach_remote::check::{Asker, CheckPlace};
use pleach_remote::directory::{ReleaseSpec, ReleaseStatus, ServiceLayout, ServiceStatus};
use pleach_remote::docker::HealthState;
use pleach_remote::service_statuses;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Health, Life, ServiceStanding};
use crate::exit::Ended;
use crate::project::Project;

/// How a target's services are, or why that of one of them cannot be told.
pub(crate) type Statuses = Vec<(ServiceName, Result<ServiceStatus, Failure>)>;

/// All services of a target. Only their own files are read, not the machine: looking must be quick.
pub(crate) async fn read_statuses(target: &dyn Target, settings: &Value) -> Result<Statuses, Failure> {
    match (target.files(), settings.get("path").and_then(Value::as_str)) {
        (Some(files), Some(path)) => service_statuses(files, target.shell(), Path::new(path)).await,
        _ => Ok(Vec::new()),
    }
}

/// The services that go to a target, each with one look at its health.
pub(super) async fn read_target(
    target: &dyn Target,
    settings: &Value,
    environment: &EnvironmentName,
    services: &[(ServiceName, ServiceConfig)],
    configured: &BTreeSet<ServiceName>,
) -> Result<Vec<ServiceStanding>, Failure> {
    let statuses = read_statuses(target, settings).await?;
    let mut standings = Vec::with_capacity(services.len());
    for (service, config) in services {
        let status = statuses.iter().find(|(name, _)| name == service).map(|(_, status)| status.as_ref());
        let unread = ServiceStanding::absent(environment, service, target.id());
        standings.push(match status {
            None => unread,
            Some(Err(failure)) => unread.unknown(told(failure)),
            Some(Ok(status)) => read_service(target, unread, config, status).await,
        });
    }
    let forgotten = statuses.iter().filter(|(name, _)| !configured.contains(name)).filter_map(|(_, status)| {
        let absent = |status: &ServiceStatus| ServiceStanding::absent(environment, &status.service, target.id());
        status.as_ref().ok().and_then(|status| read_forgotten(absent(status), status))
    });
    standings.extend(forgotten);
    Ok(standings)
}

/// A service that is at work where the config knows nothing of it. One that was stopped is no longer anybody's business, and
/// one of another environment at the same place has a row there.
fn read_forgotten(absent: ServiceStanding, status: &ServiceStatus) -> Option<ServiceStanding> {
    let environment = status.spec.as_ref().map(|spec| &spec.environment);
    if environment != Some(&absent.environment) || status.status == Some(ReleaseStatus::Stopped) {
        return None;
    }
    Some(ServiceStanding { note: Some(FORGOTTEN.to_owned()), ..stand(absent, status) })
}

const FORGOTTEN: &str = "no longer in pleach.toml: put it back there and `pleach stop` it";

/// What its own files say of it.
fn stand(absent: ServiceStanding, status: &ServiceStatus) -> ServiceStanding {
    ServiceStanding {
        release: status.release.clone(),
        commit: status.commit.clone(),
        since: status.since,
        address: status.address.as_ref().map(|(host, port)| format!("{host}:{port}")),
        state: life(status),
        note: note(status),
        ..absent
    }
}

/// What a service's own files are wrong with: which, and how.
fn told(failure: &Failure) -> String {
    let because = failure.because.last().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{}{because}", failure.what)
}

async fn read_service(
    target: &dyn Target,
    absent: ServiceStanding,
    config: &ServiceConfig,
    status: &ServiceStatus,
) -> ServiceStanding {
    if status.release.is_none() {
        return absent;
    }
    let mut standing = stand(absent, status);
    if matches!(standing.state, Life::Running | Life::Placed) {
        standing.health = look(target, config, status).await;
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
    let is_project = status.spec.as_ref().is_some_and(|spec| spec.compose.is_some());
    match status.status {
        Some(ReleaseStatus::Restarting | ReleaseStatus::Stopped) if is_project => status.last_end.clone(),
        Some(ReleaseStatus::Restarting) => Some(ended(&format!(", {} times", status.restarts))),
        Some(ReleaseStatus::Running | ReleaseStatus::Orphaned) if is_cut_off(status) => Some(CUT_OFF.to_owned()),
        Some(ReleaseStatus::Running) if status.unwell.is_some() => status.unwell.clone(),
        Some(ReleaseStatus::Running) if !status.shares.is_empty() => Some(shared(status)),
        Some(ReleaseStatus::Orphaned) => Some("nobody starts it again if it ends: deploy it again".to_owned()),
        Some(ReleaseStatus::Running) if status.restarts > 0 => {
            Some(format!("was started again {} times", status.restarts))
        }
        None => Some("its record cannot be found".to_owned()),
        _ => None,
    }
}

/// Which part of its requests another release has.
fn shared(status: &ServiceStatus) -> String {
    let others = status.shares.iter().filter(|(release, _)| Some(*release) != status.release.as_ref());
    let asked = |release: &ReleaseId| {
        let matched = status.matched.as_ref().filter(|matched| matched.release == *release);
        matched.map(|matched| format!(", and all with {}", matched.matching)).unwrap_or_default()
    };
    let told = others.map(|(release, share)| format!("{share}% of its requests go to `{release}`{}", asked(release)));
    let told: Vec<String> = told.collect();
    let awaited = status.awaited.as_ref().map_or("", |_| ", which waits for `pleach confirm`");
    format!("{}{awaited}", told.join(", "))
}

/// What is said of a service that [`is_cut_off`].
pub(crate) const CUT_OFF: &str = "nobody leads to its port: deploy it again";

/// Whether its process may be well, and no client gets there: its release has a public address, and no router.
pub(crate) fn is_cut_off(status: &ServiceStatus) -> bool {
    let has_address = |spec: &ReleaseSpec| spec.is_kept_running() && spec.port.is_some();
    status.address.is_none() && status.spec.as_ref().is_some_and(has_address)
}

/// Asks once what the health check asks.
async fn look(target: &dyn Target, config: &ServiceConfig, status: &ServiceStatus) -> Health {
    if is_cut_off(status) || status.health == Some(HealthState::Unhealthy) {
        return Health::Unhealthy;
    }
    let Some(check) = &config.health else {
        return if status.health == Some(HealthState::Healthy) { Health::Healthy } else { Health::Unchecked };
    };
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

/// Where the current release is asked: as a client would, through its public address; directly where it has none.
pub(crate) fn check_place(status: &ServiceStatus) -> CheckPlace {
    let directory = match &status.release {
        Some(release) => ServiceLayout::new(&status.directory).release(release),
        None => status.directory.clone(),
    };
    CheckPlace { address: status.address.clone().or_else(|| status.private.clone()), directory }
}

/// One target of a service whose output is kept.
pub(crate) struct ServiceOutput {
    /// `ENVIRONMENT/TARGET`.
    pub(crate) name: String,
    pub(crate) target: Arc<dyn Target>,
    pub(crate) status: ServiceStatus,
}

/// Where the own processes of these services print; of several, the service stands in the name.
pub(crate) async fn outputs(
    project: &Project,
    is_wanted: impl Fn(&ServiceName) -> bool,
    environment: Option<&EnvironmentName>,
) -> Result<Vec<ServiceOutput>, Ended> {
    let several = project.config.services.keys().filter(|service| is_wanted(service)).count() > 1;
    let mut outputs = Vec::new();
    let wanted = project.config.environments.iter().filter(|(name, _)| environment.is_none_or(|one| one == *name));
    for (name, config) in wanted {
        for (target_name, description) in project.descriptions(config)? {
            let target = project.workspace.open_target(name, &project.planned_target(&target_name, &description))?;
            for (service, status) in read_statuses(target.as_ref(), &description.settings).await? {
                if is_wanted(&service) {
                    let place = format!("{name}/{target_name}");
                    let name = if several { format!("{service}@{place}") } else { place };
                    outputs.push(ServiceOutput { name, target: target.clone(), status: status? });
                }
            }
        }
    }
    Ok(outputs)
}
