//! `pleach status`: what runs where, and since when.

use pleach_core::word::EnvironmentName;

use crate::args::{Globals, On};
use crate::deployment::block_on;
use crate::exit::{Ended, Exit};
use crate::print::{Paint, answer};
use crate::project::Project;
use crate::standing::{Standing, extras, stand, table};

/// Arguments of `pleach status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only in this environment
    #[arg(value_name = "ENVIRONMENT")]
    environment: Option<EnvironmentName>,
    /// Show a full-screen view that stays up to date
    #[arg(short, long, conflicts_with = "json")]
    watch: bool,
    #[command(flatten)]
    on: On,
}

/// Reads every target side by side, the runs and the leases, and tells.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open_on(globals, args.environment.as_ref(), &args.on)?;
    if args.watch {
        return block_on(crate::watch::watch(project, args.environment));
    }
    let standing = block_on(stand(&project, args.environment.as_ref()))?;
    tell(&standing, &project, globals);
    Ok(Exit::DONE)
}

fn tell(standing: &Standing, project: &Project, globals: &Globals) {
    if globals.json {
        answer(&format!("{}\n", serde_json::to_string_pretty(standing).unwrap_or_default()));
        return;
    }
    let now = project.workspace.now();
    if standing.services.is_empty() {
        answer("no service goes to any target\n");
    } else {
        answer(&table(standing, now, globals));
    }
    answer(&extras(standing, now, Paint::of_stdout(globals.color)));
}
