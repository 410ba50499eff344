//! Making a plan: read commits and facts, then plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pleach_core::config::EnvironmentConfig;
use pleach_core::error::{Failure, Kind};
use pleach_core::plan::{Operation, Plan, PlanInput, TargetDescription, plan};
use pleach_core::target::{Facts, Target};
use pleach_core::word::{EnvironmentName, ServiceName, TargetName};

use crate::exit::Ended;
use crate::project::Project;

/// The longest that one target may take to say what it has.
const PROBE_LIMIT: Duration = Duration::from_secs(60);

/// The services of `only`, or all that go to the environment.
pub(crate) fn select(project: &Project, environment: &EnvironmentConfig, only: &[ServiceName]) -> Vec<ServiceName> {
    let all = project.config.destinations(environment);
    all.keys().filter(|name| only.is_empty() || only.contains(name)).map(|name| (*name).clone()).collect()
}

/// Makes a plan; touches nothing.
pub(crate) async fn prepare(
    project: &Project,
    environment: &EnvironmentName,
    operation: Operation,
    only: &[ServiceName],
) -> Result<Plan, Ended> {
    let config = project.require_environment(environment)?;
    project.require_services(only)?;
    let sources = project.sources()?;
    let targets = project.descriptions(config)?;
    let facts = probe_targets(project, environment, &targets).await?;
    Ok(plan(&PlanInput {
        config: &project.config,
        environment,
        operation,
        only,
        sources: &sources,
        targets: &targets,
        facts: &facts,
        registry: &project.workspace.registry,
        now: project.workspace.now(),
    })?)
}

/// Reads all targets side by side; tells every one that does not answer.
pub(crate) async fn probe_targets(
    project: &Project,
    environment: &EnvironmentName,
    targets: &BTreeMap<TargetName, TargetDescription>,
) -> Result<BTreeMap<TargetName, Facts>, Vec<Failure>> {
    let mut probes = tokio::task::JoinSet::new();
    let mut failures = Vec::new();
    for (name, description) in targets {
        match project.workspace.open_target(environment, &project.planned_target(name, description)) {
            Ok(target) => drop(probes.spawn(probe(name.clone(), target))),
            Err(failure) => failures.push(failure),
        }
    }
    let mut facts = BTreeMap::new();
    while let Some(joined) = probes.join_next().await {
        match joined {
            Ok((name, Ok(found))) => drop(facts.insert(name, found)),
            Ok((_, Err(failure))) => failures.push(failure),
            Err(error) => {
                failures.push(Failure::new(Kind::Internal, "could not read a target").because(error.to_string()))
            }
        }
    }
    if failures.is_empty() { Ok(facts) } else { Err(failures) }
}

async fn probe(name: TargetName, target: Arc<dyn Target>) -> (TargetName, Result<Facts, Failure>) {
    let found = tokio::time::timeout(PROBE_LIMIT, target.probe()).await.unwrap_or_else(|_| {
        Err(Failure::new(Kind::UnknownOutcome, format!("could not read target `{name}`"))
            .because(format!("it gave no answer within {} s", PROBE_LIMIT.as_secs()))
            .state("nothing was touched"))
    });
    (name, found)
}
