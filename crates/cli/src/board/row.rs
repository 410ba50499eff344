//! One service on one target in one run.

use std::collections::HashMap;

use jiff::Timestamp;
use pleach_core::engine::{Condition, LaneState, LaneStatus, State};
use pleach_core::error::Failure;
use pleach_core::phase::Change;
use pleach_core::plan::{Lane, Step};
use pleach_core::word::{ReleaseId, ServiceName, TargetName};

/// Steps that touch nothing of the target: what their way back saw says nothing of it.
const OFF_TARGET: [&str; 3] = ["build-image", "push", "build-here"];

/// One service on one target in one run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) service: ServiceName,
    pub(crate) target: TargetName,
    /// The release that the run leads to.
    pub(crate) release: Option<ReleaseId>,
    pub(crate) status: LaneStatus,
    /// The step that is under way, or at which it stopped.
    pub(crate) step: Option<String>,
    /// When its first step began.
    pub(crate) started: Option<Timestamp>,
    /// When its last step ended, once nothing is under way.
    pub(crate) ended: Option<Timestamp>,
    /// What was read back last.
    pub(crate) evidence: Option<String>,
    /// What a person should know although it is done.
    pub(crate) warnings: Vec<String>,
    /// Why it failed.
    pub(crate) failure: Option<Failure>,
    /// What could not be taken back, and why.
    pub(crate) stuck: Option<String>,
}

impl Row {
    /// `SERVICE@TARGET`.
    pub(crate) fn name(&self) -> String {
        format!("{}@{}", self.service, self.target)
    }

    /// What stands for the whole row in a few words: what was read back, or what went wrong.
    pub(crate) fn told(&self) -> Option<&str> {
        let wrong = self.stuck.as_deref().or(self.failure.as_ref().map(|failure| failure.what.as_str()));
        match self.status {
            LaneStatus::Failed | LaneStatus::Stuck => wrong,
            _ => self.evidence.as_deref(),
        }
    }

    /// Whether something of it is on its target now.
    pub(crate) fn is_left(&self) -> bool {
        !matches!(self.status, LaneStatus::TakenBack | LaneStatus::Skipped | LaneStatus::Waiting)
    }
}

/// All rows, in the order in which the plan first names them.
pub(crate) fn rows(state: &State) -> Vec<Row> {
    let mut groups: Vec<Vec<(&Lane, &LaneState)>> = Vec::new();
    let mut place = HashMap::new();
    for lane in state.lanes() {
        let at = *place.entry((&lane.0.service, &lane.0.target)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[at].push(lane);
    }
    groups.iter().filter_map(|group| row(group)).collect()
}

fn row(group: &[(&Lane, &LaneState)]) -> Option<Row> {
    let (first, _) = group.first()?;
    let steps = || group.iter().flat_map(|(lane, state)| lane.steps.iter().zip(&state.steps));
    let busy = group.iter().any(|(_, state)| state.under_way);
    let failure = steps().find_map(|(_, step)| step.failure.clone());
    let warning = |(_, step): (&Step, &pleach_core::engine::StepState)| match &step.change {
        Some(Change::Warned(why)) => Some(why.clone()),
        _ => None,
    };
    Some(Row {
        service: first.service.clone(),
        target: first.target.clone(),
        release: group.iter().find_map(|(lane, _)| lane.release.clone()),
        status: together(group.iter().map(|(_, state)| state.status)),
        step: current_step(group),
        started: steps().filter_map(|(_, step)| step.started).min(),
        ended: if busy { None } else { steps().filter_map(|(_, step)| step.ended).max() },
        evidence: read_back(group),
        warnings: steps().filter_map(warning).collect(),
        failure,
        stuck: stuck(group),
    })
}

/// What lanes of the same service and target have come to: the one that most needs a look.
fn together(statuses: impl Iterator<Item = LaneStatus>) -> LaneStatus {
    let weight = |status: &LaneStatus| match status {
        LaneStatus::Stuck => 9,
        LaneStatus::Failed => 8,
        LaneStatus::Returning => 7,
        LaneStatus::Working => 6,
        LaneStatus::GoingBack => 5,
        LaneStatus::TakenBack => 4,
        LaneStatus::Ready => 3,
        LaneStatus::Waiting => 2,
        LaneStatus::Done => 1,
        LaneStatus::Skipped => 0,
    };
    statuses.max_by_key(weight).unwrap_or(LaneStatus::Skipped)
}

fn current_step(group: &[(&Lane, &LaneState)]) -> Option<String> {
    let at_work = |state: &LaneState| {
        matches!(state.status, LaneStatus::Working | LaneStatus::Failed | LaneStatus::Returning | LaneStatus::Stuck)
    };
    let (lane, state) = group.iter().find(|(_, state)| at_work(state))?;
    lane.steps.get(state.at).map(|step| step.name.to_string())
}

/// Of a lane that was taken back, what its last undo saw; else what the last finished step of the first lane saw: the
/// lanes behind it only clean up. Of one that failed or is stuck nothing: what an earlier step saw is no longer so.
fn read_back(group: &[(&Lane, &LaneState)]) -> Option<String> {
    if group.iter().any(|(_, state)| matches!(state.status, LaneStatus::Failed | LaneStatus::Stuck)) {
        return None;
    }
    let (lane, state) = group.iter().find(|(_, state)| state.status == LaneStatus::TakenBack).or(group.first())?;
    let seen = |wanted: Condition| {
        move |step: &&pleach_core::engine::StepState| step.condition == wanted && step.evidence.is_some()
    };
    let is_of_target = |(step, _): &(&Step, _)| !OFF_TARGET.contains(&step.name.as_str());
    let of_target = || lane.steps.iter().zip(&state.steps).filter(is_of_target).map(|(_, state)| state);
    let step = match state.status {
        LaneStatus::TakenBack => {
            let undone = seen(Condition::Undone);
            of_target().find(&undone).or_else(|| state.steps.iter().find(&undone))
        }
        _ => state.steps.iter().rev().find(seen(Condition::Done)),
    };
    step.and_then(|step| step.evidence.as_ref()).map(|evidence| evidence.as_str().to_owned())
}

/// What is told of a stuck lane: the step that it stands at, and what kept it from going back.
fn stuck(group: &[(&Lane, &LaneState)]) -> Option<String> {
    let (lane, state) = group.iter().find(|(_, state)| state.status == LaneStatus::Stuck)?;
    let steps = lane.steps.iter().zip(&state.steps).rev();
    let (step, failure) = steps.filter_map(|(step, state)| Some((step, state.undo_failure.as_ref()?))).next()?;
    Some(format!("step `{}` was not taken back: {}", step.name, failure.what))
}

/// The status in a word or two.
pub(crate) fn status_word(status: LaneStatus) -> &'static str {
    match status {
        LaneStatus::Waiting => "waiting",
        LaneStatus::Ready => "ready",
        LaneStatus::Working => "working",
        LaneStatus::Failed => "failed",
        LaneStatus::Done => "done",
        LaneStatus::GoingBack => "going back",
        LaneStatus::Returning => "going back",
        LaneStatus::TakenBack => "taken back",
        LaneStatus::Stuck => "STUCK",
        LaneStatus::Skipped => "not started",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_lanes_the_one_that_needs_a_look_is_shown() {
        let of = |statuses: &[LaneStatus]| together(statuses.iter().copied());
        assert_eq!(of(&[LaneStatus::Done, LaneStatus::Done]), LaneStatus::Done);
        assert_eq!(of(&[LaneStatus::Done, LaneStatus::Waiting]), LaneStatus::Waiting);
        assert_eq!(of(&[LaneStatus::TakenBack, LaneStatus::Skipped]), LaneStatus::TakenBack);
        assert_eq!(of(&[LaneStatus::TakenBack, LaneStatus::Stuck]), LaneStatus::Stuck);
    }
}
