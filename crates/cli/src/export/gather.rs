//! What targets tell.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pleach_core::error::{Failure, Kind};
use pleach_core::plan::Plan;
use pleach_core::port::SecretName;
use pleach_core::target::Target;
use pleach_core::word::{EnvironmentName, ServiceName, TargetName};
use pleach_remote::directory::{ServiceStatus, read_output_end};
use tokio::task::JoinSet;

use super::LOG_LIMIT;
use super::journal::Piece;
use super::secret::secret_names;
use crate::command::version::versions;
use crate::project::Project;
use crate::standing::{TargetReader, readers, within};

/// The longest that one log may take to be read.
const READ_LIMIT: Duration = Duration::from_secs(60);

/// All that is read before the logs, and what could not be.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) pieces: Vec<Piece>,
    pub(super) services: Vec<Service>,
    /// Of the services that go there, as the config has them now, and as they were deployed.
    pub(super) secrets: BTreeSet<SecretName>,
    pub(super) missing: Vec<Failure>,
}

/// A service that prints somewhere.
pub(super) struct Service {
    name: ServiceName,
    target_name: TargetName,
    target: Arc<dyn Target>,
    status: ServiceStatus,
}

/// Asks all targets of an environment side by side; with a plan, for the logs of what it has changed alone.
pub(super) async fn gather(project: &Project, environment: &EnvironmentName, plan: Option<&Plan>) -> Gathered {
    let mut gathered = Gathered::default();
    let (versions, found) = tokio::join!(versions(project, environment), statuses(project, environment, plan));
    match versions {
        Ok((standing, versions)) => {
            let text = |json| json + "\n";
            let status = serde_json::to_string_pretty(&standing).map(text).unwrap_or_default();
            let version = serde_json::to_string_pretty(&versions).map(text).unwrap_or_default();
            gathered.pieces = vec![Piece::whole("status.json", status), Piece::whole("version.json", version)];
        }
        Err(ended) => gathered.missing.extend(ended.failures),
    }
    for found in found {
        match found {
            Ok(service) => gathered.services.push(service),
            Err(failure) => gathered.missing.push(failure),
        }
    }
    gathered.secrets.extend(gathered.services.iter().flat_map(Service::secrets));
    if let Some(config) = project.config.environments.get(environment) {
        let goes = project.config.destinations(config);
        let services = goes.keys().filter_map(|service| project.config.services.get(*service));
        services.for_each(|service| gathered.secrets.extend(secret_names(&service.environment, &service.scripts)));
    }
    gathered
}

async fn statuses(
    project: &Project,
    environment: &EnvironmentName,
    plan: Option<&Plan>,
) -> Vec<Result<Service, Failure>> {
    let readers = match readers(project, Some(environment)) {
        Ok(readers) => readers,
        Err(failure) => return vec![Err(failure)],
    };
    let mut asking = JoinSet::new();
    let wanted = |reader: &TargetReader| plan.is_none_or(|plan| plan.targets.iter().any(|one| one.name == reader.name));
    for reader in readers.into_iter().filter(wanted) {
        asking.spawn(async move { (reader.statuses().await, reader) });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    let mut found = Vec::new();
    for (statuses, reader) in answers {
        match statuses {
            Ok(statuses) => {
                let here = statuses.into_iter().filter_map(|(name, status)| service(&reader, name, status));
                let mut here: Vec<_> = here.filter(|(name, _)| is_changed(plan, name, &reader.name)).collect();
                here.sort_by(|(one, _), (other, _)| one.cmp(other));
                found.extend(here.into_iter().map(|(_, service)| service));
            }
            Err(failure) => found.push(Err(unasked(&reader.name, &failure))),
        }
    }
    found
}

fn is_changed(plan: Option<&Plan>, service: &ServiceName, target: &TargetName) -> bool {
    plan.is_none_or(|plan| plan.lanes().any(|lane| lane.service == *service && lane.target == *target))
}

/// A service of this environment; another one may lie at the same place.
fn service(
    reader: &TargetReader,
    name: ServiceName,
    status: Result<ServiceStatus, Failure>,
) -> Option<(ServiceName, Result<Service, Failure>)> {
    let other = |status: &ServiceStatus| {
        status.release.is_none() || status.spec.as_ref().is_some_and(|spec| spec.environment != reader.environment)
    };
    let found = match status {
        Ok(status) if other(&status) => return None,
        Ok(status) => reader.require_target().map(|target| {
            let (name, target_name) = (name.clone(), reader.name.clone());
            Service { name, target_name, target, status }
        }),
        Err(failure) => Err(unread(&name, &reader.name, &failure)),
    };
    Some((name, found))
}

impl Service {
    /// Those that were given to the release that runs there.
    fn secrets(&self) -> BTreeSet<SecretName> {
        let spec = self.status.spec.as_ref();
        spec.map(|spec| secret_names(&spec.variables, &spec.scripts)).unwrap_or_default()
    }

    /// What it printed last; nothing where nobody keeps that. `unknown` tells why one of its secrets is not known.
    pub(super) async fn read(
        &self,
        unknown: impl Fn(&BTreeSet<SecretName>) -> Option<Failure>,
    ) -> Result<Option<Piece>, Failure> {
        if let Some(failure) = unknown(&self.secrets()) {
            let why = "without its secrets it is not known what of it must not be shown";
            let told = self.unread(&failure).because(why);
            return Err(match failure.next {
                Some(next) => told.next(next),
                None => told,
            });
        }
        if self.status.spec.is_none() {
            let failure =
                Failure::new(Kind::Rejected, "the record of its release, which names its secrets, is not there");
            return Err(self.unread(&failure));
        }
        let Some(shell) = self.target.shell() else { return Ok(None) };
        let end = within(READ_LIMIT, read_output_end(shell, &self.status, LOG_LIMIT)).await;
        let end = end.map_err(|failure| self.unread(&failure))?;
        let name = format!("services/{}/{}.log", self.target_name, self.name);
        Ok(end.map(|end| Piece { name, text: end.text, is_cut: end.is_cut }))
    }

    fn unread(&self, failure: &Failure) -> Failure {
        unread(&self.name, &self.target_name, failure)
    }
}

fn unread(service: &ServiceName, target: &TargetName, failure: &Failure) -> Failure {
    around(format!("could not read what `{service}` on `{target}` has printed"), failure)
        .next(failure.next.clone().unwrap_or_else(|| format!("`pleach logs {service} --service`")))
}

fn unasked(target: &TargetName, failure: &Failure) -> Failure {
    around(format!("could not ask `{target}` for the logs of its services"), failure)
        .next(failure.next.clone().unwrap_or_else(|| "`pleach doctor`".to_owned()))
}

fn around(what: String, failure: &Failure) -> Failure {
    let mut told = Failure::new(failure.kind, what).state("it is not in the archive");
    told.because = failure.causes();
    told
}
