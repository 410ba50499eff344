//! `pleach resume`: goes on after a crash, a kill, a power cut, or a hold.

use pleach_core::error::{Failure, Kind};
use pleach_core::journal::Outcome;
use pleach_core::port::RunEntry;
use pleach_core::word::RunId;

use crate::args::Globals;
use crate::deployment::{RunOptions, Work, block_on, carry_out};
use crate::exit::{Ended, Exit};
use crate::print::{answer, narrate};
use crate::project::Workspace;
use crate::standing::{open_runs, superseded};

/// Arguments of `pleach resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which run; the newest that is not at its end if none is named
    #[arg(value_name = "RUN")]
    run: Option<RunId>,
    #[command(flatten)]
    options: RunOptions,
}

/// Finds the run and goes on with it. The plan in its journal is all that is needed: no config is read.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let workspace = Workspace::open(globals)?;
    let run = match args.run {
        Some(run) => run,
        None => match newest_open(&workspace)? {
            Some(entry) => entry.run,
            None => {
                answer(if globals.json {
                    "{\"event\":\"report\",\"report\":null}\n"
                } else {
                    "nothing to resume: every run is at its end\n"
                });
                return Ok(Exit::DONE);
            }
        },
    };
    require_resumable(&workspace, &run)?;
    if !globals.quiet {
        narrate(&format!("going on with run {run}"));
    }
    block_on(carry_out(&workspace, Work::Resume(run), &args.options, globals))
}

/// The newest run that stopped before its end; else the newest that waits for a person.
fn newest_open(workspace: &Workspace) -> Result<Option<RunEntry>, Failure> {
    let mut open = open_runs(workspace, &workspace.entries()?)?;
    let at = open.iter().position(|entry| entry.outcome.is_none()).unwrap_or(0);
    Ok((at < open.len()).then(|| open.swap_remove(at)))
}

fn require_resumable(workspace: &Workspace, run: &RunId) -> Result<(), Ended> {
    let entries = workspace.entries()?;
    let Some(entry) = entries.iter().find(|entry| entry.run == *run) else { return Err(unknown_run(workspace, run)) };
    let refused = |why: String, next: String| {
        let failure = Failure::new(Kind::Conflict, format!("could not resume run `{run}`"));
        Ended::refused(failure.because(why).state("nothing was touched").next(next))
    };
    match entry.outcome {
        None => Ok(()),
        Some(Outcome::Succeeded | Outcome::RolledBack) => {
            Err(refused("it is at its end".to_owned(), format!("`pleach report {run}` tells what came of it")))
        }
        Some(Outcome::Held | Outcome::Stuck) => match superseded(workspace, &entries, entry)? {
            None => Ok(()),
            Some(later) => Err(refused(
                format!("run {later} has begun since"),
                format!("see what runs with `pleach status {}`", entry.environment),
            )),
        },
    }
}

/// There is no run of that name; those that there are stand in the error.
pub(crate) fn unknown_run(workspace: &Workspace, run: &RunId) -> Ended {
    let entries = workspace.entries().unwrap_or_default();
    let newest: Vec<String> = entries.iter().take(5).map(|entry| format!("`{}`", entry.run)).collect();
    let known = if newest.is_empty() {
        "there are no runs yet".to_owned()
    } else {
        format!("the newest are {}", newest.join(", "))
    };
    Ended::wrong(
        Failure::new(Kind::Rejected, format!("there is no run `{run}`"))
            .because(known)
            .state("nothing was touched")
            .next("list them with `pleach runs`"),
    )
}
