//! One hand at a time: nothing changes without a lease, and a late command of an old holder is refused.

use std::sync::Arc;

use pleach_core::engine::{RunError, cancel_channel};
use pleach_core::error::{Failure, Kind};
use pleach_core::journal::{Entry, Outcome};
use pleach_core::plan::OnFailure;
use pleach_core::port::{Lease, LeaseRequest, Leases};
use pleach_core::testing::{Act, Ending, Interruption, Life, MemoryLeases, Pace, PlanShape, Script, StepScript, Trial};
use pleach_core::word::TargetName;
use tokio::time::{Duration, sleep, timeout};

fn target(name: &str) -> TargetName {
    TargetName::new(name).expect("a name")
}

#[tokio::test(start_paused = true)]
async fn a_second_run_on_the_same_targets_is_told_who_holds_them() {
    let trial = Trial::new(PlanShape::wide(2, 2).approved(), &Script::smooth());
    let (_first, first_stop) = cancel_channel();
    let (_second, second_stop) = cancel_channel();
    let plan = trial.approved().clone();
    let second_run = pleach_core::word::RunId::new("run-2").expect("a name");
    let first = trial.engine.execute(trial.run.clone(), plan.clone(), &trial.targets, first_stop);
    let second = async {
        sleep(Duration::from_millis(2)).await;
        trial.engine.execute(second_run, plan, &trial.targets, second_stop).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.expect("nobody disturbs it").outcome, Some(Outcome::Succeeded));
    let Err(RunError::Leased(failure)) = second else { panic!("it must be refused: {second:?}") };
    assert_eq!(failure.because, ["`ada` deploys run run-1"]);
    trial.require_laws();
}

/// Somebody who is slow to ask for leases.
struct Late(Arc<MemoryLeases>);

#[async_trait::async_trait]
impl Leases for Late {
    async fn acquire(&self, request: &LeaseRequest) -> Result<Lease, Failure> {
        sleep(Duration::from_secs(5)).await;
        self.0.acquire(request).await
    }
    async fn renew(&self, lease: &Lease) -> Result<Lease, Failure> {
        self.0.renew(lease).await
    }
    async fn release(&self, lease: &Lease) -> Result<(), Failure> {
        self.0.release(lease).await
    }
    async fn list(&self) -> Result<Vec<Lease>, Failure> {
        self.0.list().await
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_that_go_on_with_a_run_at_once_only_one_does() {
    let held = Script::smooth().step("a/s0@t0", "a1", StepScript::applying([Act::Fail(Kind::Rejected)]));
    let trial = Trial::new(PlanShape::wide(2, 2).on_failure(OnFailure::Hold).approved(), &held);
    let (_stop, stop) = cancel_channel();
    let run = trial.engine.execute(trial.run.clone(), trial.approved().clone(), &trial.targets, stop);
    assert_eq!(run.await.expect("it is held").outcome, Some(Outcome::Held));
    let mut late = trial.engine.clone();
    late.leases = Arc::new(Late(trial.leases.clone()));
    // Both read the journal of a held run; the late one gets the leases when the other has gone on and ended it.
    let (_one, one) = cancel_channel();
    let (_two, two) = cancel_channel();
    let (first, second) = tokio::join!(
        trial.engine.resume(&trial.run, &trial.targets, one),
        late.resume(&trial.run, &trial.targets, two)
    );
    assert_eq!(first.expect("nobody disturbs it").outcome, Some(Outcome::Succeeded));
    let Err(RunError::Refused(failure)) = second else { panic!("it must be refused: {second:?}") };
    assert_eq!(failure.because, ["it has ended"]);
    assert_eq!(trial.leases.living(), 0);
    trial.require_laws();
}

#[test]
fn every_process_that_goes_on_has_a_newer_token_and_tells_the_targets() {
    let trial = Trial::new(PlanShape::wide(2, 2).approved(), &Script::smooth());
    for records in [6, 7] {
        let life = Life::killed_after(records);
        let ending = if trial.records().is_empty() { trial.execute(life) } else { trial.resume(life) };
        assert!(matches!(ending, Ending::Killed));
    }
    assert_eq!(trial.resume(Life::quiet()).require_report().outcome, Some(Outcome::Succeeded));
    let tokens: Vec<u64> = trial
        .records()
        .into_iter()
        .filter_map(|record| match record.entry {
            Entry::LeaseTaken { lease } if lease.target == target("t0") => Some(lease.token.0),
            _ => None,
        })
        .collect();
    assert_eq!(tokens, [1, 2, 3]);
    trial.require_laws();
}

#[test]
fn a_late_command_of_a_holder_whose_lease_has_passed_on_is_refused_by_the_target() {
    let slow = StepScript { pace: Pace { before: 1, between: 1, after: 1 }, ..StepScript::default() };
    let script = Script::smooth().step("a/s0@t0", "a0", slow);
    let trial = Trial::new(PlanShape::wide(1, 3).approved(), &script);
    // The heartbeat has not noticed yet when the next step begins.
    let life = Life { interruptions: vec![(4, Interruption::LosesLease(target("t0")))], ..Life::quiet() };
    let _ = trial.execute(life);
    assert!(trial.world.refusals() > 0, "{}", trial.told());
    assert_eq!(trial.world.calls("a/s0@t0", "a1").0, 0);
    trial.require_laws();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_nobody_waits_for_any_more_lets_its_leases_expire() {
    let hangs = Script::smooth().step("a/s0@t0", "a0", StepScript::applying([Act::Hang]));
    let trial = Trial::new(PlanShape::wide(1, 1).approved(), &hangs);
    let (_stop, stop) = cancel_channel();
    let run = trial.engine.execute(trial.run.clone(), trial.approved().clone(), &trial.targets, stop);
    assert!(timeout(Duration::from_secs(1), run).await.is_err(), "it hangs, and its future is dropped here");
    let renewals = trial.leases.renewals();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(trial.leases.renewals(), renewals);
}

#[test]
fn leases_are_given_back_however_a_run_ends() {
    let failing = Script::smooth().step("a/s0@t0", "a0", StepScript::applying([Act::Fail(Kind::Rejected)]));
    for script in [Script::smooth(), failing] {
        let trial = Trial::new(PlanShape::wide(3, 1).approved(), &script);
        trial.execute(Life::quiet()).require_report();
        assert_eq!((trial.leases.living(), trial.leases.releases()), (0, 3));
    }
}
