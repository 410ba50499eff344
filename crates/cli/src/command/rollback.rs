//! `pleach rollback`: back to the release before, or to one that was kept.

use std::collections::BTreeMap;

use pleach_core::config::ConsentRule;
use pleach_core::engine::{RollbackRequest, State};
use pleach_core::error::{Failure, Kind};
use pleach_core::journal::Outcome;
use pleach_core::plan::{Operation, Plan};
use pleach_core::port::RunEntry;
use pleach_core::word::{EnvironmentName, LaneId, ReleaseId, RunId, ServiceName};

use super::operation::{OperationRequest, run_operation};
use crate::args::{Globals, On};
use crate::board::rows;
use crate::deployment::{
    Again, Answered, ConsentRequest, Questions, RunOptions, Work, ask_for_consent, block_on, carry_out, person,
};
use crate::exit::{Ended, Exit};
use crate::print::complain;
use crate::project::{Project, Workspace};

/// Arguments of `pleach rollback`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Only these, each back to its release before; all of the last run if none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// To this release, which the targets must have kept
    #[arg(long, value_name = "RELEASE")]
    to: Option<ReleaseId>,
    /// Consent without being asked, where the environment allows it
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    options: RunOptions,
}

/// What is taken back of one run.
struct Way {
    run: RunId,
    plan: Plan,
    /// The lanes; all if empty.
    lanes: Vec<LaneId>,
    /// For people: what goes back.
    told: Vec<String>,
}

/// Finds the runs to take back, tells what that means, gets consent, and takes them back, the newest first.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let answered = if args.yes { Answered::Yes } else { Answered::NotYet };
    let services: String = args.services.iter().map(|service| format!(" {service}")).collect();
    let command = format!("pleach rollback {}{services}{}", args.environment, args.on.words());
    if let Some(release) = &args.to {
        let project = Project::open_on(globals, Some(&args.environment), &args.on)?;
        let operation = Operation::Switch { release: release.clone() };
        let Args { environment, services, options, .. } = &args;
        let command = &format!("{command} --to {release}");
        let consent = None;
        let request = OperationRequest { environment, services, operation, answered, options, consent, command };
        return block_on(run_operation(request, globals, &project));
    }
    let workspace = Workspace::open(globals)?;
    let ways = if args.services.is_empty() {
        vec![last_run(&workspace, &args.environment, &args.on)?]
    } else {
        last_run_of_each(&workspace, &args.environment, &args.services, &args.on)?
    };
    for way in &ways {
        complain(&format!("take back run {}\n  {}\n", way.run, way.told.join("\n  ")));
    }
    if let Some(first) = ways.first() {
        ask_for_consent(&ConsentRequest {
            plan: &first.plan,
            rule: consent_rule(globals, &args.environment),
            answered,
            questions: Questions::Name,
            now: workspace.now(),
            again: Again { command: &command, saving: None },
        })?;
    }
    block_on(take_back(&workspace, ways, &args.options, globals))
}

async fn take_back(
    workspace: &Workspace,
    ways: Vec<Way>,
    options: &RunOptions,
    globals: &Globals,
) -> Result<Exit, Ended> {
    let mut worst = Exit::DONE;
    for way in ways {
        let request = RollbackRequest { lanes: way.lanes, by: person() };
        let exit = carry_out(workspace, Work::RollBack(way.run, request), options, globals).await?;
        if exit != Exit::DONE {
            worst = exit;
        }
    }
    Ok(worst)
}

/// The environment's rule; where the config cannot be read a person has to answer.
fn consent_rule(globals: &Globals, environment: &EnvironmentName) -> ConsentRule {
    let project = Project::open(globals).ok();
    let config = project.as_ref().and_then(|project| project.config.environments.get(environment));
    config.map_or(ConsentRule::Ask, |config| config.consent)
}

/// The newest run of which something is left, whole; of targets that are named alone, what is left there.
fn last_run(workspace: &Workspace, environment: &EnvironmentName, on: &On) -> Result<Way, Ended> {
    let whole = on.targets.is_empty();
    let mut passed_over = Vec::new();
    for entry in workspace.entries()?.iter().filter(|entry| entry.environment == *environment) {
        let state = workspace.state(&entry.run)?;
        let mut told = left_by(&state, None, on);
        let open = whole && !matches!(entry.outcome, Some(Outcome::Succeeded | Outcome::RolledBack));
        if is_passed_over(&state) {
            let did = match &state.plan().operation {
                Operation::Backup => "made a backup",
                Operation::Forget { .. } => "removed a backup",
                _ => "restarted services",
            };
            passed_over.push(format!("run {} since then only {did}: it left nothing to take back", entry.run));
        }
        if open || !told.is_empty() {
            let mut lanes = Vec::new();
            if !whole {
                require_at_its_end(entry, on.targets.iter().map(ToString::to_string))?;
                lanes.extend(state.plan().lanes().filter(|lane| on.takes(&lane.target)).map(|lane| lane.id.clone()));
            }
            told.append(&mut passed_over);
            return Ok(Way { run: entry.run.clone(), plan: state.plan().clone(), lanes, told });
        }
    }
    Err(nothing_to_take_back(environment, None, on))
}

/// For each service the newest run that changed it and was not taken back; services of the same run go together.
fn last_run_of_each(
    workspace: &Workspace,
    environment: &EnvironmentName,
    services: &[ServiceName],
    on: &On,
) -> Result<Vec<Way>, Ended> {
    let mut missing: Vec<&ServiceName> = services.iter().collect();
    let mut ways = Vec::new();
    for entry in workspace.entries()?.iter().filter(|entry| entry.environment == *environment) {
        if missing.is_empty() {
            break;
        }
        let state = workspace.state(&entry.run)?;
        let found: BTreeMap<&ServiceName, Vec<String>> = missing
            .iter()
            .map(|service| (*service, left_by(&state, Some(service), on)))
            .filter(|(_, told)| !told.is_empty())
            .collect();
        if found.is_empty() {
            continue;
        }
        require_at_its_end(entry, found.keys().map(ToString::to_string))?;
        missing.retain(|service| !found.contains_key(service));
        let lanes = state.plan().lanes().filter(|lane| found.contains_key(&lane.service) && on.takes(&lane.target));
        ways.push(Way {
            run: entry.run.clone(),
            lanes: lanes.map(|lane| lane.id.clone()).collect(),
            told: found.into_values().flatten().collect(),
            plan: state.plan().clone(),
        });
    }
    match missing.first() {
        Some(service) => Err(nothing_to_take_back(environment, Some(service), on)),
        None => Ok(ways),
    }
}

/// Refuses to take services or targets alone out of a run that is not at its end: the way back of some would be the way on for
/// the rest.
fn require_at_its_end(entry: &RunEntry, alone: impl Iterator<Item = String>) -> Result<(), Ended> {
    let (run, environment) = (&entry.run, &entry.environment);
    let why = match entry.outcome {
        Some(Outcome::Succeeded | Outcome::RolledBack) => return Ok(()),
        None => format!("run {run} stopped in the middle"),
        Some(Outcome::Held) => format!("run {run} is held, and waits for a person"),
        Some(Outcome::Stuck) => format!("not all of run {run} could be taken back"),
    };
    let alone: Vec<String> = alone.map(|name| format!("`{name}`")).collect();
    let what = format!("refused to take back {} alone in `{environment}`", alone.join(", "));
    Err(Ended::refused(
        Failure::new(Kind::Conflict, what)
            .because(why)
            .state("nothing was touched")
            .next(format!("`pleach resume {run}`, or `pleach rollback {environment}` for all of it")),
    ))
}

/// A service that was started anew has nothing to go back to but running, and it runs; a backup is removed by name.
fn is_passed_over(state: &State) -> bool {
    !state.plan().operation.changes_what_is_live() && state.outcome() == Some(Outcome::Succeeded)
}

/// What a run left on its targets, in words.
fn left_by(state: &State, service: Option<&ServiceName>, on: &On) -> Vec<String> {
    if is_passed_over(state) {
        return Vec::new();
    }
    let named = |name: &ServiceName| service.is_none_or(|service| service == name);
    let left = rows(state).into_iter().filter(|row| row.is_left() && named(&row.service) && on.takes(&row.target));
    left.map(|row| match &row.release {
        Some(release) => format!("{}: release {release}", row.name()),
        None => row.name(),
    })
    .collect()
}

fn nothing_to_take_back(environment: &EnvironmentName, service: Option<&ServiceName>, on: &On) -> Ended {
    let of = service.map(|service| format!(" of `{service}`")).unwrap_or_default();
    let targets: Vec<String> = on.targets.iter().map(|target| format!("`{target}`")).collect();
    let there = if targets.is_empty() { String::new() } else { format!(" on {}", targets.join(", ")) };
    let what = format!("there is no run{of} in `{environment}`{there} to take back");
    Ended::wrong(
        Failure::new(Kind::Rejected, what)
            .because("each was taken back already, or brought nothing live, or there was none")
            .state("nothing was touched")
            .next(format!(
                "see what runs with `pleach status {environment}`, and all runs with `pleach runs {environment}`"
            )),
    )
}
