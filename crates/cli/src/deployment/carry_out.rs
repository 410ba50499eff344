//! One run under the eyes of whoever started it.

use std::sync::Arc;

use pleach_core::engine::{Engine, RollbackRequest, RunError, SnapshotStatus, State};
use pleach_core::error::{Failure, Kind};
use pleach_core::journal::Outcome;
use pleach_core::plan::{ApprovedPlan, Plan};
use pleach_core::port::Runs;
use pleach_core::report::Report;
use pleach_core::word::RunId;
use pleach_remote::watchdog::KIND;

use super::halt::HaltingRuns;
use crate::args::Globals;
use crate::durable::write_whole;
use crate::exit::{Ended, Exit};
use crate::interrupt::Interrupts;
use crate::observe::{Observer, ObserverOptions, log_dir};
use crate::print::{
    Paint, answer, incident_file, incident_text, narrate, report_failures, report_text, stdout_columns, tell_failure,
};
use crate::progress::{Face, UsualTimes};
use crate::project::Workspace;

/// What every command that runs something takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct RunOptions {
    /// Stop for ever after this many records of the journal
    #[arg(long, hide = true, value_name = "N")]
    pub(crate) halt_after: Option<usize>,
}

/// What is to be carried out.
pub(crate) enum Work {
    /// A plan, from its begin.
    Execute(Box<ApprovedPlan>),
    /// A run that stopped, from where it stopped.
    Resume(RunId),
    /// The way back of a run.
    RollBack(RunId, RollbackRequest),
}

/// Runs something that waits.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Ended>>) -> Result<T, Ended> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = built.map_err(|error| {
        Failure::new(Kind::Internal, "could not start").because(error.to_string()).state("nothing was touched")
    })?;
    let result = runtime.block_on(work);
    // A read that is stuck on a dead disk or host must not keep the command from ending.
    runtime.shutdown_background();
    result
}

/// Carries work out to its end, and tells what came of it.
pub(crate) async fn carry_out(
    workspace: &Workspace,
    work: Work,
    options: &RunOptions,
    globals: &Globals,
) -> Result<Exit, Ended> {
    let interrupts = Interrupts::catch()?;
    let (run, plan, earlier) = describe(workspace, &work)?;
    let (targets, leases) = workspace.open_targets(&plan)?;
    let usual = UsualTimes::load(&workspace.state_dir, &plan.environment);
    let observer = Observer::start(ObserverOptions {
        face: Face::choose(globals, usual.clone()),
        state_dir: workspace.state_dir.clone(),
        run_dir: workspace.runs.run_dir(&run),
        worktrees: workspace.worktrees(),
        usual,
        earlier,
    });
    let (watching, stop) = interrupts.watch(run.clone(), observer.speaker());
    let engine = Engine {
        registry: workspace.registry.clone(),
        leases: Arc::new(leases),
        runs: journals(workspace, options),
        events: observer.events(),
        clock: workspace.clock.clone(),
    };
    let result = match work {
        Work::Execute(plan) => engine.execute(run.clone(), *plan, &targets, stop).await,
        Work::Resume(run) => engine.resume(&run, &targets, stop).await,
        Work::RollBack(run, request) => engine.roll_back(&run, request, &targets, stop).await,
    };
    drop(engine);
    observer.finish();
    let exit = tell(workspace, &run, result, globals)?;
    Ok(if exit == Exit::INTERRUPTED { watching.exit() } else { exit })
}

fn journals(workspace: &Workspace, options: &RunOptions) -> Arc<dyn Runs> {
    match options.halt_after {
        Some(records) => Arc::new(HaltingRuns::new(workspace.runs.clone(), records)),
        None => workspace.runs.clone(),
    }
}

/// The run, its plan, and what was written of it so far.
fn describe(workspace: &Workspace, work: &Work) -> Result<(RunId, Plan, Vec<pleach_core::journal::Record>), Ended> {
    match work {
        Work::Execute(approved) => {
            let name = format!("{}-{}", workspace.now().strftime("%Y%m%d-%H%M%S"), approved.id().short());
            let run = RunId::new(&name).map_err(|error| {
                Failure::new(Kind::Internal, format!("could not name the run `{name}`")).because(error.to_string())
            })?;
            Ok((run, approved.plan().clone(), Vec::new()))
        }
        Work::Resume(run) | Work::RollBack(run, _) => {
            let records = workspace.records(run)?;
            let plan = State::replay(&records).map_err(Failure::from)?.plan().clone();
            Ok((run.clone(), plan, records))
        }
    }
}

/// Answers with the report. It is read back from the journal: what is told is what was written.
fn tell(
    workspace: &Workspace,
    run: &RunId,
    result: Result<Report, RunError>,
    globals: &Globals,
) -> Result<Exit, Ended> {
    let report = result?;
    let state = workspace.state(run)?;
    if globals.json {
        #[derive(serde::Serialize)]
        #[serde(tag = "event", rename_all = "kebab-case")]
        enum Last<'a> {
            Report { report: &'a Report },
        }
        let line = serde_json::to_string(&Last::Report { report: &report }).unwrap_or_default();
        answer(&format!("{line}\n"));
    } else {
        answer(&report_text(&state, workspace.now(), Paint::of_stdout(globals.color), stdout_columns()));
    }
    let paint = Paint::of_stderr(globals.color);
    for failure in report_failures(&state) {
        tell_failure(&failure, paint);
    }
    tell_watchdogs(&state);
    write_incident(workspace, run, &state);
    if globals.verbose {
        narrate(&format!("logs: {}", log_dir(&workspace.runs.run_dir(run)).display()));
    }
    Ok(Exit(report.exit_code()))
}

/// Of a run that waits for a person, what those need who were not there.
fn write_incident(workspace: &Workspace, run: &RunId, state: &State) {
    let run_dir = workspace.runs.run_dir(run);
    let logs = std::fs::read_dir(log_dir(&run_dir)).into_iter().flatten().flatten().map(|file| file.path());
    let mut logs: Vec<_> = logs.collect();
    logs.sort();
    let Some(text) = incident_text(state, &logs, workspace.now()) else { return };
    let file = incident_file(&run_dir);
    match write_whole(&file, text.as_bytes()) {
        Ok(()) => narrate(&format!("incident: {}", file.display())),
        // All of it can be read elsewhere: `report` and `logs` tell the same.
        Err(error) => narrate(&format!("the incident was not written to `{}`: {error}", file.display())),
    }
}

/// A run that waits for a person leaves hosts behind that do not wait for ever.
fn tell_watchdogs(state: &State) {
    if !matches!(state.outcome(), Some(Outcome::Held | Outcome::Stuck)) {
        return;
    }
    let environment = &state.plan().environment;
    for (planned, status, _) in state.snapshots() {
        let deadline = planned.parameters.get("deadline").and_then(serde_json::Value::as_str);
        if let (KIND, SnapshotStatus::Proven, Some(deadline)) = (planned.kind.as_str(), status, deadline) {
            let target = &planned.target;
            narrate(&format!(
                "`{target}` takes itself back in {deadline} unless somebody keeps what is there with `pleach confirm {environment}`"
            ));
        }
    }
}
