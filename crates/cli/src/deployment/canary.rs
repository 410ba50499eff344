//! `--canary`: what is asked for on the command line stands before what the config says.

use pleach_core::config::CanaryConfig;
use pleach_core::error::{Failure, Kind};
use pleach_core::percent::Percent;
use pleach_core::word::EnvironmentName;

use crate::exit::Ended;
use crate::project::Project;

/// Has an environment's releases prove themselves with these parts of the requests; a service that cannot is refused by name.
/// `command` is what was typed, without these.
pub(crate) fn ask_for_canary(
    project: &mut Project,
    name: &EnvironmentName,
    steps: &[Percent],
    command: &str,
) -> Result<(), Ended> {
    if steps.is_empty() {
        return Ok(());
    }
    project.require_environment(name)?;
    let Some(environment) = project.config.environments.get_mut(name) else { return Ok(()) };
    let all_else = environment.canary.take().unwrap_or_else(|| CanaryConfig::of(Vec::new()));
    let canary = CanaryConfig { steps: steps.to_vec(), required: true, ..all_else };
    if let Some((_, why)) = canary.wrong_step() {
        return Err(Ended::wrong(
            Failure::new(Kind::Rejected, "could not understand `--canary`")
                .because(why)
                .state("nothing was touched")
                .next(format!(
                    "whole percentages, each larger than the one before, and `0%` only with `match` in `canary`: \
                     `{command} --canary 10%,50%`"
                )),
        ));
    }
    environment.canary = Some(canary);
    Ok(())
}
