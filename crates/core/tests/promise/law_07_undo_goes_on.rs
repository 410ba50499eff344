//! Undo never stops at the first failure: all lanes go back as far as they can; what stays is listed.

use pleach_core::engine::LaneStatus;
use pleach_core::error::Kind;
use pleach_core::journal::Outcome;
use pleach_core::report::Report;
use pleach_core::testing::schedule::Faults;
use pleach_core::testing::{Act, Effect, Life, PlanShape, Script, StepScript, Trial, UndoAct, Way, check_laws};

const TROUBLES: [UndoAct; 5] = [
    UndoAct::Fail(Kind::Rejected),
    UndoAct::Half(Kind::Transient),
    UndoAct::DoneThen(Kind::Conflict),
    UndoAct::Hang,
    UndoAct::Panic,
];

fn failing_last() -> Script {
    Script::smooth().step("b/s2@t2", "b1", StepScript::applying([Act::Half(Kind::Rejected)]))
}

#[test]
fn each_undo_that_fails_leaves_its_own_service_and_no_other() {
    for way in [Way::Undo, Way::Restore] {
        let shape = PlanShape::wide(3, 2).then(2).by(way);
        let plan = shape.approved();
        for lane in plan.plan().lanes().filter(|lane| lane.service.as_str() != "s2") {
            for step in &lane.steps {
                for act in TROUBLES {
                    let script = StepScript::default().always_undoing(act);
                    let script = failing_last().step(lane.id.as_str(), step.name.as_str(), script);
                    let checked =
                        check_laws(&plan, &script, &Faults::none()).unwrap_or_else(|broken| panic!("{broken}"));
                    let Some(report) = checked.report else { panic!("it was refused") };
                    // Whatever was never begun, because the run turned back before, has nothing to undo.
                    for other in report.lanes.iter().filter(|other| other.service != lane.service) {
                        assert!(
                            matches!(other.status, LaneStatus::TakenBack | LaneStatus::Skipped),
                            "{act:?} {other:?}"
                        );
                    }
                }
            }
        }
    }
}

fn stuck() -> (Trial, Report) {
    let script =
        failing_last().step("a/s0@t0", "a1", StepScript::default().always_undoing(UndoAct::Fail(Kind::Rejected)));
    let trial = Trial::new(PlanShape::wide(3, 2).then(2).approved(), &script);
    let report = trial.execute(Life::quiet()).require_report();
    trial.require_laws();
    (trial, report)
}

#[test]
fn what_stays_is_listed_in_the_order_and_with_the_commands_that_finish_it() {
    let (_, report) = stuck();
    assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::Stuck), 112));
    let left: Vec<(&str, Option<&str>)> =
        report.lanes[0].all_left().map(|(step, failure)| (step.name.as_str(), failure.next.as_deref())).collect();
    assert_eq!(left, [("a1", Some("`undo a1 of s0 on t0`")), ("a0", Some("`undo a0 of s0 on t0`"))]);
}

#[test]
fn resume_finishes_what_could_not_be_taken_back_once_that_is_mended() {
    let (trial, _) = stuck();
    assert_eq!(trial.world.effect("a/s0@t0", "a0"), Effect::Whole);
    trial.world.rescript("a/s0@t0", "a1", StepScript::default());
    let report = trial.resume(Life::quiet()).require_report();
    assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::RolledBack), 110));
    assert!(trial.world.is_untouched());
    assert!(report.lanes.iter().all(|lane| lane.left().is_none()));
    trial.require_laws();
}

#[test]
fn a_lane_behind_a_stuck_one_of_the_same_service_waits_and_is_listed() {
    let script =
        failing_last().step("b/s0@t0", "b0", StepScript::default().always_undoing(UndoAct::Fail(Kind::Rejected)));
    let trial =
        Trial::new(PlanShape::wide(3, 2).then(2).policy(|policy| policy.limits.parallel = 1).approved(), &script);
    let report = trial.execute(Life::quiet()).require_report();
    let lane = report.lanes.iter().find(|lane| lane.id.as_str() == "a/s0@t0").expect("it is in the plan");
    assert_eq!(lane.status, LaneStatus::Stuck);
    let (step, failure) = lane.left().expect("it is listed");
    assert_eq!(step.name.as_str(), "a1");
    assert_eq!(failure.next.as_deref(), Some("`undo a1 of s0 on t0`"));
    assert_eq!(trial.world.calls("a/s0@t0", "a1").2, 0, "what was built first is not undone under what stands on it");
    trial.require_laws();
}

#[test]
fn a_transient_failure_to_undo_is_tried_again_and_no_other() {
    for (kind, times) in [(Kind::Transient, 2), (Kind::UnknownOutcome, 2), (Kind::Rejected, 1), (Kind::Internal, 1)] {
        let undo = StepScript::default().undoing([UndoAct::Fail(kind)]);
        let script = failing_last().step("a/s0@t0", "a1", undo);
        let trial = Trial::new(PlanShape::wide(3, 2).then(2).approved(), &script);
        trial.execute(Life::quiet()).require_report();
        assert_eq!(trial.world.calls("a/s0@t0", "a1").2, times, "{kind:?}");
    }
}
