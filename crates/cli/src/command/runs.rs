//! `pleach runs`: all runs, the newest first.

use pleach_core::journal::Outcome;
use pleach_core::port::RunEntry;
use pleach_core::word::EnvironmentName;
use serde::Serialize;

use crate::args::Globals;
use crate::exit::{Ended, Exit};
use crate::print::{Cell, Paint, Style, Table, ago_text, answer, moment_text, short_moment_text, stdout_columns};
use crate::project::{Project, Workspace};

/// The columns from which on there is room for what a run was for, and for the year and seconds of a point of time.
const WIDE: usize = 100;

/// Arguments of `pleach runs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only in this environment
    #[arg(value_name = "ENVIRONMENT")]
    environment: Option<EnvironmentName>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    limit: usize,
}

#[derive(Serialize)]
struct Listed<'a> {
    run: &'a str,
    plan: &'a str,
    environment: &'a str,
    /// `deploy`, `switch`, `stop` or `restart`; nothing where the journal cannot be read.
    operation: Option<&'static str>,
    started: String,
    outcome: Option<Outcome>,
}

/// Reads the first and last record of each journal, and of those that are shown what they were for, and lists them.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let workspace = Workspace::open(globals)?;
    let entries = workspace.entries()?;
    if let Some(name) = &args.environment {
        require_known(globals, &entries, name)?;
    }
    let wanted = |entry: &&RunEntry| args.environment.as_ref().is_none_or(|name| entry.environment == *name);
    let shown: Vec<&RunEntry> = entries.iter().filter(wanted).take(args.limit).collect();
    if globals.json {
        let listed: Vec<Listed<'_>> = shown.iter().map(|entry| listed(entry, &workspace)).collect();
        answer(&format!("{}\n", serde_json::to_string_pretty(&listed).unwrap_or_default()));
    } else if shown.is_empty() {
        answer("no runs yet\n");
    } else {
        let narrow = stdout_columns().is_some_and(|columns| columns < WIDE);
        let mut heading = vec!["RUN", "ENVIRONMENT", "OUTCOME", "STARTED", ""];
        if !narrow {
            heading.insert(2, "WHAT");
        }
        let mut table = Table::new(heading);
        for entry in shown {
            let (style, word) = match entry.outcome {
                Some(Outcome::Succeeded) => (Style::Good, "succeeded"),
                Some(Outcome::RolledBack) => (Style::Busy, "taken back"),
                Some(Outcome::Held) => (Style::Bad, "held"),
                Some(Outcome::Stuck) => (Style::Bad, "STUCK"),
                None => (Style::Busy, "not at its end"),
            };
            let started = if narrow { short_moment_text(entry.started) } else { moment_text(entry.started) };
            let mut cells = vec![
                Cell::styled(Style::Bold, entry.run.as_str()),
                entry.environment.as_str().into(),
                Cell::styled(style, word),
                started.into(),
                ago_text(entry.started, workspace.now()).into(),
            ];
            if !narrow {
                cells.insert(2, operation(entry, &workspace).unwrap_or("?").into());
            }
            table.row(cells);
        }
        answer(&table.text(Paint::of_stdout(globals.color), stdout_columns()));
    }
    Ok(Exit::DONE)
}

/// An environment has runs also after it was taken out of the config.
fn require_known(globals: &Globals, entries: &[RunEntry], name: &EnvironmentName) -> Result<(), Ended> {
    if entries.iter().any(|entry| entry.environment == *name) {
        return Ok(());
    }
    Project::open(globals)?.require_environment(name)?;
    Ok(())
}

fn operation(entry: &RunEntry, workspace: &Workspace) -> Option<&'static str> {
    workspace.state(&entry.run).ok().map(|state| state.plan().operation.verb())
}

fn listed<'a>(entry: &'a RunEntry, workspace: &Workspace) -> Listed<'a> {
    Listed {
        run: entry.run.as_str(),
        plan: entry.plan.as_str(),
        environment: entry.environment.as_str(),
        operation: operation(entry, workspace),
        started: entry.started.to_string(),
        outcome: entry.outcome,
    }
}
