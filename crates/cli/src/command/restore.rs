//! `pleach restore`: puts back what a backup keeps.

use pleach_core::plan::Operation;
use pleach_core::word::{EnvironmentName, RunId, ServiceName};

use super::backup::require_backup;
use super::operation::{OperationRequest, run_on_live};
use crate::args::{Globals, On};
use crate::deployment::{Answered, RunOptions, block_on};
use crate::exit::{Ended, Exit};
use crate::project::Project;

/// Arguments of `pleach restore`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Files and volumes are as they were when the backup was made, and the release that was current is current again. What is \
    there now is copied and compared first, put back where the run fails or is interrupted, and stays beside in any case. What runs on \
    what is put back is started anew. The backup stays."
)]
pub(crate) struct Args {
    /// Where
    #[arg(value_name = "ENVIRONMENT")]
    environment: EnvironmentName,
    /// What `pleach backup ENVIRONMENT --list` calls it
    #[arg(value_name = "BACKUP")]
    backup: RunId,
    /// Only these; all that it has if none is named
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

/// Plans it, shows that, gets consent, runs it.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let project = Project::open_on(globals, Some(&args.environment), &args.on)?;
    block_on(restore(&args, globals, &project))
}

async fn restore(args: &Args, globals: &Globals, project: &Project) -> Result<Exit, Ended> {
    let Args { environment, backup, services, options, .. } = args;
    let request = OperationRequest {
        environment,
        services,
        operation: Operation::Restore { backup: backup.clone() },
        answered: if args.yes { Answered::Yes } else { Answered::NotYet },
        options,
        consent: None,
        command: &format!("pleach restore {environment} {backup}{}", args.on.words()),
    };
    run_on_live(request, |plan| require_backup(plan, backup), globals, project).await
}
