//! Killed anywhere, it can go on: after a kill at any point, `resume` ends all-new or all-old on every target.

use pleach_core::error::Kind;
use pleach_core::journal::Outcome;
use pleach_core::plan::OnFailure;
use pleach_core::testing::schedule::Depth;
use pleach_core::testing::{Act, Life, PlanShape, Script, StepScript, Trial, UndoAct, Way, check_every_crash};

fn check(shape: &PlanShape, script: &Script, depth: Depth) -> usize {
    check_every_crash(&shape.approved(), script, depth).unwrap_or_else(|broken| panic!("{broken}"))
}

#[test]
fn a_run_that_was_killed_nowhere_succeeds() {
    let shape = PlanShape::wide(3, 2).then(1);
    let trial = Trial::new(shape.approved(), &Script::smooth());
    let report = trial.execute(Life::quiet()).require_report();
    assert_eq!(report.outcome, Some(Outcome::Succeeded));
    trial.require_laws();
}

#[test]
fn any_crash_point_of_a_good_run_ends_all_new() {
    assert!(check(&PlanShape::wide(3, 2).then(1), &Script::smooth(), Depth::Twice) > 300);
}

#[test]
fn any_crash_point_of_a_failing_run_ends_all_old() {
    let script = Script::smooth().step("b/s1@t1", "b0", StepScript::applying([Act::Half(Kind::Rejected)]));
    for way in [Way::Undo, Way::Restore, Way::Nothing] {
        check(&PlanShape::wide(2, 2).then(2).by(way), &script, Depth::Twice);
    }
}

#[test]
fn any_crash_point_of_any_policy_ends_as_the_policy_says() {
    let fails = StepScript::applying(vec![Act::Fail(Kind::Transient); 9]);
    let undo_fails = StepScript::default().always_undoing(UndoAct::Half(Kind::Rejected));
    let script = Script::smooth().step("b/s1@t1", "b0", fails).step("a/s0@t0", "a1", undo_fails);
    for policy in [OnFailure::UnwindRun, OnFailure::UnwindLane, OnFailure::Hold] {
        check(&PlanShape::wide(2, 2).then(2).on_failure(policy), &script, Depth::Once);
    }
}
