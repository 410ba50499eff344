//! No green without evidence: every "done" names what was read back.

use pleach_core::error::Kind;
use pleach_core::journal::Outcome;
use pleach_core::report::Report;
use pleach_core::testing::{Act, Life, LookAct, PlanShape, Script, StepScript, Trial, Turns, UndoAct, Way};

fn run(shape: &PlanShape, script: StepScript) -> (Trial, Report) {
    let trial = Trial::new(shape.approved(), &Script::smooth().step("a/s0@t0", "a0", script));
    let report = trial.execute(Life::quiet()).require_report();
    trial.require_laws();
    (trial, report)
}

#[test]
fn a_step_that_read_nothing_back_is_not_done() {
    let (trial, report) = run(&PlanShape::wide(1, 1), StepScript::applying([Act::Silent]));
    assert_eq!(report.outcome, Some(Outcome::RolledBack));
    assert!(trial.world.is_untouched());
    assert_eq!(report.lanes[0].failure().map(|failure| failure.kind), Some(Kind::Internal));
}

#[test]
fn a_look_that_read_nothing_back_shows_nothing() {
    let script = StepScript { look: Turns::always(LookAct::Silent), ..StepScript::applying([Act::DoneThenHang]) };
    let (_, report) = run(&PlanShape::wide(1, 1), script);
    assert_eq!(report.outcome, Some(Outcome::RolledBack));
}

#[test]
fn an_undo_that_read_nothing_back_is_not_believed() {
    for way in [Way::Undo, Way::Restore] {
        let script = StepScript::applying([Act::Half(Kind::Rejected)]).always_undoing(UndoAct::Silent);
        let (_, report) = run(&PlanShape::wide(1, 1).by(way), script);
        assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::Stuck), 112));
    }
}

#[test]
fn every_step_of_a_run_that_succeeded_names_what_was_read_back() {
    let (_, report) = run(&PlanShape::wide(3, 3).then(2), StepScript::default());
    assert_eq!(report.exit_code(), 0);
    assert!(report.lanes.iter().flat_map(|lane| &lane.steps).all(|step| step.evidence.is_some()));
}
