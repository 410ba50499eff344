//! How long a service usually takes on a target: the median of its last good runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pleach_core::engine::{LaneStatus, State};
use pleach_core::word::{EnvironmentName, ServiceName, TargetName};
use serde::{Deserialize, Serialize};

use crate::board::rows;
use crate::durable::write_whole;
use crate::print::between;

/// How many runs are remembered.
const REMEMBERED: usize = 9;

/// Times by service and target, in milliseconds, the newest last. Kept in `usual-ENVIRONMENT.json` so that no journal has
/// to be read before a run can start; a file that is lost or damaged costs nothing but the comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct UsualTimes {
    times: BTreeMap<String, Vec<u64>>,
}

impl UsualTimes {
    /// What is remembered of an environment.
    pub(crate) fn load(state_dir: &Path, environment: &EnvironmentName) -> Self {
        let text = std::fs::read(file(state_dir, environment)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Adds what a run took and keeps it for the next one.
    pub(crate) fn learn(&mut self, state_dir: &Path, state: &State) {
        for row in rows(state).iter().filter(|row| row.status == LaneStatus::Done) {
            if let (Some(started), Some(ended)) = (row.started, row.ended) {
                self.note(&row.service, &row.target, between(started, ended));
            }
        }
        if let Ok(text) = serde_json::to_vec(self) {
            let _ = write_whole(&file(state_dir, &state.plan().environment), &text);
        }
    }

    /// Adds one time.
    pub(crate) fn note(&mut self, service: &ServiceName, target: &TargetName, took: Duration) {
        let times = self.times.entry(format!("{service}@{target}")).or_default();
        times.push(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let surplus = times.len().saturating_sub(REMEMBERED);
        times.drain(..surplus);
    }

    /// The median; nothing if it never ran.
    pub(crate) fn of(&self, service: &ServiceName, target: &TargetName) -> Option<Duration> {
        let mut times = self.times.get(&format!("{service}@{target}"))?.clone();
        times.sort_unstable();
        times.get(times.len() / 2).copied().map(Duration::from_millis)
    }
}

fn file(state_dir: &Path, environment: &EnvironmentName) -> PathBuf {
    state_dir.join(format!("usual-{environment}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_time_is_the_median_of_the_last_runs() {
        let (service, target) = ("a".parse().expect("a name"), "here".parse().expect("a name"));
        let mut usual = UsualTimes::default();
        assert_eq!(usual.of(&service, &target), None);
        for seconds in [500, 1, 2, 3, 4, 5, 6, 7, 8, 900] {
            usual.note(&service, &target, Duration::from_secs(seconds));
        }
        assert_eq!(usual.of(&service, &target), Some(Duration::from_secs(5)));
    }
}
