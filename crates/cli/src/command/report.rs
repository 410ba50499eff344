//! `pleach report`: what came of a run.

use pleach_core::report::Report;
use pleach_core::word::RunId;

use super::resume::unknown_run;
use crate::args::Globals;
use crate::exit::{Ended, Exit};
use crate::print::{Paint, answer, consent_text, report_failures, report_text, stdout_columns, tell_failure};
use crate::project::Workspace;

/// Arguments of `pleach report`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which run; the newest if none is named
    #[arg(value_name = "RUN")]
    run: Option<RunId>,
}

/// Replays the journal and tells what it comes to. The exit code says whether it could be read, not how the run ended.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let workspace = Workspace::open(globals)?;
    let entries = workspace.entries()?;
    let Some(run) = args.run.clone().or_else(|| entries.first().map(|entry| entry.run.clone())) else {
        answer("no runs yet\n");
        return Ok(Exit::DONE);
    };
    if !workspace.runs.journal_path(&run).exists() {
        return Err(unknown_run(&workspace, &run));
    }
    let state = workspace.state(&run)?;
    if globals.json {
        answer(&format!("{}\n", serde_json::to_string_pretty(&Report::of(&state)).unwrap_or_default()));
        return Ok(Exit::DONE);
    }
    let paint = Paint::of_stdout(globals.color);
    answer(&report_text(&state, workspace.now(), paint, stdout_columns()));
    answer(&consent_text(state.approved().consent(), paint));
    report_failures(&state).iter().for_each(|failure| tell_failure(failure, Paint::of_stderr(globals.color)));
    Ok(Exit::DONE)
}
