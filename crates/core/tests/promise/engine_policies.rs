//! What a failed lane means for the others: unwind the run, unwind the lane, hold.

use pleach_core::engine::LaneStatus;
use pleach_core::error::Kind;
use pleach_core::journal::{Entry, Outcome};
use pleach_core::plan::OnFailure;
use pleach_core::report::Report;
use pleach_core::testing::{Act, Effect, Life, PlanShape, Script, StepScript, Trial};

fn run(on_failure: OnFailure, times: usize) -> (Trial, Report) {
    let script = Script::smooth().step("b/s1@t1", "b0", StepScript::applying(vec![Act::Half(Kind::Rejected); times]));
    let shape = PlanShape::wide(3, 2).then(2).then(1).on_failure(on_failure);
    let trial = Trial::new(shape.approved(), &script);
    let report = trial.execute(Life::quiet()).require_report();
    trial.require_laws();
    (trial, report)
}

fn status(report: &Report, lane: &str) -> LaneStatus {
    report.lanes.iter().find(|told| told.id.as_str() == lane).expect("it is in the plan").status
}

#[test]
fn unwind_run_takes_every_lane_back() {
    let (trial, report) = run(OnFailure::UnwindRun, 1);
    assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::RolledBack), 110));
    assert!(trial.world.is_untouched());
    assert_eq!(status(&report, "c/s0@t0"), LaneStatus::Skipped);
    assert_eq!(status(&report, "a/s0@t0"), LaneStatus::TakenBack);
}

#[test]
fn unwind_run_takes_later_stages_back_before_earlier_ones() {
    let (trial, _) = run(OnFailure::UnwindRun, 1);
    let undone: Vec<String> = trial
        .records()
        .iter()
        .filter_map(|record| match &record.entry {
            Entry::UndoStarted { lane, .. } => Some(lane.to_string()),
            _ => None,
        })
        .collect();
    let last_of_b = undone.iter().rposition(|lane| lane.starts_with("b/"));
    let first_of_a = undone.iter().position(|lane| lane.starts_with("a/"));
    assert!(last_of_b.is_some() && last_of_b < first_of_a, "{undone:?}");
}

#[test]
fn unwind_lane_takes_the_service_back_through_all_stages_and_lets_the_others_go_on() {
    let (trial, report) = run(OnFailure::UnwindLane, 1);
    assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::RolledBack), 110));
    for stage in ["a", "b"] {
        assert_eq!(status(&report, &format!("{stage}/s1@t1")), LaneStatus::TakenBack);
    }
    assert_eq!(status(&report, "c/s1@t1"), LaneStatus::Skipped);
    for lane in ["a/s0@t0", "b/s2@t2", "c/s0@t0", "c/s2@t2"] {
        assert_eq!(status(&report, lane), LaneStatus::Done);
    }
    assert_eq!(trial.world.effect("a/s1@t1", "a0"), Effect::None);
}

#[test]
fn hold_keeps_all_as_it_is_and_undoes_nothing() {
    let (trial, report) = run(OnFailure::Hold, 1);
    assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::Held), 111));
    assert!(!trial.records().iter().any(|record| matches!(record.entry, Entry::UndoStarted { .. })));
    assert_eq!(trial.world.effect("b/s1@t1", "b0"), Effect::Half);
    assert_eq!(status(&report, "b/s1@t1"), LaneStatus::Failed);
    assert_eq!(status(&report, "c/s0@t0"), LaneStatus::Waiting);
}

#[test]
fn a_held_run_goes_on_when_it_is_resumed_and_holds_again_when_it_fails_again() {
    let (trial, _) = run(OnFailure::Hold, 2);
    let again = trial.resume(Life::quiet()).require_report();
    assert_eq!(again.outcome, Some(Outcome::Held));
    let report = trial.resume(Life::quiet()).require_report();
    assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::Succeeded), 0));
    trial.require_laws();
}

#[test]
fn a_held_run_can_be_taken_back() {
    let (trial, _) = run(OnFailure::Hold, 1);
    let report = trial.roll_back(&[], Life::quiet()).require_report();
    assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::RolledBack), 0));
    assert!(trial.world.is_untouched());
    trial.require_laws();
}

#[test]
fn nothing_starts_once_a_run_is_held() {
    // One lane in ten seconds: the third waits for its turn while the first fails.
    let script = Script::smooth().step("a/s0@t0", "a0", StepScript::applying([Act::Fail(Kind::Rejected)]));
    let shape = PlanShape::wide(3, 1).on_failure(OnFailure::Hold);
    let shape = shape.policy(|policy| policy.limits.starts_per_second = Some(0.1));
    let trial = Trial::new(shape.approved(), &script);
    assert_eq!(trial.execute(Life::quiet()).require_report().outcome, Some(Outcome::Held));
    assert_eq!(trial.world.calls("a/s2@t2", "a0"), (0, 0, 0));
    assert_eq!(trial.resume(Life::quiet()).require_report().outcome, Some(Outcome::Succeeded));
    trial.require_laws();
}

#[test]
fn a_run_that_has_ended_is_not_resumed() {
    let (trial, _) = run(OnFailure::UnwindRun, 1);
    let before = trial.records();
    let error = trial.resume(Life::quiet()).require_error();
    assert!(matches!(error, pleach_core::engine::RunError::Refused(_)));
    assert_eq!(trial.records(), before);
}
