//! Reading what targets have, many at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::drive::{RunTargets, of_target, within_limit};
use crate::error::{Failure, Kind};
use crate::target::{Facts, Target};
use crate::word::TargetName;

/// Targets that are read at once: more would only wait for each other in one network and one processor.
const AT_ONCE: usize = 64;

/// Reads all targets side by side, each for at most a minute; tells every one that does not answer.
pub async fn read_facts(targets: &RunTargets) -> Result<BTreeMap<TargetName, Facts>, Vec<Failure>> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut probes = JoinSet::new();
    for (name, target) in targets {
        probes.spawn(read(name.clone(), target.clone(), places.clone()));
    }
    let mut facts = BTreeMap::new();
    let mut failures = BTreeMap::new();
    while let Some(joined) = probes.join_next().await {
        match joined {
            Ok((name, Ok(found))) => drop(facts.insert(name, found)),
            Ok((name, Err(failure))) => drop(failures.insert(Some(name), failure)),
            Err(error) => {
                let failure = Failure::new(Kind::Internal, "could not read a target").because(error.to_string());
                failures.insert(None, failure.state("nothing was touched"));
            }
        }
    }
    if failures.is_empty() { Ok(facts) } else { Err(failures.into_values().collect()) }
}

async fn read(
    name: TargetName,
    target: Arc<dyn Target>,
    places: Arc<Semaphore>,
) -> (TargetName, Result<Facts, Failure>) {
    // The semaphore is never closed.
    let _place = places.acquire_owned().await;
    let found = within_limit(&of_target(&name), target.probe()).await;
    (
        name,
        found.map_err(|failure| if failure.state.is_none() { failure.state("nothing was touched") } else { failure }),
    )
}
