//! Making a plan: read commits and facts, then plan.

use std::collections::BTreeMap;

use pleach_core::config::EnvironmentConfig;
use pleach_core::engine::{RunTargets, read_facts};
use pleach_core::error::Failure;
use pleach_core::plan::{Operation, Plan, PlanInput, TargetDescription, plan};
use pleach_core::target::Facts;
use pleach_core::word::{EnvironmentName, ServiceName, TargetName};

use crate::exit::Ended;
use crate::project::{Project, Proven};

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
    prepare_proven(project, environment, operation, only, &Proven::new()).await
}

/// The same of what stands elsewhere, where it is named.
pub(crate) async fn prepare_proven(
    project: &Project,
    environment: &EnvironmentName,
    operation: Operation,
    only: &[ServiceName],
    proven: &Proven,
) -> Result<Plan, Ended> {
    let config = project.require_environment(environment)?;
    project.require_services(only)?;
    let sources = project.sources(&select(project, config, only), &operation, proven)?;
    let targets = project.descriptions(config)?;
    let facts = read_facts(&open(project, environment, &targets)?).await?;
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

/// What was read from all targets of an environment.
pub(crate) async fn facts_of(
    project: &Project,
    environment: &EnvironmentName,
) -> Result<BTreeMap<TargetName, Facts>, Ended> {
    let targets = project.descriptions(project.require_environment(environment)?)?;
    Ok(read_facts(&open(project, environment, &targets)?).await?)
}

/// Opens all targets; tells every one that cannot be.
fn open(
    project: &Project,
    environment: &EnvironmentName,
    targets: &BTreeMap<TargetName, TargetDescription>,
) -> Result<RunTargets, Vec<Failure>> {
    let (mut opened, mut failures) = (RunTargets::new(), Vec::new());
    for (name, description) in targets {
        match project.workspace.open_target(environment, &project.planned_target(name, description)) {
            Ok(target) => drop(opened.insert(name.clone(), target)),
            Err(failure) => failures.push(failure),
        }
    }
    if failures.is_empty() { Ok(opened) } else { Err(failures) }
}
