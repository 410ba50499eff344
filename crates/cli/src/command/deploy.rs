//! `pleach deploy`: plan, consent, run.

use std::path::{Path, PathBuf};

use pleach_core::config::{ConsentRule, EnvironmentConfig};
use pleach_core::error::{Failure, Kind};
use pleach_core::percent::Percent;
use pleach_core::plan::{ApprovedPlan, Detail, OnFailure, Operation, Plan, approve, render};
use pleach_core::word::{EnvironmentName, ServiceName};

use super::promote::{bring_back, require_still_proven};
use crate::args::{Globals, On, option};
use crate::deployment::{
    Again, Answered, ConsentRequest, RunOptions, Work, ask_for_canary, ask_for_consent, block_on, can_ask, carry_out,
    load_consent, load_plan, prepare, questions, require_clean, require_enough, require_nothing_unfinished, select,
};
use crate::exit::{Ended, Exit};
use crate::print::{answer, complain, stderr_plan_columns};
use crate::project::Project;

/// Arguments of `pleach deploy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to deploy to
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Only these services
    #[arg(long, value_name = "SERVICE,…", value_delimiter = ',', conflicts_with = "plan")]
    only: Vec<ServiceName>,
    /// Carry out a plan that was saved with `pleach plan --out`
    #[arg(long, value_name = "FILE", conflicts_with = "targets")]
    plan: Option<PathBuf>,
    /// Consent without being asked, where the environment allows it
    #[arg(short, long)]
    yes: bool,
    /// What a failure means for the others, instead of what the environment says
    #[arg(long, value_name = "POLICY", value_parser = parse_on_failure, conflicts_with = "plan")]
    on_failure: Option<OnFailure>,
    /// Share the requests with the release before first: one such part after the other, each watched, then all
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',', conflicts_with = "plan")]
    canary: Vec<Percent>,
    /// Deploy what is committed although a worktree has more
    #[arg(long)]
    ignore_uncommitted: bool,
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    options: RunOptions,
}

impl Args {
    /// What is typed to do the same again, without `--canary`, which stands behind it.
    fn command(&self) -> String {
        let plan: Vec<_> = self.plan.iter().map(|path| path.display()).collect();
        let ignore = if self.ignore_uncommitted { " --ignore-uncommitted" } else { "" };
        let options = [option("plan", &plan), option("only", &self.only), on_failure_words(self.on_failure)].concat();
        format!("pleach deploy {}{options}{}{ignore}", self.environment, self.on.words())
    }

    /// What is typed to save the plan of it.
    fn saving(&self) -> String {
        let options = [option("only", &self.only), self.on.words(), option("canary", &self.canary)].concat();
        format!("pleach plan {}{options} --out plan.json", self.environment)
    }
}

/// Checks that nothing stands in the way, makes or reads the plan, shows it, gets consent, runs it.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let mut project = Project::open_on(globals, Some(&args.environment), &args.on)?;
    ask_for_canary(&mut project, &args.environment, &args.canary, &args.command())?;
    block_on(deploy(&args, globals, &project))
}

async fn deploy(args: &Args, globals: &Globals, project: &Project) -> Result<Exit, Ended> {
    let environment = project.require_environment(&args.environment)?;
    project.require_services(&args.only)?;
    require_nothing_unfinished(&project.workspace, &args.environment).await?;
    let saved = args.plan.as_deref().map(|path| require_saved_plan(path, &args.environment)).transpose()?;
    let proven = match (&environment.promote_from, &saved) {
        (Some(from), Some(plan)) if !plan.is_empty() => Some((from, require_still_proven(project, from, plan).await?)),
        _ => {
            require_no_other_way(&args.environment, environment)?;
            None
        }
    };
    if !args.ignore_uncommitted && saved.is_none() {
        require_clean(project, &select(project, environment, &args.only))?;
    }
    let plan = match saved {
        Some(plan) => plan,
        None => {
            let mut plan = prepare(project, &args.environment, Operation::Deploy, &args.only).await?;
            plan.policy.on_failure = args.on_failure.unwrap_or(plan.policy.on_failure);
            plan
        }
    };
    if plan.is_empty() {
        return nothing_to_do(args, globals, project, &plan).await;
    }
    show_for_consent(&plan, environment.consent, globals);
    let answered = if args.yes { Answered::Yes } else { Answered::NotYet };
    let (command, saving) = (args.command() + &option("canary", &args.canary), args.saving());
    let again = Again { command: &command, saving: Some(&*saving).filter(|_| args.plan.is_none()) };
    let saved = args.plan.as_deref();
    let approved = approve_plan(project, plan, environment.consent, answered, saved, again).await?;
    if let Some((from, proven)) = &proven {
        bring_back(project, from, &args.environment, proven.iter()).await?;
    }
    carry_out(&project.workspace, Work::Execute(Box::new(approved)), &args.options, globals).await
}

/// The consent that lies beside a saved plan, or the answer of whoever is here, bound to the plan.
pub(super) async fn approve_plan(
    project: &Project,
    plan: Plan,
    rule: ConsentRule,
    answered: Answered,
    saved: Option<&Path>,
    again: Again<'_>,
) -> Result<ApprovedPlan, Ended> {
    let given = saved.map(load_consent).transpose()?.flatten();
    let was_given = given.is_some();
    let consent = match given {
        Some(consent) => consent,
        None => ask_for_consent(&ConsentRequest {
            plan: &plan,
            rule,
            answered,
            questions: questions(project, &plan, rule).await,
            now: project.workspace.now(),
            again,
        })?,
    };
    let approved = approve(plan, consent).map_err(|error| Ended::refused(error.into()))?;
    if let (true, Some(path)) = (was_given, saved) {
        require_enough(approved.plan(), rule, approved.consent(), path)?;
    }
    Ok(approved)
}

/// The plan on standard error: the answer of a deployment is its report. Whoever has to type what goes live must see it.
pub(super) fn show_for_consent(plan: &Plan, rule: ConsentRule, globals: &Globals) {
    let is_asked = rule == ConsentRule::Typed && can_ask();
    if is_asked || (!globals.quiet && !globals.json) {
        complain(&render(plan, stderr_plan_columns(), Detail::Lanes));
    }
}

/// What was not proven elsewhere first does not come here.
fn require_no_other_way(name: &EnvironmentName, environment: &EnvironmentConfig) -> Result<(), Ended> {
    let Some(from) = &environment.promote_from else { return Ok(()) };
    let failure = Failure::new(Kind::Rejected, format!("`{name}` takes only what is proven in `{from}`"))
        .because(format!("`promote-from = \"{from}\"` says so, and a branch may have more than that"))
        .state("nothing was touched")
        .next(format!("`pleach deploy {from}`, then `pleach promote {from} {name}`"));
    Err(Ended::refused(failure))
}

fn require_saved_plan(path: &Path, environment: &EnvironmentName) -> Result<Plan, Ended> {
    let saved = load_plan(path)?;
    if saved.plan.environment == *environment {
        return Ok(saved.plan);
    }
    Err(Ended::wrong(
        Failure::new(Kind::Rejected, format!("plan `{}` is not for `{environment}`", saved.path.display()))
            .because(format!("it was made for `{}`", saved.plan.environment))
            .state("nothing was touched")
            .next(format!("`pleach deploy {} --plan {}`", saved.plan.environment, saved.path.display())),
    ))
}

/// Says so, and shows what was seen: a green without evidence is none.
async fn nothing_to_do(args: &Args, globals: &Globals, project: &Project, plan: &Plan) -> Result<Exit, Ended> {
    let names: Vec<ServiceName> = plan.services.iter().map(|service| service.name.clone()).collect();
    let standing = crate::standing::stand(project, Some(&args.environment)).await?.only(&names);
    if globals.json {
        answer(&format!("{}\n", serde_json::to_string(&standing).unwrap_or_default()));
    } else {
        answer("nothing to do: all runs what its branch names\n");
        answer(&crate::standing::table(&standing, project.workspace.now(), globals));
    }
    Ok(Exit::DONE)
}

pub(super) fn parse_on_failure(text: &str) -> Result<OnFailure, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| "one of `unwind-run`, `unwind-lane` and `hold`".to_owned())
}

/// `--on-failure`, as it was typed.
pub(super) fn on_failure_words(policy: Option<OnFailure>) -> String {
    let policy = policy.and_then(|policy| serde_json::to_value(policy).ok());
    option("on-failure", &policy.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>())
}
