//! From config, facts and commits to a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::Value;

use super::model::{FORMAT, Lane, PlannedService, PlannedTarget, SnapshotPlan, Stage, Step};
use super::policy::{OnFailure, Policy};
use super::recipe::{Draft, DraftRequest, DraftStep, Turn, WatchRequest};
use super::select::{Selection, select};
use super::sound::unsound;
use super::{Operation, Plan};
use crate::config::{Config, EnvironmentConfig};
use crate::error::{Failure, Kind};
use crate::period::Period;
use crate::port::{ImageId, ProjectImages};
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
    /// The images that were made of that commit and are to be used as they are, by their digests; one is built if there are
    /// none. Each by the platform that it was proven on, such as `linux/amd64`, which is empty where nobody told.
    pub images: BTreeMap<String, ImageId>,
    /// The same of a Compose project: the images of its services.
    pub project: BTreeMap<String, ProjectImages>,
    /// Which version that commit is, for the names of images: see [`version_of`](super::version_of).
    pub version: Option<String>,
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
    let watches = watch(input, &selection, &mut drafts, &mut failures);
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
        policy: policy(input, &selection),
        services: planned_services(input, &selection),
        targets,
        snapshots: snapshots(&drafts).into_iter().chain(watches).collect(),
        stages: stages(input, &selection, &drafts),
    })
}

/// Half a backup is none, and there is nothing in it that a person would have to look at.
fn policy(input: &PlanInput<'_>, selection: &Selection<'_>) -> Policy {
    let policy = selection.environment.policy(input.environment);
    match input.operation {
        Operation::Backup => Policy { on_failure: OnFailure::UnwindRun, failure_budget: None, ..policy },
        _ => policy,
    }
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
            images: &input.sources[service].images,
            project: &input.sources[service].project,
            version: input.sources[service].version.as_deref(),
            target,
            target_config: &selection.environment.targets[target],
            facts,
        }),
        (description, facts, recipe) => {
            Err([description.err(), facts.err(), recipe.and_then(Result::err)].into_iter().flatten().collect())
        }
    }
}

/// The watchdogs of targets that can take themselves back, armed before the first change and confirmed once all services are
/// healthy.
fn watch(
    input: &PlanInput<'_>,
    selection: &Selection<'_>,
    drafts: &mut Drafts<'_>,
    failures: &mut Vec<Failure>,
) -> Vec<SnapshotPlan> {
    let Some(deadline) = selection.environment.watchdog(input.environment) else { return Vec::new() };
    let targets: BTreeSet<&TargetName> = drafts.keys().map(|(_, target)| *target).collect();
    let mut snapshots = Vec::new();
    for target in targets {
        let on_it = |(key, _): &(&(&ServiceName, &TargetName), &Draft)| key.1 == target;
        let way_back: Vec<Value> =
            drafts.iter().filter(on_it).flat_map(|(_, draft)| draft.way_back.iter().cloned()).collect();
        if way_back.is_empty() {
            continue;
        }
        let facts = &input.facts[target];
        let request = WatchRequest { target, facts, deadline, way_back: &way_back };
        let watched = input.registry.require_recipe(&input.targets[target].kind).and_then(|recipe| {
            let Some(watch) = recipe.watch(&request)? else { return Ok(None) };
            input.registry.require_phase(&watch.confirm.phase)?;
            input.registry.require_snapshot(&watch.snapshot.0)?;
            Ok(Some(watch))
        });
        match watched {
            Ok(None) => {}
            Ok(Some(watch)) => {
                let (kind, parameters) = watch.snapshot;
                snapshots.extend(SnapshotId::new(format!("{kind}@{target}")).ok().map(|id| SnapshotPlan {
                    id,
                    kind,
                    target: target.clone(),
                    service: None,
                    parameters,
                    time_limit: SNAPSHOT_LIMIT,
                }));
                for (_, draft) in drafts.iter_mut().filter(|((_, on), _)| *on == target) {
                    let first = draft.steps.iter().position(|step| step.turn == Turn::Finish);
                    let confirm = DraftStep { turn: Turn::Finish, step: watch.confirm.clone() };
                    draft.steps.insert(first.unwrap_or(draft.steps.len()), confirm);
                }
            }
            Err(failure) => failures.push(failure),
        }
    }
    snapshots
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
    let verb = input.operation.verb();
    let mut levels: Vec<BTreeSet<&ServiceName>> =
        selection.levels.iter().map(|level| level.iter().collect::<BTreeSet<_>>()).collect();
    // What waits for another one leans on it, so it stops first.
    if input.operation == Operation::Stop {
        levels.reverse();
    }
    // What goes nowhere new needs nobody who goes first.
    let tries = !matches!(input.operation, Operation::Stop | Operation::Backup | Operation::Forget { .. });
    let gatekeeper = selection.environment.gatekeeper.as_ref().filter(|_| tries);
    let mut mains: Vec<(String, Places<'_>)> = Vec::new();
    for (prefix, gate) in [("gate", true), (verb, false)] {
        let passes = |target: &TargetName| gatekeeper.map_or(!gate, |keeper| (keeper == target) == gate);
        let places = |level: &BTreeSet<&'_ ServiceName>| -> Places<'_> {
            let main = drafts.iter().filter(|(_, draft)| has(draft, Turn::Main)).map(|(place, _)| *place);
            main.filter(|(service, target)| level.contains(service) && passes(target)).collect()
        };
        let levels: Vec<Places<'_>> = levels.iter().map(places).filter(|places| !places.is_empty()).collect();
        let name = |at: usize| if levels.len() == 1 { prefix.to_owned() } else { format!("{prefix}-{}", at + 1) };
        mains.extend(levels.iter().enumerate().map(|(at, places)| (name(at), places.clone())));
    }
    let finish = drafts.iter().filter(|(_, draft)| has(draft, Turn::Finish)).map(|(place, _)| *place);
    let finish = ("finish".to_owned(), Turn::Finish, finish.collect::<Places<'_>>());
    let all = mains.into_iter().map(|(name, places)| (name, Turn::Main, places)).chain([finish]);
    all.filter_map(|(name, turn, places)| {
        let on = |(service, target): &(&ServiceName, &TargetName)| {
            lane(selection.environment, &name, turn, service, target, &drafts[&(*service, *target)])
        };
        let lanes: Vec<Lane> = places.iter().filter_map(on).collect();
        (!lanes.is_empty()).then_some(Stage { name: StageName::new(&name).ok()?, lanes })
    })
    .collect()
}

/// Services on targets, in order.
type Places<'a> = BTreeSet<(&'a ServiceName, &'a TargetName)>;

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
