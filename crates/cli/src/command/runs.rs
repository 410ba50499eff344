//! `pleach runs`: all runs, the newest first.

use pleach_core::journal::Outcome;
use pleach_core::port::RunEntry;
use pleach_core::word::EnvironmentName;
use serde::Serialize;

use crate::args::Globals;
use crate::exit::{Ended, Exit};
use crate::print::{Cell, Paint, Style, Table, ago_text, answer, moment_text, short_moment_text, stdout_columns};
use crate::project::{Project, Workspace};

/// The columns from which on a point of time has room for its year and its seconds.
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
    started: String,
    outcome: Option<Outcome>,
}

/// Reads the first and last record of each journal, and lists them.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let workspace = Workspace::open(globals)?;
    let entries = workspace.entries()?;
    if let Some(name) = &args.environment {
        require_known(globals, &entries, name)?;
    }
    let wanted = |entry: &&RunEntry| args.environment.as_ref().is_none_or(|name| entry.environment == *name);
    let shown: Vec<&RunEntry> = entries.iter().filter(wanted).take(args.limit).collect();
    if globals.json {
        let listed: Vec<Listed<'_>> = shown.iter().map(|entry| listed(entry)).collect();
        answer(&format!("{}\n", serde_json::to_string_pretty(&listed).unwrap_or_default()));
    } else if shown.is_empty() {
        answer("no runs yet\n");
    } else {
        let mut table = Table::new(["RUN", "ENVIRONMENT", "OUTCOME", "STARTED", ""]);
        for entry in shown {
            let (style, word) = match entry.outcome {
                Some(Outcome::Succeeded) => (Style::Good, "succeeded"),
                Some(Outcome::RolledBack) => (Style::Busy, "taken back"),
                Some(Outcome::Held) => (Style::Bad, "held"),
                Some(Outcome::Stuck) => (Style::Bad, "STUCK"),
                None => (Style::Busy, "not at its end"),
            };
            let started = match stdout_columns() {
                Some(columns) if columns < WIDE => short_moment_text(entry.started),
                _ => moment_text(entry.started),
            };
            table.row([
                Cell::styled(Style::Bold, entry.run.as_str()),
                entry.environment.as_str().into(),
                Cell::styled(style, word),
                started.into(),
                ago_text(entry.started, workspace.now()).into(),
            ]);
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

fn listed(entry: &RunEntry) -> Listed<'_> {
    Listed {
        run: entry.run.as_str(),
        plan: entry.plan.as_str(),
        environment: entry.environment.as_str(),
        started: entry.started.to_string(),
        outcome: entry.outcome,
    }
}
