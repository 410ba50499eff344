//! `pleach stop`: stops services and keeps their releases.

use pleach_core::plan::Operation;
use pleach_core::word::{EnvironmentName, ServiceName};

use super::operation::{OperationRequest, run_operation};
use crate::args::{Globals, On};
use crate::deployment::{Answered, RunOptions, block_on};
use crate::exit::{Ended, Exit};
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
        consent: None,
        command: &format!("pleach stop {}{}", args.environment, args.on.words()),
    };
    block_on(run_operation(request, globals, &project))
}
