//! What an engine's own check says of a container: the `HEALTHCHECK` of its image.

use std::time::Duration;

use bollard::models::{Health, HealthConfig, HealthStatusEnum};
use pleach_core::error::OUTPUT_LINES;
use pleach_core::period::Period;
use serde::{Deserialize, Serialize};

/// How often an engine asks where the image does not say.
const EVERY: Duration = Duration::from_secs(30);

/// Whether an engine's own check passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthState {
    /// It has not passed yet, and has not failed too often.
    Starting,
    /// It passes.
    Healthy,
    /// It has failed too often in a row.
    Unhealthy,
}

/// What an engine's own check says of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EngineHealth {
    /// Whether it passes.
    pub state: HealthState,
    /// How often it has failed in a row.
    pub failures: u64,
    /// How long the engine waits between two times.
    pub every: Period,
    /// What it printed the last time, or what the engine says of it; some of that may be secret.
    pub output: Vec<String>,
}

impl EngineHealth {
    /// Nothing where a container has no check.
    pub(super) fn read(health: Option<Health>, config: Option<HealthConfig>) -> Option<Self> {
        let Health { status, failing_streak, log } = health?;
        let state = match status? {
            HealthStatusEnum::STARTING => HealthState::Starting,
            HealthStatusEnum::HEALTHY => HealthState::Healthy,
            HealthStatusEnum::UNHEALTHY => HealthState::Unhealthy,
            HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => return None,
        };
        let interval = config.and_then(|config| u64::try_from(config.interval?).ok()).filter(|interval| *interval > 0);
        let printed = log.unwrap_or_default().pop().and_then(|last| last.output).unwrap_or_default();
        let lines: Vec<String> = printed.lines().map(str::to_owned).collect();
        Some(Self {
            state,
            failures: failing_streak.and_then(|count| u64::try_from(count).ok()).unwrap_or_default(),
            every: Period(interval.map_or(EVERY, Duration::from_nanos)),
            output: lines[lines.len().saturating_sub(OUTPUT_LINES)..].to_vec(),
        })
    }

    /// What is wrong, in words without anything secret; nothing where it passes.
    pub fn complaint(&self) -> Option<String> {
        let Self { state, failures, every, .. } = self;
        match (state, failures) {
            (HealthState::Healthy, _) => None,
            (HealthState::Starting, 0) => {
                Some(format!("its `HEALTHCHECK` has not passed yet; its engine asks every {every}"))
            }
            (HealthState::Starting, _) => {
                Some(format!("its `HEALTHCHECK` has not passed yet, and has failed {failures} times"))
            }
            (HealthState::Unhealthy, _) => {
                Some(format!("its engine says unhealthy: its `HEALTHCHECK` has failed {failures} times in a row"))
            }
        }
    }
}
