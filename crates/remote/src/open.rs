//! From the config and from plans to targets, whatever their kind.

use std::path::Path;
use std::sync::Arc;

use pleach_core::config::{EnvironmentConfig, TargetConfig};
use pleach_core::error::{Failure, Kind};
use pleach_core::plan::{PlannedTarget, TargetDescription};
use pleach_core::target::Target;
use pleach_core::word::EnvironmentName;
use serde::de::DeserializeOwned;

use crate::local::{DirectoryTarget, describe_directory};
use crate::ssh::{Link, SshTarget, describe_ssh};

/// A target of an environment of the config as plans name it. `root` is the repository's root, where relative paths start.
/// Nothing is reached.
pub fn describe(
    environment: &EnvironmentConfig,
    target: &TargetConfig,
    root: &Path,
) -> Result<TargetDescription, Failure> {
    match target {
        TargetConfig::Directory(directory) => describe_directory(directory, root),
        TargetConfig::Ssh(ssh) => describe_ssh(ssh, root, &environment.total_limits),
    }
}

/// The target that a plan names. Nothing is reached.
pub fn open_target(environment: &EnvironmentName, planned: &PlannedTarget) -> Result<Arc<dyn Target>, Failure> {
    let (environment, name) = (environment.clone(), planned.name.clone());
    match planned.kind.as_str() {
        "directory" => {
            let settings = settings(&environment, planned)?;
            Ok(Arc::new(DirectoryTarget::new(environment, name, settings)))
        }
        "ssh" => Ok(Arc::new(open_ssh_target(&environment, planned)?)),
        kind => Err(Failure::new(Kind::Unsupported, format!("this program knows no target of kind `{kind}`"))
            .because("the plan was made by a newer Pleach, or by a program with more adapters")
            .state("nothing was touched")
            .next("run `pleach --version` here and where the plan was made, and use the newer one")),
    }
}

/// The host that a plan names, with all that it can do beyond core's ports. Nothing is reached.
pub fn open_ssh_target(environment: &EnvironmentName, planned: &PlannedTarget) -> Result<SshTarget, Failure> {
    let settings: crate::ssh::SshSettings = settings(environment, planned)?;
    let link = Link::shared(settings.destination(), &settings.limits, &settings.total_limits)?;
    Ok(SshTarget::new(environment.clone(), planned.name.clone(), settings, link))
}

fn settings<T: DeserializeOwned>(environment: &EnvironmentName, planned: &PlannedTarget) -> Result<T, Failure> {
    serde_json::from_value(planned.settings.clone()).map_err(|error| {
        Failure::new(Kind::Rejected, format!("could not understand the settings of target `{}`", planned.name))
            .because(error.to_string())
            .state("nothing was touched")
            .next(format!("make a new plan: `pleach plan {environment}`"))
    })
}
