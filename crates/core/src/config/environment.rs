//! `[environments.NAME]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::canary::CanaryConfig;
use super::target::{TargetConfig, TotalLimits};
use crate::period::Period;
use crate::plan::{BatchSize, Limits, OnFailure, Policy, Retry};
use crate::word::{ChannelName, EnvironmentName, ServiceName, TargetName};

/// A named set of targets with a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EnvironmentConfig {
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"This machine")]
    pub description: Option<String>,
    /// The services that go here; all if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["pr-review", "nl-sql"])]
    pub services: Vec<ServiceName>,
    /// What a failed lane means for the others: `unwind-run` takes all back, `unwind-lane` only the failed one, `hold`
    /// stops and waits for a person. If absent: `hold` in `prod` and `production`, `unwind-run` elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"unwind-run")]
    pub on_failure: Option<OnFailure>,
    /// How many lanes work at once, and how fast they start.
    #[serde(default)]
    #[schemars(example = serde_json::json!({ "parallel": 8, "per-target": 4 }))]
    pub limits: Limits,
    /// Rolling batches: the number or share of lanes of each batch in order, the last one repeats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = serde_json::json!([1, "25%", "100%"]))]
    pub batch: Vec<BatchSize>,
    /// Lanes that may fail, each taken back alone, before `on-failure` applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 0)]
    pub failure_budget: Option<u32>,
    /// The wait between two batches.
    #[serde(default)]
    #[schemars(example = &"30s")]
    pub pause: Period,
    /// How often a step is tried again after a transient failure.
    #[serde(default)]
    #[schemars(example = serde_json::json!({ "attempts": 3, "backoff": "500ms" }))]
    pub retry: Retry,
    /// What consent needs: `yes` allows `--yes`, `ask` wants an answer in a terminal, `typed` wants there: the commit
    /// that goes live, where it was tested, the restore point, how it is taken back, and the environment's name.
    #[serde(default)]
    #[schemars(example = &"yes")]
    pub consent: ConsentRule,
    /// How long a lease lasts without a renewal.
    #[serde(default = "default_lease")]
    #[schemars(example = &"60s")]
    pub lease: Period,
    /// The only environment that services come from, by `pleach promote`: what is live and healthy there, by commit and image.
    /// `pleach deploy` is refused here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"uat")]
    pub promote_from: Option<EnvironmentName>,
    /// What the images that are live here are named after, once a deployment has succeeded: `NAME:CHANNEL-vVERSION` and
    /// `NAME:CHANNEL-latest`, on the engine of each target, where images are built, and in the registry that they go through. The
    /// newest five versions stay on engines, and what a container, a kept release or another channel needs. No such names if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"uat")]
    pub channel: Option<ChannelName>,
    /// The target that goes first: the others wait until all that goes there is healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"vm1")]
    pub gatekeeper: Option<TargetName>,
    /// How long a host waits for a sign of life from whoever changes it, before it takes itself back: a watchdog on the
    /// host then restores what it had before. `0s` turns it off. If absent: `10m` in `prod` and `production`, off elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"10m")]
    pub watchdog: Option<Period>,
    /// A part of the requests that a new release is given first, to be watched with it; all of them at once if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "steps": ["10%", "50%"], "wait": "2m" }))]
    pub canary: Option<CanaryConfig>,
    /// Whether the release that a deployment took the place of stays up beside the new one, without requests, until the next
    /// deployment ends it: `pleach rollback` then leads back to it at once, without starting it. For services that Pleach keeps
    /// running. It takes the memory of both, and what a service does without being asked, both do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(example = true)]
    pub standby: bool,
    /// How much all hosts together are asked for: connections and commands in a second, commands at once.
    #[serde(default, skip_serializing_if = "TotalLimits::is_none")]
    #[schemars(example = serde_json::json!({ "connections-per-second": 5.0, "sessions": 32 }))]
    pub total_limits: TotalLimits,
    /// Where to, by name.
    #[serde(default)]
    #[schemars(example = serde_json::json!({ "here": { "kind": "directory", "path": "../odoobo-local" } }))]
    pub targets: BTreeMap<TargetName, TargetConfig>,
}

/// Environments that people call production: a failure there waits for a person, and hosts take themselves back after so long,
/// unless the config says otherwise.
const PRODUCTION: [&str; 2] = ["prod", "production"];
const WATCHDOG: Period = Period::seconds(600);

fn default_lease() -> Period {
    Period::seconds(60)
}

/// What consent needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentRule {
    /// `--yes` is enough.
    #[default]
    Yes,
    /// An answer in a terminal.
    Ask,
    /// The answers to five questions, typed in a terminal, the environment's name last.
    Typed,
}

impl EnvironmentConfig {
    /// How long hosts of this environment, which is called `name`, wait for a sign of life; `None` if for ever.
    pub fn watchdog(&self, name: &EnvironmentName) -> Option<Period> {
        let usual = || PRODUCTION.contains(&name.as_str()).then_some(WATCHDOG);
        self.watchdog.map_or_else(usual, Some).filter(|period| *period != Period::ZERO)
    }

    /// What a failed lane means for the others in this environment, which is called `name`.
    pub fn on_failure(&self, name: &EnvironmentName) -> OnFailure {
        let usual = || if PRODUCTION.contains(&name.as_str()) { OnFailure::Hold } else { OnFailure::default() };
        self.on_failure.unwrap_or_else(usual)
    }

    /// The policy that plans for this environment, which is called `name`, carry.
    pub fn policy(&self, name: &EnvironmentName) -> Policy {
        Policy {
            on_failure: self.on_failure(name),
            limits: self.limits,
            batch: self.batch.clone(),
            failure_budget: self.failure_budget,
            pause: self.pause,
            lease: self.lease,
        }
    }
}
