//! `pleach restart`: starts services anew, at the releases that they have.

use pleach_core::error::{Failure, Kind};
use pleach_core::plan::{Operation, Plan};
use pleach_core::word::{EnvironmentName, ServiceName};

use super::operation::{OperationRequest, run_on_live};
use crate::args::{Globals, On};
use crate::deployment::{Answered, RunOptions, block_on};
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
    let request = OperationRequest {
        environment,
        services,
        operation: Operation::Restart { part: args.part.clone() },
        answered: if args.yes { Answered::Yes } else { Answered::NotYet },
        options,
        consent: None,
        command: &format!("pleach restart {environment}{}", args.on.words()),
    };
    run_on_live(request, |plan| require_work(plan, services), globals, project).await
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
