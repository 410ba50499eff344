//! `pleach stop`: stops services and keeps their releases.

use pleach_core::plan::{Operation, Plan, approve};
use pleach_core::word::{EnvironmentName, ServiceName};

use super::deploy::show_for_consent;
use crate::args::{Globals, On};
use crate::deployment::{
    Answered, ConsentRequest, RunOptions, Work, ask_for_consent, block_on, carry_out, prepare, questions,
    require_nothing_unfinished,
};
use crate::exit::{Ended, Exit};
use crate::print::answer;
use crate::project::Project;

/// Arguments of `pleach stop`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Only these; all of the environment's if none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// Consent without being asked, where the environment allows it
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    options: RunOptions,
}

/// Plans the stop, shows it, gets consent, runs it.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open_on(globals, Some(&args.environment), &args.on)?;
    let request = OperationRequest {
        environment: &args.environment,
        services: &args.services,
        operation: Operation::Stop,
        answered: if args.yes { Answered::Yes } else { Answered::NotYet },
        options: &args.options,
        command: &format!("pleach stop {}{}", args.environment, args.on.words()),
    };
    block_on(run_operation(request, globals, &project))
}

/// What is to be done with releases that are there already.
pub(super) struct OperationRequest<'a> {
    pub(super) environment: &'a EnvironmentName,
    pub(super) services: &'a [ServiceName],
    pub(super) operation: Operation,
    pub(super) answered: Answered,
    pub(super) options: &'a RunOptions,
    /// What to type again.
    pub(super) command: &'a str,
}

/// Plans an operation, shows it, gets consent, runs it.
pub(super) async fn run_operation(
    request: OperationRequest<'_>,
    globals: &Globals,
    project: &Project,
) -> Result<Exit, Ended> {
    project.require_environment(request.environment)?;
    require_nothing_unfinished(&project.workspace, request.environment).await?;
    let plan = prepare(project, request.environment, request.operation.clone(), request.services).await?;
    if plan.is_empty() {
        let standing = crate::standing::stand(project, Some(request.environment)).await?.only(request.services);
        answer("nothing to do: all is as wanted already\n");
        answer(&crate::standing::table(&standing, project.workspace.now(), globals));
        return Ok(Exit::DONE);
    }
    run_plan(request, plan, globals, project).await
}

/// Shows a plan, gets consent, runs it.
pub(super) async fn run_plan(
    request: OperationRequest<'_>,
    plan: Plan,
    globals: &Globals,
    project: &Project,
) -> Result<Exit, Ended> {
    let rule = project.require_environment(request.environment)?.consent;
    show_for_consent(&plan, rule, globals);
    let consent = ask_for_consent(&ConsentRequest {
        plan: &plan,
        rule,
        answered: request.answered,
        questions: questions(project, &plan, rule).await,
        now: project.workspace.now(),
        command: request.command,
    })?;
    let approved = approve(plan, consent).map_err(|error| Ended::refused(error.into()))?;
    carry_out(&project.workspace, Work::Execute(Box::new(approved)), request.options, globals).await
}
