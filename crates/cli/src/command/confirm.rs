//! `pleach confirm`: all is well. A canary that waits for that goes on; else hosts need not take themselves back.

use pleach_core::error::{Failure, Kind};
use pleach_core::port::Leases as _;
use pleach_core::word::{EnvironmentName, TargetName};
use pleach_remote::directory::{AwaitedConsent, awaited_consents, give_consent};
use pleach_remote::watchdog::WatchdogStatus;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::args::{Globals, On};
use crate::deployment::{block_on, person};
use crate::exit::{Ended, Exit};
use crate::print::{Paint, answer, tell_failure};
use crate::project::Project;
use crate::standing::{Watched, readers, watched_targets, within_limit};

/// Arguments of `pleach confirm`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    #[command(flatten)]
    on: On,
}

/// Answers every canary that waits for a person; if none does, confirms every watchdog that still waits. The exit code is the
/// number of hosts on which that was not possible.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open_on(globals, Some(&args.environment), &args.on)?;
    let answered = block_on(let_canaries_go_on(&project, &args))?;
    if !answered.is_empty() {
        return tell_answers(&answered, globals);
    }
    let rows = block_on(confirm_all(&project, &args))?;
    if globals.json {
        let told: Vec<Value> = rows.iter().map(told).collect();
        answer(&format!("{}\n", serde_json::to_string_pretty(&told).unwrap_or_default()));
    } else if rows.is_empty() {
        answer(&format!("no target of `{}` waits for a confirmation\n", args.environment));
    }
    for (target, confirmed) in &rows {
        match confirmed {
            Ok(_) if globals.json => {}
            Ok(status) => answer(&format!("`{target}` stays as it is (run {})\n", status.run)),
            Err(failure) => tell_failure(failure, Paint::of_stderr(globals.color)),
        }
    }
    Ok(Exit::failed_checks(rows.iter().filter(|(_, confirmed)| confirmed.is_err()).count()))
}

/// A canary and where it is, with what became of the answer.
type Answer = (TargetName, AwaitedConsent, Result<(), Failure>);

async fn let_canaries_go_on(project: &Project, args: &Args) -> Result<Vec<Answer>, Ended> {
    let by = format!("`{}`", person());
    let mut answers = Vec::new();
    for reader in readers(project, Some(&args.environment))? {
        let Some(root) = reader.root() else { continue };
        let target = reader.require_target()?;
        let (Some(files), Some(shell)) = (target.files(), target.shell()) else { continue };
        for awaited in within_limit(awaited_consents(files, root)).await? {
            let given = within_limit(give_consent(shell, &awaited, by.clone())).await;
            answers.push((reader.name.clone(), awaited, given));
        }
    }
    Ok(answers)
}

fn tell_answers(answers: &[Answer], globals: &Globals) -> Result<Exit, Ended> {
    if globals.json {
        let told = |(target, awaited, given): &Answer| match given {
            Ok(()) => json!({ "target": target, "canary": awaited }),
            Err(failure) => json!({ "target": target, "canary": awaited, "failure": failure }),
        };
        let told: Vec<Value> = answers.iter().map(told).collect();
        answer(&format!("{}\n", serde_json::to_string_pretty(&told).unwrap_or_default()));
    }
    for (target, awaited, given) in answers {
        let AwaitedConsent { service, release, percent, matching, run, .. } = awaited;
        let asked = matching.as_ref().map(|matching| format!(" and all with {matching}")).unwrap_or_default();
        match given {
            Ok(()) if globals.json => {}
            Ok(()) => answer(&format!(
                "`{service}` on `{target}` may go on: release `{release}` had {percent}% of the requests{asked} (run {run})\n"
            )),
            Err(failure) => tell_failure(failure, Paint::of_stderr(globals.color)),
        }
    }
    Ok(Exit::failed_checks(answers.iter().filter(|(_, _, given)| given.is_err()).count()))
}

type Row = (TargetName, Result<WatchdogStatus, Failure>);

fn told((target, confirmed): &Row) -> Value {
    match confirmed {
        Ok(status) => json!({ "target": target, "run": status.run, "phase": status.phase }),
        Err(failure) => json!({ "target": target, "failure": failure }),
    }
}

async fn confirm_all(project: &Project, args: &Args) -> Result<Vec<Row>, Ended> {
    let planned = project.planned_targets(&args.environment, &[])?;
    refuse_while_at_work(project, args).await?;
    let mut asking = JoinSet::new();
    for watched in watched_targets(project, &args.environment, planned)? {
        asking.spawn(async move { confirm(&watched).await });
    }
    let mut rows: Vec<Row> = asking.join_all().await.into_iter().flatten().collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(rows)
}

async fn confirm(watched: &Watched) -> Vec<Row> {
    let row = |confirmed| (watched.name.clone(), confirmed);
    let statuses = match watched.statuses().await {
        Ok(statuses) => statuses,
        Err(failure) => return vec![row(Err(failure))],
    };
    let mut rows = Vec::new();
    for status in statuses.iter().filter(|status| !status.phase.is_over()) {
        rows.push(row(watched.confirm(status).await));
    }
    rows
}

/// A run at work confirms by itself, once it has seen that all is well.
async fn refuse_while_at_work(project: &Project, args: &Args) -> Result<(), Ended> {
    let leases = project.workspace.leases.list().await?;
    let alive = |lease: &&pleach_core::port::Lease| pleach_store::ProcessIdentity::from(&lease.holder).is_alive();
    let held = leases.iter().filter(|lease| lease.environment == args.environment).find(alive);
    held.map_or(Ok(()), |lease| {
        Err(Ended::with(
            Exit::LEASED,
            Failure::new(Kind::Conflict, format!("could not confirm in `{}`", args.environment))
                .because(format!("run {} is at work there, and confirms by itself", lease.run))
                .state("nothing was touched")
                .next(format!("watch it with `pleach status {} --watch`", args.environment)),
        ))
    })
}
