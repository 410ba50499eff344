//! From config, facts and commits to a plan.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Operation, Plan};
use crate::config::Config;
use crate::error::Failure;
use crate::registry::Registry;
use crate::target::Facts;
use crate::word::{CommitId, EnvironmentName, ServiceName, TargetName};

/// Where a service's files come from, as it was read from git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSource {
    /// What its branch names now.
    pub commit: CommitId,
    /// The commit's subject.
    pub subject: String,
}

/// All that a plan is made from.
pub struct PlanInput<'a> {
    /// The config.
    pub config: &'a Config,
    /// Where.
    pub environment: &'a EnvironmentName,
    /// What for.
    pub operation: Operation,
    /// Only these services; all of the environment's if empty.
    pub only: &'a [ServiceName],
    /// Commits by service.
    pub sources: &'a BTreeMap<ServiceName, ServiceSource>,
    /// Facts by target.
    pub facts: &'a BTreeMap<TargetName, Facts>,
    /// What the adapters can do.
    pub registry: &'a Registry,
    /// The time now.
    pub now: Timestamp,
}

/// Makes the plan, or tells every reason why there is none.
pub fn plan(input: &PlanInput<'_>) -> Result<Plan, Vec<Failure>> {
    let _ = input;
    Err(Vec::new())
}
