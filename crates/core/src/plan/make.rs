//! From config, facts and commits to a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::Value;

use super::model::{FORMAT, Lane, PlannedService, PlannedTarget, SnapshotPlan, Stage, Step};
use super::recipe::{Draft, DraftRequest, Turn};
use super::select::{Selection, select};
use super::sound::unsound;
use super::{Operation, Plan};
use crate::config::{Config, EnvironmentConfig};
use crate::error::{Failure, Kind};
use crate::period::Period;
use crate::registry::Registry;
use crate::target::{Facet, Facts};
use crate::word::{CommitId, EnvironmentName, LaneId, ServiceName, SnapshotId, StageName, TargetName};

/// The longest that capturing, proving, restoring or discarding one snapshot may take.
const SNAPSHOT_LIMIT: Period = Period::seconds(1800);

/// Where a service's files come from, as it was read from git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSource {
    /// What its branch names now.
    pub commit: CommitId,
    /// The commit's subject.
    pub subject: String,
    /// The files of that commit that the service's scripts name, by their paths in the repository.
    pub scripts: BTreeMap<PathBuf, String>,
}

/// What the adapter of a target says of it without asking the machine.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetDescription {
    /// Its kind, as in the config.
    pub kind: String,
    /// All that a later process needs to reach it without the config; secrets by name only.
    pub settings: Value,
    /// What it can do.
    pub facets: Vec<Facet>,
}

/// All that a plan is made from.
pub struct PlanInput<'a> {
    /// The config.
    pub config: &'a Config,
    /// Where.
    pub environment: &'a EnvironmentName,
    /// What for.
    pub operation: Operation,
    /// Only these services; all of the environment's if empty.
    pub only: &'a [ServiceName],
    /// Commits by service.
    pub sources: &'a BTreeMap<ServiceName, ServiceSource>,
    /// The environment's targets: kind, settings and facets.
    pub targets: &'a BTreeMap<TargetName, TargetDescription>,
    /// Facts by target.
    pub facts: &'a BTreeMap<TargetName, Facts>,
    /// What the adapters can do.
    pub registry: &'a Registry,
    /// The time now.
    pub now: Timestamp,
}

/// Makes the plan, or tells every reason why there is none.
///
/// The same input gives the same plan, to the byte: services and targets stand in the order of their names, and the order
/// and repetition of [`PlanInput::only`] do not matter. Services whose targets are as wanted already have no lane; targets
/// without a lane and their expectations are left out.
pub fn plan(input: &PlanInput<'_>) -> Result<Plan, Vec<Failure>> {
    let selection = select(input)?;
    let mut failures = Vec::new();
    let mut drafts = BTreeMap::new();
    for (service, targets) in &selection.services {
        if !input.sources.contains_key(*service) {
            failures.push(no_source(input, service));
            continue;
        }
        for target in targets {
            match draft(input, &selection, service, target) {
                Ok(draft) if draft.steps.is_empty() => {}
                Ok(draft) => {
                    failures.extend(unsound(input, service, target, &draft));
                    drafts.insert((*service, *target), draft);
                }
                Err(found) => failures.extend(found),
            }
        }
    }
    let targets = planned_targets(input, &drafts, &mut failures);
    // A target that is missing is missing for each of its services, and is told once.
    let mut told: Vec<Failure> = Vec::new();
    failures.into_iter().for_each(|failure| {
        if !told.contains(&failure) {
            told.push(failure)
        }
    });
    if !told.is_empty() {
        return Err(told);
    }
    Ok(Plan {
        format: FORMAT,
        project: input.config.project.name.clone(),
        environment: input.environment.clone(),
        operation: input.operation.clone(),
        made: input.now,
        policy: selection.environment.policy(),
        services: planned_services(input, &selection),
        targets,
        snapshots: snapshots(&drafts),
        stages: stages(input, &selection, &drafts),
    })
}

type Drafts<'a> = BTreeMap<(&'a ServiceName, &'a TargetName), Draft>;

fn no_source(input: &PlanInput<'_>, service: &ServiceName) -> Failure {
    let branch = input.config.services.get(service).map_or("", |config| config.branch.as_str());
    Failure::new(Kind::Rejected, format!("no commit was read for service `{service}`"))
        .because(format!("branch `{branch}` was not found"))
        .state("nothing was touched")
        .next(format!("look with `git branch --all --list '*{branch}'`, then name the branch in `pleach.toml`"))
}

fn draft(
    input: &PlanInput<'_>,
    selection: &Selection<'_>,
    service: &ServiceName,
    target: &TargetName,
) -> Result<Draft, Vec<Failure>> {
    let missing = |what: &str| {
        Failure::new(Kind::Rejected, format!("{what} target `{target}` of environment `{}`", input.environment))
            .state("nothing was touched")
            .next(format!("look what is wrong with `pleach doctor`, then `pleach plan {}`", input.environment))
    };
    let description = input.targets.get(target).ok_or_else(|| missing("no settings were made for"));
    let facts = input.facts.get(target).ok_or_else(|| missing("no facts were read from"));
    let recipe = description.as_ref().ok().map(|description| input.registry.require_recipe(&description.kind));
    match (description, facts, recipe) {
        (Ok(_), Ok(facts), Some(Ok(recipe))) => recipe.draft(&DraftRequest {
            config: input.config,
            environment: input.environment,
            operation: &input.operation,
            service,
            service_config: &input.config.services[service],
            commit: &input.sources[service].commit,
            scripts: &input.sources[service].scripts,
            target,
            target_config: &selection.environment.targets[target],
            facts,
        }),
        (description, facts, recipe) => {
            Err([description.err(), facts.err(), recipe.and_then(Result::err)].into_iter().flatten().collect())
        }
    }
}

fn planned_services(input: &PlanInput<'_>, selection: &Selection<'_>) -> Vec<PlannedService> {
    let planned = |service: &ServiceName| PlannedService {
        name: service.clone(),
        branch: input.config.services[service].branch.clone(),
        commit: input.sources[service].commit.clone(),
        subject: input.sources[service].subject.clone(),
    };
    selection.services.keys().map(|service| planned(service)).collect()
}

/// The targets with work on them; what the drafts of one target rely on is joined.
fn planned_targets(input: &PlanInput<'_>, drafts: &Drafts<'_>, failures: &mut Vec<Failure>) -> Vec<PlannedTarget> {
    let mut planned: BTreeMap<&TargetName, PlannedTarget> = BTreeMap::new();
    for ((service, target), draft) in drafts {
        let description = &input.targets[*target];
        let entry = planned.entry(target).or_insert_with(|| PlannedTarget {
            name: (*target).clone(),
            kind: description.kind.clone(),
            settings: description.settings.clone(),
            expects: Facts::new(),
        });
        entry.expects.extend(draft.expects.clone());
        let alone = PlannedTarget { expects: draft.expects.clone(), ..entry.clone() };
        failures.extend(super::mismatches(&alone, &input.facts[*target]).into_iter().map(|mismatch| {
            Failure::new(Kind::Internal, format!("the plan for `{service}` on `{target}` relies on a wrong fact"))
                .because(mismatch.to_string())
                .state("nothing was touched")
        }));
    }
    planned.into_values().collect()
}

fn snapshots(drafts: &Drafts<'_>) -> Vec<SnapshotPlan> {
    let planned = |((service, target), draft): (&(&ServiceName, &TargetName), &Draft)| {
        draft
            .snapshots
            .iter()
            .filter_map(|(kind, parameters)| {
                Some(SnapshotPlan {
                    id: SnapshotId::new(format!("{kind}/{service}@{target}")).ok()?,
                    kind: kind.clone(),
                    target: (*target).clone(),
                    service: Some((*service).clone()),
                    parameters: parameters.clone(),
                    time_limit: SNAPSHOT_LIMIT,
                })
            })
            .collect::<Vec<_>>()
    };
    drafts.iter().flat_map(planned).collect()
}

fn stages(input: &PlanInput<'_>, selection: &Selection<'_>, drafts: &Drafts<'_>) -> Vec<Stage> {
    let verb = match input.operation {
        Operation::Deploy => "deploy",
        Operation::Switch { .. } => "switch",
        Operation::Stop => "stop",
    };
    let mut levels: Vec<BTreeSet<&ServiceName>> =
        selection.levels.iter().map(|level| level.iter().collect::<BTreeSet<_>>()).collect();
    // What waits for another one leans on it, so it stops first.
    if input.operation == Operation::Stop {
        levels.reverse();
    }
    levels.retain(|level| drafts.iter().any(|((service, _), draft)| level.contains(service) && has(draft, Turn::Main)));
    let name = |at: usize| if levels.len() == 1 { verb.to_owned() } else { format!("{verb}-{}", at + 1) };
    let mains = levels.iter().enumerate().map(|(at, level)| (name(at), Turn::Main, Some(level)));
    let all = mains.chain([("finish".to_owned(), Turn::Finish, None)]);
    all.filter_map(|(name, turn, level)| {
        let in_level = |service: &ServiceName| level.is_none_or(|level| level.contains(service));
        let lanes: Vec<Lane> = drafts
            .iter()
            .filter(|((service, _), draft)| in_level(service) && has(draft, turn))
            .filter_map(|((service, target), draft)| lane(selection.environment, &name, turn, service, target, draft))
            .collect();
        (!lanes.is_empty()).then_some(Stage { name: StageName::new(&name).ok()?, lanes })
    })
    .collect()
}

fn has(draft: &Draft, turn: Turn) -> bool {
    draft.steps.iter().any(|step| step.turn == turn)
}

fn lane(
    environment: &EnvironmentConfig,
    stage: &str,
    turn: Turn,
    service: &ServiceName,
    target: &TargetName,
    draft: &Draft,
) -> Option<Lane> {
    let steps = draft.steps.iter().filter(|step| step.turn == turn);
    Some(Lane {
        id: LaneId::new(format!("{stage}/{service}@{target}")).ok()?,
        service: service.clone(),
        target: target.clone(),
        release: draft.release.clone(),
        steps: steps.map(|draft| Step { retry: environment.retry, ..draft.step.clone() }).collect(),
    })
}
