//! Whether what a report claims is what is true on the targets.

use crate::engine::{Condition, LaneStatus};
use crate::journal::Outcome;
use crate::report::{LaneReport, Report, StepReport};
use crate::testing::Trial;
use crate::testing::world::Inner;

/// Every claim of `report` that is not true, and every law that was broken on the way to it.
pub fn judge(trial: &Trial, report: &Report) -> Vec<String> {
    let mut wrong: Vec<String> =
        trial.violations().iter().map(|broken| format!("law {}: {}", broken.law, broken.what)).collect();
    let inner = trial.world.lock();
    for (lane, told) in report.lanes.iter().enumerate() {
        judge_lane(&inner, lane, told, &mut wrong);
    }
    judge_outcome(&inner, report, &mut wrong);
    drop(inner);
    let records = trial.records();
    match Report::fold(&records) {
        Ok(folded) if folded == *report => {}
        Ok(folded) => wrong.push(format!("the journal tells another report: {folded:?}\nnot {report:?}")),
        Err(illegal) => wrong.push(format!("the journal cannot be folded: {illegal}")),
    }
    let ends = records.iter().rev().find(|record| matches!(record.entry, crate::journal::Entry::RunFinished { .. }));
    if report.outcome.is_none() || ends.is_none() {
        wrong.push("the run has no outcome".into());
    }
    if trial.leases.living() > 0 {
        wrong.push("a lease was not given back".into());
    }
    wrong
}

fn judge_lane(inner: &Inner, lane: usize, told: &LaneReport, wrong: &mut Vec<String>) {
    let world = &inner.lanes[lane];
    if world.calls > 0 {
        wrong.push(format!("a call in `{}` is still under way", told.id));
    }
    for (at, step) in told.steps.iter().enumerate() {
        if let Some(why) = judge_step(inner, lane, at, step) {
            let effect = inner.lanes[lane].steps[at].effect;
            wrong.push(format!("`{}` in `{}` is {:?}, {why}: {effect:?}", step.name, told.id, step.condition));
        }
    }
    let touched = (0..told.steps.len()).any(|at| inner.has_lasting_effect(lane, at));
    let complete = world.steps.iter().all(|step| step.satisfied());
    match told.status {
        LaneStatus::Done if !complete => wrong.push(format!("`{}` is called done and is not", told.id)),
        LaneStatus::TakenBack | LaneStatus::Skipped if touched => {
            wrong.push(format!("`{}` is called {:?} and something is left", told.id, told.status));
        }
        LaneStatus::Stuck => {
            if told.left().is_none() {
                wrong.push(format!("`{}` is stuck and no step is listed", told.id));
            }
            let listed = |at: usize| told.steps[at].undo_failure.as_ref().is_some_and(|failure| failure.next.is_some());
            for at in (0..told.steps.len()).filter(|at| inner.has_lasting_effect(lane, *at) && !listed(*at)) {
                wrong.push(format!("`{}` in `{}` is left and not listed", told.steps[at].name, told.id));
            }
        }
        _ => {}
    }
}

/// What a step's condition claims.
fn judge_step(inner: &Inner, lane: usize, at: usize, told: &StepReport) -> Option<&'static str> {
    let world = &inner.lanes[lane].steps[at];
    let left = inner.has_lasting_effect(lane, at);
    match told.condition {
        Condition::Done if !world.satisfied() => Some("and is not there"),
        Condition::Done if told.evidence.as_ref().is_none_or(crate::phase::Evidence::is_empty) => {
            Some("and nothing was read back")
        }
        Condition::Untouched if world.applies > 0 => Some("and was applied"),
        Condition::Untouched | Condition::Undone if left => Some("and something is left"),
        Condition::Applying | Condition::Inspecting | Condition::Undoing => Some("after the end"),
        Condition::Failed | Condition::Unknown if told.failure.is_none() => Some("and nobody says why"),
        Condition::UndoFailed if told.undo_failure.is_none() => Some("and nobody says why"),
        Condition::UndoFailed if told.attempts == 0 => Some("and was never begun"),
        _ => None,
    }
}

fn judge_outcome(inner: &Inner, report: &Report, wrong: &mut Vec<String>) {
    use LaneStatus::{Done, Failed, Ready, Skipped, Stuck, TakenBack, Waiting, Working};
    let allowed: &[LaneStatus] = match report.outcome {
        Some(Outcome::Succeeded) => &[Done],
        Some(Outcome::RolledBack) if inner.view.goes_back() => &[TakenBack, Skipped],
        Some(Outcome::RolledBack) => &[Done, TakenBack, Skipped],
        Some(Outcome::Held) => &[Done, Failed, Working, Ready, Waiting, TakenBack, Skipped],
        Some(Outcome::Stuck) if inner.view.goes_back() => &[TakenBack, Skipped, Stuck],
        Some(Outcome::Stuck) => &[Done, Failed, Working, Ready, Waiting, TakenBack, Skipped, Stuck],
        None => return,
    };
    for lane in report.lanes.iter().filter(|lane| !allowed.contains(&lane.status)) {
        wrong.push(format!("the run is {:?} and `{}` is {:?}", report.outcome, lane.id, lane.status));
    }
    let failed = inner.view.failed_snapshots();
    if failed != report.unproven.len() {
        wrong.push(format!("{failed} snapshots failed and {} are told", report.unproven.len()));
    }
    let any = |status| report.lanes.iter().any(|lane| lane.status == status);
    if report.outcome == Some(Outcome::Stuck) && !any(Stuck) {
        wrong.push("the run is stuck and no lane is".into());
    }
    // What one service has on one target belongs together.
    for (at, lane) in report.lanes.iter().enumerate() {
        let others =
            report.lanes.iter().enumerate().filter(|(other, _)| inner.lanes[*other].group == inner.lanes[at].group);
        let back = |status| matches!(status, TakenBack | Skipped | Stuck);
        if lane.status == Done && others.map(|(_, other)| other.status).any(back) {
            wrong.push(format!("`{}` is done and another lane of its service is not", lane.id));
        }
    }
}
