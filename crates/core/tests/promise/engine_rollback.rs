//! A run that succeeded can be taken back later: all of it, or some lanes, and twice.

use pleach_core::engine::{LaneStatus, RunError};
use pleach_core::error::Kind;
use pleach_core::journal::Outcome;
use pleach_core::testing::{Effect, Ending, Life, Meanwhile, PlanShape, Script, StepScript, Trial, UndoAct, Way};

fn succeeded(shape: &PlanShape, script: &Script) -> Trial {
    let trial = Trial::new(shape.approved(), script);
    assert_eq!(trial.execute(Life::quiet()).require_report().outcome, Some(Outcome::Succeeded));
    trial
}

#[test]
fn all_lanes_go_back_and_twice_is_once() {
    for way in [Way::Undo, Way::Restore] {
        let trial = succeeded(&PlanShape::wide(3, 2).then(1).by(way), &Script::smooth());
        for _ in 0..2 {
            let report = trial.roll_back(&[], Life::quiet()).require_report();
            assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::RolledBack), 0));
            assert!(trial.world.is_untouched());
            assert_eq!(trial.world.calls("a/s0@t0", "a0").2, 1);
        }
        trial.require_laws();
    }
}

#[test]
fn some_lanes_go_back_with_all_of_their_service() {
    let trial = succeeded(&PlanShape::wide(3, 2).then(1), &Script::smooth());
    let report = trial.roll_back(&["a/s1@t1"], Life::quiet()).require_report();
    assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::RolledBack), 0));
    for lane in &report.lanes {
        let mine = lane.service.as_str() == "s1";
        assert_eq!(lane.status, if mine { LaneStatus::TakenBack } else { LaneStatus::Done }, "{}", lane.id);
    }
    assert_eq!(trial.world.effect("b/s1@t1", "b0"), Effect::None);
    assert_eq!(trial.world.effect("b/s0@t0", "b0"), Effect::Whole);
    let report = trial.roll_back(&[], Life::quiet()).require_report();
    assert!(trial.world.is_untouched());
    assert_eq!(report.exit_code(), 0);
    trial.require_laws();
}

#[test]
fn a_rollback_that_is_killed_anywhere_ends_all_old() {
    let shape = PlanShape::wide(2, 2).then(1).by(Way::Restore);
    for records in 0..60 {
        let trial = succeeded(&shape, &Script::smooth());
        let before = trial.records().len();
        let ending = trial.roll_back(&[], Life::killed_after(records));
        if matches!(ending, Ending::Reported(_)) {
            assert!(records > 20, "it was killed {records} records after {before}");
            return;
        }
        match trial.resume(Life::quiet()) {
            Ending::Reported(report) => assert_eq!(report.outcome, Some(Outcome::RolledBack)),
            // The request itself was not durable, or all was done.
            Ending::Failed(RunError::Refused(_)) => {
                trial.roll_back(&[], Life::quiet()).require_report();
            }
            other => panic!("{other:?}"),
        }
        assert!(trial.world.is_untouched());
        trial.require_laws();
    }
    panic!("the rollback never came to its end");
}

#[test]
fn a_rollback_that_fails_is_stuck_and_goes_on_later() {
    let undo = StepScript::default().undoing([UndoAct::Fail(Kind::Rejected)]);
    let trial = succeeded(&PlanShape::wide(2, 2), &Script::smooth().step("a/s0@t0", "a0", undo));
    let report = trial.roll_back(&[], Life::quiet()).require_report();
    assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::Stuck), 112));
    let report = trial.roll_back(&[], Life::quiet()).require_report();
    assert_eq!(report.outcome, Some(Outcome::RolledBack));
    assert!(trial.world.is_untouched());
    trial.require_laws();
}

#[test]
fn a_lane_that_the_run_does_not_have_is_refused_by_name() {
    let trial = succeeded(&PlanShape::wide(2, 1), &Script::smooth());
    let before = trial.records();
    let error = trial.roll_back(&["a/s7@t0"], Life::quiet()).require_error();
    let RunError::Refused(failure) = error else { panic!("{error:?}") };
    assert_eq!(failure.what, "run `run-1` has no lane `a/s7@t0`");
    assert_eq!(failure.because, ["its lanes are `a/s0@t0`, `a/s1@t1`"]);
    assert_eq!(trial.records(), before);
}

fn refused(ending: Ending) {
    let Ending::Failed(RunError::Refused(failure)) = ending else { panic!("{ending:?}") };
    assert_eq!((failure.kind, failure.state.as_deref()), (Kind::Conflict, Some("nothing was touched")));
}

#[test]
fn what_another_run_has_gone_over_is_neither_taken_back_nor_gone_on_with() {
    let shape = PlanShape::wide(3, 2).by(Way::Restore);
    let trial = succeeded(&shape, &Script::smooth());
    let before = trial.records();
    trial.world.meanwhile("dump-a0/s1@t1", Meanwhile::GoneOver);
    refused(trial.roll_back(&[], Life::quiet()));
    refused(trial.roll_back(&["a/s1@t1"], Life::quiet()));
    assert_eq!(trial.records(), before, "nothing of it is in the journal");
    // Of others it is nobody's business.
    trial.roll_back(&["a/s0@t0"], Life::quiet()).require_report();
    trial.require_laws();

    for records in 20..30 {
        let trial = Trial::new(shape.approved(), &Script::smooth());
        let Ending::Killed = trial.execute(Life::killed_after(records)) else { panic!("it ends after {records}") };
        trial.world.meanwhile("dump-a0/s1@t1", Meanwhile::GoneOver);
        refused(trial.resume(Life::quiet()));
        trial.require_laws();
    }
}

#[test]
fn what_can_no_longer_be_restored_is_not_taken_back_once_the_run_has_succeeded_and_tried_while_it_has_not() {
    let shape = PlanShape::wide(3, 2).by(Way::Restore);
    let trial = succeeded(&shape, &Script::smooth());
    trial.world.meanwhile("dump-a0/s1@t1", Meanwhile::Removed);
    refused(trial.roll_back(&[], Life::quiet()));
    assert!(!trial.world.is_untouched());

    let trial = Trial::new(shape.approved(), &Script::smooth());
    let Ending::Killed = trial.execute(Life::killed_after(25)) else { panic!("it ends") };
    trial.world.meanwhile("dump-a0/s1@t1", Meanwhile::Removed);
    let report = trial.roll_back(&[], Life::quiet()).require_report();
    assert_eq!(report.outcome, Some(Outcome::RolledBack));
    assert!(trial.world.is_untouched());
    trial.require_laws();
}
