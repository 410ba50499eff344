//! Stopping: at a safe point, at once, or by leaving the run as it is.

use pleach_core::engine::{CancelRequest, RunError};
use pleach_core::error::Kind;
use pleach_core::journal::{Entry, Outcome};
use pleach_core::plan::OnFailure;
use pleach_core::testing::schedule::Faults;
use pleach_core::testing::{Act, Life, Pace, PlanShape, Script, StepScript, Trial, Way, check_laws};

fn gently() -> CancelRequest {
    CancelRequest::Gently("SIGINT".into())
}

fn at_once() -> CancelRequest {
    CancelRequest::AtOnce("SIGINT".into())
}

#[test]
fn a_stop_at_any_record_takes_everything_back() {
    for way in [Way::Undo, Way::Restore] {
        let plan = PlanShape::wide(3, 2).then(1).by(way).approved();
        let whole = check_laws(&plan, &Script::smooth(), &Faults::none()).unwrap_or_else(|broken| panic!("{broken}"));
        for request in [gently(), at_once()] {
            for at in 0..whole.records - 1 {
                let faults = Faults { last: Life::stopped_after(at, request.clone()), ..Faults::none() };
                let checked = check_laws(&plan, &Script::smooth(), &faults).unwrap_or_else(|broken| panic!("{broken}"));
                let report = checked.report.expect("it has begun");
                if at + 4 >= whole.records && report.outcome == Some(Outcome::Succeeded) {
                    // The last entries are written together: by then it is too late.
                    continue;
                }
                assert_eq!(
                    (report.outcome, report.exit_code()),
                    (Some(Outcome::RolledBack), 130),
                    "{request:?} at {at}"
                );
            }
        }
    }
}

#[test]
fn a_stop_under_any_policy_takes_back() {
    for policy in [OnFailure::UnwindRun, OnFailure::UnwindLane, OnFailure::Hold] {
        let trial = Trial::new(PlanShape::wide(2, 3).on_failure(policy).approved(), &Script::smooth());
        let report = trial.execute(Life::stopped_after(7, gently())).require_report();
        assert_eq!(report.outcome, Some(Outcome::RolledBack));
        assert!(trial.world.is_untouched());
        trial.require_laws();
    }
}

fn slow(heeds_cancel: bool) -> Script {
    let pace = Pace { before: 0, between: 4_000, after: 0 };
    Script::smooth().step("a/s0@t0", "a0", StepScript { pace, heeds_cancel, ..StepScript::default() })
}

#[test]
fn a_gentle_stop_waits_for_a_step_that_has_no_safe_point() {
    let trial = Trial::new(PlanShape::wide(2, 1).approved(), &slow(false));
    // The other lane is done by then, and the slow step under way.
    trial.execute(Life::stopped_after(6, gently())).require_report();
    let finished = |entry: &Entry| matches!(entry, Entry::StepFinished { .. });
    assert_eq!(trial.records().iter().filter(|record| finished(&record.entry)).count(), 2);
    assert!(trial.world.is_untouched());
    trial.require_laws();
}

#[test]
fn a_gentle_stop_ends_a_step_at_its_safe_point() {
    let trial = Trial::new(PlanShape::wide(2, 1).approved(), &slow(true));
    trial.execute(Life::stopped_after(6, gently())).require_report();
    let failure = trial.records().into_iter().find_map(|record| match record.entry {
        Entry::StepFailed { failure, .. } => Some(failure.kind),
        _ => None,
    });
    assert_eq!(failure, Some(Kind::Cancelled));
    assert!(trial.world.is_untouched());
    trial.require_laws();
}

#[test]
fn a_stop_at_once_ends_a_step_in_the_middle_and_undoes_it() {
    let hangs = Script::smooth().step("a/s0@t0", "a0", StepScript::applying([Act::DoneThenHang]));
    for script in [slow(false), hangs] {
        let trial = Trial::new(PlanShape::wide(2, 1).approved(), &script);
        let stops = vec![
            (6, pleach_core::testing::Interruption::Stop(gently())),
            (7, pleach_core::testing::Interruption::Stop(at_once())),
        ];
        trial.execute(Life { interruptions: stops, ..Life::quiet() }).require_report();
        let unknown = |entry: &Entry| matches!(entry, Entry::StepUnknown { .. });
        assert!(trial.records().iter().any(|record| unknown(&record.entry)), "{}", trial.told());
        assert!(trial.world.is_untouched());
        trial.require_laws();
    }
}

#[test]
fn a_run_that_is_left_can_be_resumed() {
    let plan = PlanShape::wide(3, 2).approved();
    for at in 1..11 {
        let trial = Trial::new(plan.clone(), &Script::smooth());
        let error = trial.execute(Life::stopped_after(at, CancelRequest::Leave)).require_error();
        assert!(matches!(&error, RunError::Unfinished(failure) if failure.kind == Kind::Cancelled));
        assert_eq!(trial.leases.living(), 0);
        assert_eq!(trial.resume(Life::quiet()).require_report().outcome, Some(Outcome::Succeeded));
        trial.require_laws();
    }
}

#[test]
fn an_attempt_that_waits_for_its_turn_is_withdrawn_and_not_undone() {
    // One lane in a hundred seconds: the second is announced and waits.
    let shape = PlanShape::wide(2, 1).by(Way::ForwardOnly);
    let plan = shape.policy(|policy| policy.limits.starts_per_second = Some(0.01)).approved();
    for request in [gently(), at_once()] {
        let script = Script::smooth().step("a/s0@t0", "a0", StepScript::applying([Act::Hang]));
        let trial = Trial::new(plan.clone(), &script);
        let report = trial.execute(Life::stopped_after(5, request)).require_report();
        assert_eq!(trial.world.calls("a/s1@t1", "a0"), (0, 0, 0));
        assert_eq!(report.lanes[1].status, pleach_core::engine::LaneStatus::TakenBack);
        assert_eq!(report.lanes[1].left(), None, "what never began is not left");
        trial.require_laws();
    }
}
