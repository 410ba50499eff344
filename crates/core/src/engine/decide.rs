//! What happens next: a pure function of the state.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::state::{Condition, Course, LaneStatus, SnapshotStatus, State};
use crate::journal::{Entry, Outcome};
use crate::plan::Retry;

/// Something to begin. Indexes are places in the plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Capture a snapshot, unless an earlier process did, and prove it.
    Secure {
        /// Its place in the plan.
        snapshot: usize,
    },
    /// Apply the step at hand.
    Apply {
        /// The lane's place in the plan.
        lane: usize,
        /// 1 for the first.
        attempt: u32,
        /// After this wait.
        delay: Duration,
    },
    /// Look at the step at hand.
    Inspect {
        /// The lane's place in the plan.
        lane: usize,
        /// After this wait.
        delay: Duration,
    },
    /// Take the step at hand back.
    Undo {
        /// The lane's place in the plan.
        lane: usize,
        /// 1 for the first.
        attempt: u32,
        /// After this wait.
        delay: Duration,
    },
    /// Wait before the next batch.
    Pause {
        /// The stage's place in the plan.
        stage: usize,
        /// Which of its batches.
        batch: usize,
        /// How long.
        pause: Duration,
    },
    /// Let the lanes of a batch start.
    Release {
        /// The stage's place in the plan.
        stage: usize,
        /// Which of its batches.
        batch: usize,
    },
    /// Give a snapshot up.
    Discard {
        /// Its place in the plan.
        snapshot: usize,
    },
    /// End the run.
    Finish {
        /// How.
        outcome: Outcome,
    },
}

impl Action {
    /// The entry that announces it.
    pub fn announce(&self, state: &State) -> Entry {
        let plan = state.plan();
        let lane_id = |lane: &usize| state.lane_plan(*lane).id.clone();
        let step_name = |lane: &usize| state.step_plan(*lane).name.clone();
        let stage_name = |stage: &usize| plan.stages[*stage].name.clone();
        let snapshot_id = |at: &usize| plan.snapshots[*at].id.clone();
        let number = |batch: &usize| u32::try_from(*batch).unwrap_or(u32::MAX);
        match self {
            Self::Secure { snapshot } if state.snapshots[*snapshot].status == SnapshotStatus::Captured => {
                Entry::ProofStarted { snapshot: snapshot_id(snapshot) }
            }
            Self::Secure { snapshot } => Entry::CaptureStarted { snapshot: snapshot_id(snapshot) },
            Self::Apply { lane, attempt, delay } => Entry::StepStarted {
                lane: lane_id(lane),
                step: step_name(lane),
                attempt: *attempt,
                delay_ms: millis(*delay),
            },
            Self::Inspect { lane, delay } => {
                Entry::InspectStarted { lane: lane_id(lane), step: step_name(lane), delay_ms: millis(*delay) }
            }
            Self::Undo { lane, attempt, delay } => Entry::UndoStarted {
                lane: lane_id(lane),
                step: step_name(lane),
                attempt: *attempt,
                delay_ms: millis(*delay),
            },
            Self::Pause { stage, batch, pause } => {
                Entry::BatchPaused { stage: stage_name(stage), batch: number(batch), pause_ms: millis(*pause) }
            }
            Self::Release { stage, batch } => Entry::BatchReleased { stage: stage_name(stage), batch: number(batch) },
            Self::Discard { snapshot } => Entry::DiscardStarted { snapshot: snapshot_id(snapshot) },
            Self::Finish { outcome } => Entry::RunFinished { outcome: *outcome },
        }
    }
}

fn millis(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
}

/// The next actions. Each one's [announcement](Action::announce) changes the state so that it is not given again.
///
/// Costs as much as there is to begin, however many lanes the plan has.
pub fn decide(state: &State) -> Vec<Action> {
    if state.finished.is_some() {
        return Vec::new();
    }
    let mut actions = Vec::new();
    if state.course == Course::Forward && state.snapshots_unproven > 0 {
        secure(state, &mut actions);
        return actions;
    }
    advance_working_lanes(state, &mut actions);
    start_lanes(state, &mut actions);
    open_batch(state, &mut actions);
    if actions.is_empty() && !state.is_working() && !batch_is_pausing(state) {
        end(state, &mut actions);
    }
    actions
}

fn secure(state: &State, actions: &mut Vec<Action>) {
    let free = parallel(state).saturating_sub(state.snapshots_under_way);
    actions.extend(state.snapshots_waiting.iter().take(free).map(|snapshot| Action::Secure { snapshot: *snapshot }));
}

/// How much may be under way at once.
pub(super) fn parallel(state: &State) -> usize {
    usize::try_from(state.policy().limits.parallel.max(1)).unwrap_or(usize::MAX)
}

fn advance_working_lanes(state: &State, actions: &mut Vec<Action>) {
    for lane in &state.idle {
        actions.extend(next_in_lane(state, *lane));
    }
}

fn next_in_lane(state: &State, lane: usize) -> Option<Action> {
    let lane_state = &state.lanes[lane];
    let step = &lane_state.steps[lane_state.at];
    let retry = state.step_plan(lane).retry;
    if lane_state.status == LaneStatus::Returning {
        return Some(undo(state, lane));
    }
    match step.condition {
        Condition::Unknown => Some(Action::Inspect { lane, delay: backoff(state, lane, &retry, step.tries.inspected) }),
        Condition::Untouched | Condition::Failed if state.course == Course::Forward => Some(Action::Apply {
            lane,
            attempt: step.attempts + 1,
            delay: backoff(state, lane, &retry, step.tries.applied),
        }),
        _ => None,
    }
}

fn undo(state: &State, lane: usize) -> Action {
    let lane_state = &state.lanes[lane];
    let undone = lane_state.steps[lane_state.at].tries.undone;
    let retry = state.step_plan(lane).retry;
    Action::Undo { lane, attempt: undone + 1, delay: backoff(state, lane, &retry, undone) }
}

/// Gives free places to ready lanes, the first in the plan first.
fn start_lanes(state: &State, actions: &mut Vec<Action>) {
    let limits = &state.policy().limits;
    let mut free = limits.parallel.max(1).saturating_sub(state.places_taken);
    if free == 0 || state.heads.is_empty() {
        return;
    }
    // The heads hold one lane a target; a target whose first lane is taken here offers its next one.
    let mut heads = state.heads.iter().copied().peekable();
    let mut offered = BTreeSet::new();
    let mut taken: HashMap<usize, u32> = HashMap::new();
    while free > 0 {
        let from_offered = match (heads.peek(), offered.first()) {
            (Some(head), Some(offer)) => offer < head,
            (head, _) => head.is_none(),
        };
        let next = if from_offered { offered.pop_first() } else { heads.next() };
        let Some((lane, target)) = next else { break };
        let lane_state = &state.lanes[lane];
        let begun = match lane_state.status {
            LaneStatus::GoingBack => Some(undo(state, lane)),
            _ if state.course == Course::Forward => {
                let step = &lane_state.steps[lane_state.at];
                Some(match step.condition {
                    Condition::Unknown => Action::Inspect { lane, delay: Duration::ZERO },
                    _ => Action::Apply { lane, attempt: step.attempts + 1, delay: Duration::ZERO },
                })
            }
            // It waits for a person; one behind it on the same target may go back.
            _ => None,
        };
        let taken = taken.entry(target).or_default();
        if begun.is_some() {
            free -= 1;
            *taken += 1;
        }
        actions.extend(begun);
        if state.places[target] + *taken < limits.per_target.max(1) {
            let next = state.ready[target].range(lane + 1..).next();
            offered.extend(next.map(|next| (*next, target)));
        }
    }
}

/// Once all lanes of the released batches are settled, the next batch waits its pause and starts.
fn open_batch(state: &State, actions: &mut Vec<Action>) {
    let Some(stage) = state.stages.get(state.stage) else { return };
    let batch = stage.released;
    if state.course != Course::Forward
        || batch == 0
        || batch >= stage.batch_ends.len()
        || stage.open > 0
        || stage.paused
    {
        return;
    }
    let lanes = stage.batch_ends[batch - 1]..stage.batch_ends[batch];
    let starts_lanes = lanes.into_iter().any(|lane| state.lanes[lane].status == LaneStatus::Waiting);
    let pause = state.policy().pause.0;
    actions.push(if starts_lanes && !pause.is_zero() {
        Action::Pause { stage: state.stage, batch, pause }
    } else {
        Action::Release { stage: state.stage, batch }
    });
}

fn batch_is_pausing(state: &State) -> bool {
    state.course == Course::Forward && state.stages.get(state.stage).is_some_and(|stage| stage.paused)
}

fn end(state: &State, actions: &mut Vec<Action>) {
    let outcome = outcome(state);
    // The way back has been gone, or nothing was changed: what was kept for it is no longer needed.
    if outcome == Outcome::RolledBack && state.course == Course::Back {
        let over = |status| matches!(status, SnapshotStatus::Discarding | SnapshotStatus::Discarded);
        let kept =
            state.snapshots.iter().enumerate().filter(|(_, snapshot)| snapshot.touched && !over(snapshot.status));
        let free = parallel(state).saturating_sub(state.discards_under_way);
        actions.extend(kept.take(free).map(|(snapshot, _)| Action::Discard { snapshot }));
    }
    if actions.is_empty() && state.discards_under_way == 0 {
        actions.push(Action::Finish { outcome });
    }
}

fn outcome(state: &State) -> Outcome {
    let any = |status| state.lanes.iter().any(|lane| lane.status == status);
    if any(LaneStatus::Stuck) {
        Outcome::Stuck
    } else if state.course == Course::Hold {
        Outcome::Held
    } else if state.course == Course::Back || any(LaneStatus::TakenBack) || any(LaneStatus::Skipped) {
        Outcome::RolledBack
    } else {
        Outcome::Succeeded
    }
}

/// The wait before a try: none before the first, then doubling up to the longest, and of that a part between a half and
/// all, so that lanes which failed together do not come back together. The part is taken from the step and the try, not
/// from chance: the same journal gives the same waits.
fn backoff(state: &State, lane: usize, retry: &Retry, tries: u32) -> Duration {
    let Some(doublings) = tries.checked_sub(1) else { return Duration::ZERO };
    let factor = 2_u32.saturating_pow(doublings.min(30));
    let full = retry.backoff.0.saturating_mul(factor).min(retry.longest.0);
    let mut hasher = DefaultHasher::new();
    (state.run(), &state.lane_plan(lane).id, state.lanes[lane].at, tries).hash(&mut hasher);
    let part = u32::try_from(hasher.finish() % 1000).unwrap_or_default();
    full / 2 + full / 2 * part / 1000
}
