//! `pleach lease`: who may change which target, here and as the hosts themselves say.

use std::collections::BTreeSet;

use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Lease, Leases as _};
use pleach_core::word::{EnvironmentName, TargetName};
use pleach_remote::guard::{HolderLife, LeaseState, TargetLeases};
use pleach_store::{Life, ProcessIdentity};
use serde_json::{Value, json};

use crate::args::Globals;
use crate::deployment::{Answered, block_on, can_ask, says_yes};
use crate::exit::{Ended, Exit};
use crate::print::{Cell, Paint, Style, Table, ago_text, answer, moment_text, stdout_columns, tell_failure};
use crate::project::Project;

/// Arguments of `pleach lease`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: LeaseCommand,
}

#[derive(Debug, clap::Subcommand)]
enum LeaseCommand {
    /// List the leases that are held, as this machine and the hosts know them
    List {
        /// Only in this environment
        #[arg(value_name = "ENVIRONMENT")]
        environment: Option<EnvironmentName>,
    },
    /// Show all that a host knows of one lease
    Show(Place),
    /// Take a lease on a host away from whoever holds it; the host refuses the holder's further changes
    Break {
        #[command(flatten)]
        place: Place,
        /// Do it without being asked
        #[arg(short, long)]
        yes: bool,
    },
}

#[derive(Clone, Debug, clap::Args)]
struct Place {
    /// Where
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Which target
    #[arg(value_name = "TARGET")]
    target: TargetName,
}

/// Lists, shows or breaks.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open(globals)?;
    match args.command {
        LeaseCommand::List { environment } => block_on(list(&project, environment.as_ref(), globals)),
        LeaseCommand::Show(place) => block_on(show(&project, &place, globals)),
        LeaseCommand::Break { place, yes } => {
            let answered = if yes { Answered::Yes } else { Answered::NotYet };
            block_on(break_lease(&project, &place, answered, globals))
        }
    }
}

/// One held lease, and what is known of its holder.
struct Held {
    lease: Lease,
    holder: &'static str,
}

async fn list(project: &Project, only: Option<&EnvironmentName>, globals: &Globals) -> Result<Exit, Ended> {
    if let Some(name) = only {
        project.require_environment(name)?;
    }
    let (mut held, mut failures) = (Vec::new(), Vec::new());
    let mut asked = BTreeSet::new();
    for environment in project.config.environments.keys() {
        if only.is_some_and(|wanted| wanted != environment) {
            continue;
        }
        let planned = project.planned_targets(environment, &[])?;
        asked.extend(planned.iter().map(|planned| (environment.clone(), planned.name.clone())));
        for directory in planned.iter().filter_map(|planned| project.workspace.directory_leases(planned)) {
            held.extend(directory.list().await?.into_iter().map(|lease| Held { holder: seen_here(&lease), lease }));
        }
        let (_, there) = project.workspace.open_with_leases(environment, &planned)?;
        for ((environment, target), leases) in there {
            match leases.show(&environment, &target).await {
                Ok(state) => {
                    let holder = told(&state);
                    held.extend(state.lease.map(|lease| Held { lease, holder }));
                }
                Err(failure) => failures.push(failure),
            }
        }
    }
    // Of targets that the config no longer has.
    let here = project.workspace.leases.list().await?.into_iter();
    let here = here.filter(|lease| only.is_none_or(|wanted| *wanted == lease.environment));
    let here = here.filter(|lease| !asked.contains(&(lease.environment.clone(), lease.target.clone())));
    held.extend(here.map(|lease| Held { holder: seen_here(&lease), lease }));
    if globals.json {
        let rows: Vec<Value> = held.iter().map(|held| json!({ "lease": held.lease, "holder": held.holder })).collect();
        answer(&format!("{}\n", serde_json::to_string_pretty(&rows).unwrap_or_default()));
    } else if held.is_empty() && failures.is_empty() {
        answer("no lease is held\n");
    } else if !held.is_empty() {
        let mut table = Table::new(["ENVIRONMENT", "TARGET", "HOLDER", "", "SINCE", "EXPIRES", "WHY"]);
        let now = project.workspace.now();
        for Held { lease, holder } in &held {
            table.row([
                lease.environment.as_str().into(),
                Cell::styled(Style::Bold, lease.target.as_str()),
                person(lease).into(),
                (*holder).into(),
                ago_text(lease.started, now).into(),
                moment_text(lease.expires).into(),
                lease.reason.clone().into(),
            ]);
        }
        answer(&table.text(Paint::of_stdout(globals.color), stdout_columns()));
    }
    for failure in &failures {
        tell_failure(failure, Paint::of_stderr(globals.color));
    }
    Ok(Exit::failed_checks(failures.len()))
}

fn person(lease: &Lease) -> String {
    format!("{} on {} (process {})", lease.holder.user, lease.holder.host, lease.holder.process)
}

/// What a host sees of a holder, and what this machine does.
fn told(state: &LeaseState) -> &'static str {
    match (state.life, &state.lease) {
        (HolderLife::Alive, _) => "lives",
        (HolderLife::Stopped, _) => "is stopped",
        (HolderLife::Gone, _) => "is gone",
        (HolderLife::Unknown, Some(lease)) if seen_here(lease) != "is elsewhere" => seen_here(lease),
        (HolderLife::Unknown, _) if state.expired => "has not renewed it",
        (HolderLife::Unknown, _) => "is elsewhere",
    }
}

fn seen_here(lease: &Lease) -> &'static str {
    match ProcessIdentity::from(&lease.holder).life() {
        Life::Running => "lives",
        Life::Stopped => "is stopped",
        Life::Dead => "is gone",
        Life::Elsewhere => "is elsewhere",
    }
}

/// The leases of one host.
fn leases(project: &Project, place: &Place) -> Result<TargetLeases, Ended> {
    let planned = project.planned_targets(&place.environment, std::slice::from_ref(&place.target))?;
    let (_, there) = project.workspace.open_with_leases(&place.environment, &planned)?;
    there.into_values().next().ok_or_else(|| {
        Ended::wrong(
            Failure::new(
                Kind::Unsupported,
                format!("the lease of `{}` is not shown or broken by itself", place.target),
            )
            .because("it lies on this machine, where a holder that has ended is seen to be gone")
            .state("nothing was touched")
            .next(format!("`pleach lease list {}` names the holder's process", place.environment)),
        )
    })
}

async fn show(project: &Project, place: &Place, globals: &Globals) -> Result<Exit, Ended> {
    let state = leases(project, place)?.show(&place.environment, &place.target).await?;
    if globals.json {
        let running: Vec<Value> =
            state.running.iter().map(|one| json!({ "token": one.token, "process": one.process })).collect();
        let told = json!({
            "lease": state.lease, "plan": state.plan, "holder": told(&state), "expired": state.expired,
            "newest-token": state.seen, "running": running,
        });
        answer(&format!("{}\n", serde_json::to_string_pretty(&told).unwrap_or_default()));
        return Ok(Exit::DONE);
    }
    let mut lines = vec![format!("the newest token that the host has seen: {}", state.seen)];
    match &state.lease {
        None => lines.push("nobody holds it".to_owned()),
        Some(lease) => {
            lines.push(format!("held by {}, who {}", person(lease), told(&state)));
            lines.push(format!("why: {} (run {})", lease.reason, lease.run));
            lines.extend(state.plan.as_ref().map(|plan| format!("plan: {plan}")));
            lines.push(format!("since {}", moment_text(lease.started)));
            let expired = if state.expired { ", which has passed" } else { "" };
            lines.push(format!("expires {}{expired}", moment_text(lease.expires)));
        }
    }
    for one in &state.running {
        lines.push(format!("process {} of token {} runs there still", one.process, one.token));
    }
    answer(&format!("{}\n", lines.join("\n")));
    Ok(Exit::DONE)
}

async fn break_lease(project: &Project, place: &Place, answered: Answered, globals: &Globals) -> Result<Exit, Ended> {
    let leases = leases(project, place)?;
    let state = leases.show(&place.environment, &place.target).await?;
    let Some(lease) = &state.lease else {
        answer(&format!("nobody holds the lease of `{}` in `{}`\n", place.target, place.environment));
        return Ok(Exit::DONE);
    };
    let whose = format!("{}, who {} and {}", person(lease), told(&state), lease.reason);
    if answered == Answered::NotYet && !(can_ask() && says_yes(&format!("It is the lease of {whose}. Break it?"))) {
        return Err(Ended::refused(
            Failure::new(Kind::Conflict, format!("the lease of `{}` was left as it is", place.target))
                .because(format!("it is that of {whose}, and nobody said yes"))
                .state("nothing was touched")
                .next(format!("`pleach lease break {} {} --yes`", place.environment, place.target)),
        ));
    }
    leases.break_lease(lease).await?;
    let after = leases.show(&place.environment, &place.target).await?;
    if globals.json {
        answer(&format!("{}\n", json!({ "broken": lease, "newest-token": after.seen })));
    } else {
        answer(&format!(
            "broke the lease of {whose}\n`{}` now refuses what comes with a token below {}\n",
            place.target, after.seen
        ));
    }
    Ok(Exit::DONE)
}
