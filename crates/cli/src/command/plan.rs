//! `pleach plan`: what a deployment would do.

use std::path::PathBuf;

use pleach_core::percent::Percent;
use pleach_core::plan::{Detail, Operation, Plan, render};
use pleach_core::word::{EnvironmentName, ServiceName};

use crate::args::{Globals, On, option};
use crate::deployment::{ask_for_canary, block_on, prepare, save_plan};
use crate::exit::{Ended, Exit};
use crate::print::{answer, narrate, stdout_plan_columns};
use crate::project::Project;

/// Arguments of `pleach plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to deploy to
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Only these services
    #[arg(long, value_name = "SERVICE,…", value_delimiter = ',')]
    only: Vec<ServiceName>,
    /// Share the requests with the release before first: one such part after the other, each watched, then all
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',')]
    canary: Vec<Percent>,
    /// Save the plan, for `pleach approve` and `pleach deploy --plan`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show each step with its limits, and how it is taken back
    #[arg(long)]
    long: bool,
    #[command(flatten)]
    on: On,
}

/// Reads the config, the commits and the targets, makes the plan and shows it. Touches nothing.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let mut project = Project::open_on(globals, Some(&args.environment), &args.on)?;
    let same = format!("{}{}{}", args.environment, option("only", &args.only), args.on.words());
    ask_for_canary(&mut project, &args.environment, &args.canary, &format!("pleach plan {same}"))?;
    let plan = block_on(prepare(&project, &args.environment, Operation::Deploy, &args.only))?;
    show_plan(&plan, if args.long { Detail::Steps } else { Detail::Lanes }, globals);
    if let Some(path) = &args.out {
        save_plan(path, &plan)?;
        let (environment, path) = (&args.environment, path.display());
        narrate(&format!("saved to `{path}`; next: `pleach deploy {environment} --plan {path}`"));
    } else if !plan.is_empty() && !globals.quiet {
        narrate(&format!("nothing was touched; next: `pleach deploy {same}{}`", option("canary", &args.canary)));
    }
    Ok(Exit::DONE)
}

/// The plan as the answer: text, or JSON.
pub(super) fn show_plan(plan: &Plan, detail: Detail, globals: &Globals) {
    if globals.json {
        answer(&format!("{}\n", serde_json::to_string_pretty(plan).unwrap_or_default()));
    } else {
        answer(&render(plan, stdout_plan_columns(), detail));
    }
}
