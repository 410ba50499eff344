//! Nothing of the user's is lost: snapshots are kept for as long as somebody may need them.

use pleach_core::error::Kind;
use pleach_core::journal::{Entry, Outcome};
use pleach_core::plan::OnFailure;
use pleach_core::testing::{Act, Life, PlanShape, Script, StepScript, Trial, UndoAct, Way};

fn discarded(trial: &Trial) -> usize {
    trial.records().iter().filter(|record| matches!(record.entry, Entry::DiscardStarted { .. })).count()
}

fn run(on_failure: OnFailure, script: &Script) -> (Trial, Option<Outcome>) {
    let trial = Trial::new(PlanShape::wide(2, 2).by(Way::Restore).on_failure(on_failure).approved(), script);
    let report = trial.execute(Life::quiet()).require_report();
    trial.require_laws();
    (trial, report.outcome)
}

#[test]
fn a_run_that_succeeded_keeps_its_snapshots_for_a_later_rollback() {
    let (trial, outcome) = run(OnFailure::UnwindRun, &Script::smooth());
    assert_eq!((outcome, discarded(&trial)), (Some(Outcome::Succeeded), 0));
    let report = trial.roll_back(&[], Life::quiet()).require_report();
    assert_eq!((report.outcome, discarded(&trial)), (Some(Outcome::RolledBack), 4));
    assert!(trial.world.is_untouched());
    trial.require_laws();
}

#[test]
fn a_held_run_keeps_its_snapshots() {
    let script = Script::smooth().step("a/s0@t0", "a1", StepScript::applying([Act::Half(Kind::Rejected)]));
    let (trial, outcome) = run(OnFailure::Hold, &script);
    assert_eq!((outcome, discarded(&trial)), (Some(Outcome::Held), 0));
}

#[test]
fn a_stuck_run_keeps_its_snapshots_until_it_is_finished() {
    let fails = StepScript::applying([Act::Half(Kind::Rejected)]).undoing([UndoAct::Half(Kind::Rejected)]);
    let (trial, outcome) = run(OnFailure::UnwindRun, &Script::smooth().step("a/s0@t0", "a1", fails));
    assert_eq!((outcome, discarded(&trial)), (Some(Outcome::Stuck), 0));
    let report = trial.resume(Life::quiet()).require_report();
    assert_eq!((report.outcome, discarded(&trial)), (Some(Outcome::RolledBack), 4));
    trial.require_laws();
}

#[test]
fn a_run_of_which_one_lane_went_back_keeps_the_snapshots_of_the_others() {
    let script = Script::smooth().step("a/s0@t0", "a1", StepScript::applying([Act::Half(Kind::Rejected)]));
    let (trial, outcome) = run(OnFailure::UnwindLane, &script);
    assert_eq!((outcome, discarded(&trial)), (Some(Outcome::RolledBack), 0));
}
