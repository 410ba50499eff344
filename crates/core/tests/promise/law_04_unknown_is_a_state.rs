//! Unknown is a state: the engine looks at the target, then decides.

use pleach_core::engine::Condition;
use pleach_core::error::Kind;
use pleach_core::journal::{Entry, Outcome};
use pleach_core::report::Report;
use pleach_core::testing::{Act, Life, LookAct, PlanShape, Script, StepScript, StepShape, Trial, Turns};

fn run(script: StepScript) -> (Trial, Report) {
    let trial = Trial::new(PlanShape::wide(1, 2).approved(), &Script::smooth().step("a/s0@t0", "a0", script));
    let report = trial.execute(Life::quiet()).require_report();
    trial.require_laws();
    (trial, report)
}

#[test]
fn a_step_that_was_done_before_its_answer_was_lost_is_not_done_twice() {
    for act in [Act::DoneThen(Kind::UnknownOutcome), Act::DoneThenHang] {
        let (trial, report) = run(StepScript::applying([act]));
        assert_eq!(report.outcome, Some(Outcome::Succeeded));
        assert_eq!(trial.world.calls("a/s0@t0", "a0"), (1, 1, 0), "{act:?}");
        assert!(report.lanes[0].steps[0].evidence.is_some());
    }
}

#[test]
fn a_step_that_was_not_done_is_done_once_that_was_seen() {
    for act in [Act::Fail(Kind::UnknownOutcome), Act::Half(Kind::UnknownOutcome), Act::Hang, Act::Panic] {
        let (trial, report) = run(StepScript::applying([act]));
        assert_eq!(report.outcome, Some(Outcome::Succeeded));
        assert_eq!(trial.world.calls("a/s0@t0", "a0"), (2, 1, 0), "{act:?}");
    }
}

#[test]
fn a_target_that_cannot_be_looked_at_is_neither_done_nor_failed_but_taken_back() {
    for look in [LookAct::Fail(Kind::Transient), LookAct::Fail(Kind::Rejected), LookAct::Hang, LookAct::Panic] {
        let script = StepScript { look: Turns::always(look), ..StepScript::applying([Act::DoneThenHang]) };
        let (trial, report) = run(script);
        assert_eq!(report.outcome, Some(Outcome::RolledBack), "{look:?}");
        assert!(trial.world.is_untouched());
        // As often as the step may be tried, and no more.
        assert_eq!(trial.world.calls("a/s0@t0", "a0"), (1, 3, 1), "{look:?}");
    }
}

#[test]
fn a_target_that_can_be_looked_at_again_goes_on() {
    let script = StepScript::applying([Act::DoneThenHang]).looking([LookAct::Fail(Kind::Transient), LookAct::Hang]);
    let (trial, report) = run(script);
    assert_eq!(report.outcome, Some(Outcome::Succeeded));
    assert_eq!(trial.world.calls("a/s0@t0", "a0"), (1, 3, 0));
}

#[test]
fn under_hold_an_unknown_step_stays_unknown_until_somebody_resumes() {
    use pleach_core::plan::OnFailure;
    let unseen = StepScript {
        look: Turns::times(3, LookAct::Fail(Kind::Transient), LookAct::Truth),
        ..StepScript::applying([Act::DoneThenHang])
    };
    let script = Script::smooth().step("a/s0@t0", "a0", unseen);
    let trial = Trial::new(PlanShape::wide(1, 2).on_failure(OnFailure::Hold).approved(), &script);
    let held = trial.execute(Life::quiet()).require_report();
    assert_eq!(held.outcome, Some(Outcome::Held));
    assert_eq!(held.lanes[0].steps[0].condition, Condition::Unknown);
    let report = trial.resume(Life::quiet()).require_report();
    assert_eq!(report.outcome, Some(Outcome::Succeeded));
    assert_eq!(trial.world.calls("a/s0@t0", "a0"), (1, 4, 0), "it was looked at, not done again");
    trial.require_laws();
}

#[test]
fn the_time_limit_is_the_engines_own() {
    let mut shape = PlanShape::wide(1, 1);
    shape.stages[0][0].steps[0] = StepShape::default().attempts(1);
    let script = Script::smooth().step("a/s0@t0", "a0", StepScript::applying([Act::Hang]));
    let trial = Trial::new(shape.approved(), &script);
    assert_eq!(trial.execute(Life::quiet()).require_report().outcome, Some(Outcome::RolledBack));
    let told = trial.records().into_iter().find_map(|record| match record.entry {
        Entry::StepUnknown { failure, .. } => Some(failure),
        _ => None,
    });
    assert_eq!(told.expect("the step is unknown").because, ["it was not done within its time limit of 5s"]);
}
