//! Leases are renewed while a run works; a lost one stops the run, which can be resumed.

use pleach_core::engine::RunError;
use pleach_core::error::Kind;
use pleach_core::event::Event;
use pleach_core::journal::Outcome;
use pleach_core::period::Period;
use pleach_core::testing::{Act, Interruption, Life, Pace, PlanShape, Renewal, Script, StepScript, Trial};
use pleach_core::word::TargetName;

/// Steps of four seconds under leases of six.
fn trial() -> Trial {
    let slow = StepScript { pace: Pace { before: 0, between: 4_000, after: 0 }, ..StepScript::default() };
    let script = (0..4).fold(Script::smooth(), |script, at| script.step("a/s0@t0", &format!("a{at}"), slow.clone()));
    Trial::new(PlanShape::wide(1, 4).policy(|policy| policy.lease = Period::seconds(6)).approved(), &script)
}

#[test]
fn a_lease_is_renewed_for_as_long_as_the_run_works() {
    let trial = trial();
    assert_eq!(trial.execute(Life::quiet()).require_report().outcome, Some(Outcome::Succeeded));
    assert!(trial.leases.renewals() >= 7, "sixteen seconds, every two: {}", trial.leases.renewals());
    trial.require_laws();
}

#[test]
fn a_run_whose_lease_has_passed_on_stops_and_can_be_resumed() {
    let trial = trial();
    let lost = Interruption::LosesLease(TargetName::new("t0").expect("a name"));
    let error = trial.execute(Life { interruptions: vec![(6, lost)], ..Life::quiet() }).require_error();
    let RunError::Unfinished(failure) = error else { panic!("{error:?}") };
    assert_eq!(failure.kind, Kind::Conflict);
    assert_eq!(failure.next.as_deref(), Some("`pleach resume run-1`"));
    assert_eq!(trial.resume(Life::quiet()).require_report().outcome, Some(Outcome::Succeeded));
    trial.require_laws();
}

#[test]
fn a_run_that_cannot_renew_its_lease_stops_before_it_expires() {
    for renewal in [Renewal::Fail, Renewal::Hang] {
        let trial = trial();
        let life = Life { interruptions: vec![(0, Interruption::Renewals(renewal))], ..Life::quiet() };
        let error = trial.execute(life).require_error();
        assert!(matches!(&error, RunError::Unfinished(failure) if failure.kind == Kind::Conflict), "{error:?}");
        // The world notes a change under an expired lease.
        trial.require_laws();
        assert_eq!(trial.resume(Life::quiet()).require_report().outcome, Some(Outcome::Succeeded));
        trial.require_laws();
    }
}

#[test]
fn a_renewal_that_fails_once_is_told_and_survived() {
    let trial = trial();
    let interruptions = vec![(0, Interruption::Renewals(Renewal::Fail)), (5, Interruption::Renewals(Renewal::Succeed))];
    let report = trial.execute(Life { interruptions, ..Life::quiet() }).require_report();
    assert_eq!(report.outcome, Some(Outcome::Succeeded));
    assert!(trial.events.all().iter().any(|event| matches!(event, Event::LeaseAtRisk { .. })));
    trial.require_laws();
}

#[test]
fn a_step_that_is_under_way_when_the_lease_is_lost_is_looked_at_by_the_next_process() {
    let script = Script::smooth().step("a/s0@t0", "a0", StepScript::applying([Act::DoneThenHang]));
    let trial =
        Trial::new(PlanShape::wide(2, 1).policy(|policy| policy.lease = Period::seconds(1)).approved(), &script);
    let lost = Interruption::LosesLease(TargetName::new("t0").expect("a name"));
    trial.execute(Life { interruptions: vec![(6, lost)], ..Life::quiet() }).require_error();
    assert_eq!(trial.resume(Life::quiet()).require_report().outcome, Some(Outcome::Succeeded));
    assert_eq!(trial.world.calls("a/s0@t0", "a0"), (1, 1, 0), "{}", trial.told());
    trial.require_laws();
}
