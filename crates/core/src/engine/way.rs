//! Whether a run that has stopped can still be gone on with.
//!
//! Its journal tells what it did, and nothing of what others did since: another machine keeps its own. So what it had captured
//! is asked first, under the leases, and a run that would go over another one's work is refused before anything is touched.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::decide::parallel;
use super::drive::{Engine, RunTargets, Stop};
use super::state::{LaneStatus, SnapshotStatus, State};
use super::work::SnapshotWork;
use crate::error::{Failure, Kind};
use crate::event::{Events, NoEvents};
use crate::journal::Outcome;
use crate::port::{FencingToken, Lease};
use crate::registry::Registry;
use crate::word::{LaneId, ServiceName, TargetName};

/// What a run is gone on with for.
pub(super) enum Way<'a> {
    /// To its end, wherever that is.
    On,
    /// To take these lanes back, with all of their services on their targets; all lanes if there is none.
    Back(&'a [LaneId]),
}

impl Engine {
    /// Refuses where others have changed since what the run left, and, of what stands as it was deployed, where that cannot be
    /// taken back.
    pub(super) async fn require_way(
        &self,
        state: &State,
        way: &Way<'_>,
        targets: &RunTargets,
        leases: &[Lease],
        stop: &mut Stop,
    ) -> Result<(), Failure> {
        let ended = matches!(state.outcome(), Some(Outcome::Succeeded | Outcome::RolledBack));
        let restores = ended && matches!(way, Way::Back(_));
        let mut works = works(&self.registry, &self.events, state, way, targets, leases).into_iter();
        let mut asking = JoinSet::new();
        let ask = |work: SnapshotWork| async move {
            work.require_own().await?;
            if restores { work.require_restorable().await } else { Ok(()) }
        };
        works.by_ref().take(parallel(state)).for_each(|work| drop(asking.spawn(ask(work))));
        loop {
            tokio::select! {
                biased;
                Some(_) = stop.recv() => {
                    return Err(Failure::new(Kind::Cancelled, format!("run `{}` is not gone on with", state.run()))
                        .because("somebody asked to stop")
                        .state("nothing was touched"));
                }
                joined = asking.join_next() => match joined {
                    None => return Ok(()),
                    Some(Ok(asked)) => asked.map_err(|failure| failure.state("nothing was touched"))?,
                    Some(Err(error)) => {
                        return Err(Failure::new(Kind::Internal, format!("could not ask whether run `{}` can go on", state.run()))
                            .because(error.to_string())
                            .state("nothing was touched"));
                    }
                },
            }
            works.by_ref().take(1).for_each(|work| drop(asking.spawn(ask(work))));
        }
    }
}

/// Why a run that is not at its end can neither be gone on with nor taken back, because others have changed since what it left;
/// nothing where that is not so, or cannot be seen. Changes nothing.
pub async fn overtaken(registry: &Registry, state: &State, targets: &RunTargets) -> Option<Failure> {
    let events: Arc<dyn Events> = Arc::new(NoEvents);
    let mut asking = JoinSet::new();
    for work in works(registry, &events, state, &Way::On, targets, &[]) {
        asking.spawn(async move { work.require_own().await.err() });
    }
    let mut failures = asking.join_all().await.into_iter().flatten();
    failures.find(|failure| failure.kind == Kind::Conflict)
}

/// Of all that was captured for the lanes that would move.
fn works(
    registry: &Registry,
    events: &Arc<dyn Events>,
    state: &State,
    way: &Way<'_>,
    targets: &RunTargets,
    leases: &[Lease],
) -> Vec<SnapshotWork> {
    let moved = moved(state, way);
    let snapshots = state.plan().snapshots.iter().zip(&state.snapshots).enumerate();
    let works = snapshots.filter_map(|(at, (planned, snapshot))| {
        let is_asked = match &planned.service {
            Some(service) => moved.contains(&(&planned.target, service)),
            None => moved.iter().any(|(target, _)| **target == planned.target),
        };
        if !is_asked || snapshot.record.is_none() || snapshot.status == SnapshotStatus::Discarded {
            return None;
        }
        // Nothing is written: whoever only looks has no lease.
        let lease = leases.iter().find(|lease| lease.target == planned.target);
        let token = lease.map_or(FencingToken(0), |lease| lease.token);
        SnapshotWork::of(state, at, token, targets, registry, events, CancellationToken::new())
    });
    works.collect()
}

/// The services on their targets of which something is left to be done, on or back.
fn moved<'a>(state: &'a State, way: &Way<'_>) -> BTreeSet<(&'a TargetName, &'a ServiceName)> {
    let place = |lane: &'a crate::plan::Lane| (&lane.target, &lane.service);
    let asked: BTreeSet<_> = match way {
        Way::Back(ids) if !ids.is_empty() => {
            state.lanes().filter(|(lane, _)| ids.contains(&lane.id)).map(|(lane, _)| place(lane)).collect()
        }
        _ => state.lanes().map(|(lane, _)| place(lane)).collect(),
    };
    let left = state.lanes().filter(|(_, state)| !matches!(state.status, LaneStatus::TakenBack | LaneStatus::Skipped));
    left.map(|(lane, _)| place(lane)).filter(|place| asked.contains(place)).collect()
}
