//! `pleach approve`: consent to a saved plan, to be used by `pleach deploy --plan`.

use std::path::PathBuf;

use pleach_core::plan::{Detail, render};

use crate::args::Globals;
use crate::deployment::{
    Again, Answered, ConsentRequest, ask_for_consent, block_on, consent_path, load_plan, questions, save_consent,
};
use crate::exit::{Ended, Exit};
use crate::print::{answer, complain, narrate, stderr_plan_columns};
use crate::project::Project;

/// Arguments of `pleach approve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A plan that was saved with `pleach plan --out`
    #[arg(value_name = "FILE")]
    plan: PathBuf,
    /// Consent without being asked, where the environment allows it
    #[arg(short, long)]
    yes: bool,
}

/// Reads the plan, shows every step, gets consent by the environment's rule, and saves it beside the plan.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open(globals)?;
    let saved = load_plan(&args.plan)?;
    let rule = project.require_environment(&saved.plan.environment)?.consent;
    complain(&render(&saved.plan, stderr_plan_columns(), Detail::Steps));
    let answered = if args.yes { Answered::Yes } else { Answered::NotYet };
    let questions = block_on(async { Ok(questions(&project, &saved.plan, rule).await) })?;
    let consent = ask_for_consent(&ConsentRequest {
        plan: &saved.plan,
        rule,
        answered,
        questions,
        now: project.workspace.now(),
        again: Again { command: &format!("pleach approve {}", saved.path.display()), saving: None },
    })?;
    save_consent(&saved.path, &consent)?;
    if globals.json {
        answer(&format!("{}\n", serde_json::to_string(&consent).unwrap_or_default()));
    } else {
        answer(&format!("{}\n", consent_path(&saved.path).display()));
        let (environment, path) = (&saved.plan.environment, saved.path.display());
        narrate(&format!("next: `pleach deploy {environment} --plan {path}`"));
    }
    Ok(Exit::DONE)
}
