//! What commands do with releases that are there already: planned, shown, consented to, run.

use pleach_core::config::ConsentRule;
use pleach_core::error::Kind;
use pleach_core::plan::{Operation, Plan, approve};
use pleach_core::word::{CommitId, EnvironmentName, ServiceName};
use serde_json::Value;

use super::deploy::show_for_consent;
use crate::args::Globals;
use crate::deployment::{
    Again, Answered, ConsentRequest, RunOptions, Work, ask_for_consent, carry_out, prepare, questions,
    require_nothing_unfinished,
};
use crate::exit::{Ended, Exit};
use crate::print::answer;
use crate::project::Project;

/// What is to be done with releases that are there already.
pub(super) struct OperationRequest<'a> {
    pub(super) environment: &'a EnvironmentName,
    pub(super) services: &'a [ServiceName],
    pub(super) operation: Operation,
    pub(super) answered: Answered,
    pub(super) options: &'a RunOptions,
    /// What is asked before, instead of what the environment says.
    pub(super) consent: Option<ConsentRule>,
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

/// The same of what is live, wherever the branches are by now. `require` refuses a plan that has nothing to do.
pub(super) async fn run_on_live(
    request: OperationRequest<'_>,
    require: impl FnOnce(&Plan) -> Result<(), Ended>,
    globals: &Globals,
    project: &Project,
) -> Result<Exit, Ended> {
    project.require_environment(request.environment)?;
    require_nothing_unfinished(&project.workspace, request.environment).await?;
    let planned = prepare(project, request.environment, request.operation.clone(), request.services).await;
    let mut plan = planned.map_err(refused)?;
    require(&plan)?;
    name_live_commits(project, &mut plan);
    run_plan(request, plan, globals, project).await
}

/// Shows a plan, gets consent, runs it.
async fn run_plan(
    request: OperationRequest<'_>,
    plan: Plan,
    globals: &Globals,
    project: &Project,
) -> Result<Exit, Ended> {
    let rule = request.consent.unwrap_or(project.require_environment(request.environment)?.consent);
    show_for_consent(&plan, rule, globals);
    let consent = ask_for_consent(&ConsentRequest {
        plan: &plan,
        rule,
        answered: request.answered,
        questions: questions(project, &plan, rule).await,
        now: project.workspace.now(),
        again: Again { command: request.command, saving: None },
    })?;
    let approved = approve(plan, consent).map_err(|error| Ended::refused(error.into()))?;
    carry_out(&project.workspace, Work::Execute(Box::new(approved)), request.options, globals).await
}

/// What does not fit how the services are by now is nothing wrong with the config.
fn refused(ended: Ended) -> Ended {
    let is_refusal = ended.failures.iter().all(|failure| failure.kind == Kind::Conflict);
    if is_refusal && !ended.failures.is_empty() { Ended { exit: Exit::REFUSED, ..ended } } else { ended }
}

/// Nothing new comes: what the plan names is what is live. Targets that have different commits keep that of the first.
fn name_live_commits(project: &Project, plan: &mut Plan) {
    let changed: Vec<ServiceName> = plan.lanes().map(|lane| lane.service.clone()).collect();
    plan.services.retain(|service| changed.contains(&service.name));
    for service in &mut plan.services {
        let fact = format!("service/{}/commit", service.name);
        let live = plan.targets.iter().find_map(|target| target.expects.get(&fact).and_then(Value::as_str));
        let Some(Ok(commit)) = live.map(CommitId::new) else { continue };
        if commit != service.commit {
            let known = project.workspace.repository.commit_info(&commit).ok();
            service.subject = known.map(|info| info.subject).unwrap_or_default();
            service.commit = commit;
        }
    }
}
