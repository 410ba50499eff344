//! `pleach restart`: starts services anew, at the releases that they have.

use pleach_core::error::{Failure, Kind};
use pleach_core::plan::{Operation, Plan};
use pleach_core::word::{CommitId, EnvironmentName, ServiceName};
use serde_json::Value;

use super::stop::{OperationRequest, run_plan};
use crate::args::{Globals, On};
use crate::deployment::{Answered, RunOptions, block_on, prepare, require_nothing_unfinished};
use crate::exit::{Ended, Exit};
use crate::project::Project;

/// Arguments of `pleach restart`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The process of the current release is ended and started anew; connections wait up to two seconds \
    for it. A service with a `start` command has its `stop` and `start` run. What is stopped is refused, and files alone have nothing to \
    restart."
)]
pub(crate) struct Args {
    /// Where
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// Only these; all of the environment's that run if none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// Only these containers of a Compose project: `web`, `database`, a service of it, or a name from `parts`
    #[arg(long, value_name = "NAME")]
    part: Option<String>,
    /// Consent without being asked, where the environment allows it
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    options: RunOptions,
}

/// Plans the restart, shows it, gets consent, runs it.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open_on(globals, Some(&args.environment), &args.on)?;
    block_on(restart(&args, globals, &project))
}

async fn restart(args: &Args, globals: &Globals, project: &Project) -> Result<Exit, Ended> {
    let Args { environment, services, options, .. } = args;
    project.require_environment(environment)?;
    require_nothing_unfinished(&project.workspace, environment).await?;
    let operation = Operation::Restart { part: args.part.clone() };
    let planned = prepare(project, environment, operation.clone(), services).await;
    let mut plan = planned.map_err(refused)?;
    require_work(&plan, services)?;
    name_live_commits(project, &mut plan);
    let request = OperationRequest {
        environment,
        services,
        operation,
        answered: if args.yes { Answered::Yes } else { Answered::NotYet },
        options,
        command: &format!("pleach restart {environment}{}", args.on.words()),
    };
    run_plan(request, plan, globals, project).await
}

/// Services that are stopped are nothing wrong with the config.
fn refused(ended: Ended) -> Ended {
    let is_refusal = ended.failures.iter().all(|failure| failure.kind == Kind::Conflict);
    if is_refusal && !ended.failures.is_empty() { Ended { exit: Exit::REFUSED, ..ended } } else { ended }
}

/// There is something to restart of each service that was named, or at all.
fn require_work(plan: &Plan, services: &[ServiceName]) -> Result<(), Ended> {
    let has_work = |service: &ServiceName| plan.lanes().any(|lane| lane.service == *service);
    let environment = &plan.environment;
    let nothing = |what: String, next: String| {
        Failure::new(Kind::Conflict, what)
            .because("it is not deployed there, or it is files only: nothing of it runs")
            .state("nothing was touched")
            .next(next)
    };
    let mut failures: Vec<Failure> = services
        .iter()
        .filter(|service| !has_work(service))
        .map(|service| {
            let deploy = format!("deploy it with `pleach deploy {environment} --only {service}`");
            nothing(format!("service `{service}` has nothing to restart in `{environment}`"), deploy)
        })
        .collect();
    if services.is_empty() && plan.is_empty() {
        let look = format!("look what is there with `pleach status {environment}`");
        failures.push(nothing(format!("there is nothing to restart in `{environment}`"), look));
    }
    if failures.is_empty() { Ok(()) } else { Err(Ended { exit: Exit::REFUSED, failures, text: String::new() }) }
}

/// A restart brings nothing new: what the plan names is what is live, wherever the branches are by now. Targets that have
/// different commits keep that of the first.
pub(super) fn name_live_commits(project: &Project, plan: &mut Plan) {
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
