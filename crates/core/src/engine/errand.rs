//! One command on one target, outside of any plan.

use tokio_util::sync::CancellationToken;

use super::drive::{of_lease, of_target, within_limit};
use super::lease::keep;
use crate::error::{Failure, Kind};
use crate::port::{Call, Command, CommandOutput, Effect, LeaseRequest, Leases, LineSink};
use crate::target::Target;

/// Runs a command on a target. One that may change something runs under a lease that is taken for it, kept while it runs
/// and given back, however it ended.
///
/// # Errors
/// Another holds the lease, it was lost meanwhile, or the command could not be run. One that ran and failed is no error.
pub async fn run_errand(
    target: &dyn Target,
    leases: &dyn Leases,
    request: &LeaseRequest,
    command: &Command,
    lines: &dyn LineSink,
    cancel: &CancellationToken,
) -> Result<CommandOutput, Failure> {
    let name = target.id();
    let shell = target.shell().ok_or_else(|| {
        Failure::new(Kind::Unsupported, format!("target `{name}` runs no commands")).state("nothing was touched")
    })?;
    if command.effect == Effect::Read {
        return shell.run(command, Call { token: None, lines, cancel }).await;
    }
    let lease = within_limit(&of_lease(name), leases.acquire(request)).await?;
    let ran = async {
        within_limit(&of_target(name), target.fence(lease.token)).await?;
        let call = Call { token: Some(lease.token), lines, cancel };
        tokio::select! {
            ran = shell.run(command, call) => ran,
            lost = keep(leases, &lease, request.lifetime, |_| ()) => Err(lost),
        }
    };
    let ran = ran.await;
    let released = within_limit(&of_lease(name), leases.release(&lease)).await;
    let output = ran?;
    released?;
    Ok(output)
}
