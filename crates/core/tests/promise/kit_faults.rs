//! The fault wrappers do what they say, and the engine bears each of them around its journal and its leases.

use std::sync::Arc;
use std::time::Duration;

use pleach_core::error::Kind;
use pleach_core::journal::Outcome;
use pleach_core::port::{Call, Command, CommandOutput, ExitStatus, NoLines, Secret, SecretName, Secrets, Shell};
use pleach_core::report::Report;
use pleach_core::testing::faulty::{Fault, FaultPlan, FaultyLeases, FaultyRuns, FaultySecrets, FaultyShell};
use pleach_core::testing::mock::{MockSecrets, MockShell};
use pleach_core::testing::{Act, Ending, Life, PlanShape, Script, StepScript, Trial, Turns};
use tokio::time::{Instant, timeout};

fn shell(plan: FaultPlan, runs: usize) -> FaultyShell {
    let mut mock = MockShell::new();
    let output = CommandOutput { status: ExitStatus::Code(0), stdout: vec![], stderr: vec![] };
    mock.expect_run().times(runs).returning(move |_, _| Ok(output.clone()));
    FaultyShell { inner: Arc::new(mock), plan: Arc::new(plan) }
}

async fn run(shell: &FaultyShell) -> Result<CommandOutput, pleach_core::error::Failure> {
    let cancel = tokio_util::sync::CancellationToken::new();
    shell.run(&Command::read(["true"]), Call { token: None, lines: &NoLines, cancel: &cancel }).await
}

#[tokio::test(start_paused = true)]
async fn each_fault_does_what_it_says() {
    let every = FaultPlan::every;
    assert!(run(&shell(FaultPlan::none(), 1)).await.is_ok());
    let failed = run(&shell(every(Fault::Fail(Kind::Rejected)), 0)).await;
    assert_eq!(failed.expect_err("it fails").kind, Kind::Rejected);
    let hung = shell(every(Fault::Hang), 0);
    assert!(timeout(Duration::from_secs(9_999), run(&hung)).await.is_err());
    let done = run(&shell(every(Fault::DoneThenTimeOut), 1)).await;
    assert_eq!(done.expect_err("nobody is told").kind, Kind::UnknownOutcome);
    let begin = Instant::now();
    assert!(run(&shell(every(Fault::Slow(Duration::from_secs(3))), 1)).await.is_ok());
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
    assert!(run(&shell(every(Fault::Twice), 2)).await.is_ok());
}

#[tokio::test]
async fn only_the_planned_calls_go_wrong_and_all_are_told() {
    let shell = shell(FaultPlan::at([(1, Fault::Fail(Kind::Transient))]), 2);
    assert!(run(&shell).await.is_ok());
    assert!(run(&shell).await.is_err());
    assert!(run(&shell).await.is_ok());
    assert_eq!(shell.plan.calls(), ["shell.run"; 3]);
}

#[tokio::test]
async fn a_secret_that_cannot_be_fetched_is_named_and_not_shown() {
    let mut mock = MockSecrets::new();
    mock.expect_fetch().returning(|_| Ok(Secret::new("hunter2")));
    let plan = Arc::new(FaultPlan::every(Fault::DoneThenTimeOut));
    let secrets = FaultySecrets { inner: Arc::new(mock), plan };
    let failure = secrets.fetch(&SecretName::Env("TOKEN".into())).await.expect_err("nobody is told");
    assert!(!format!("{failure:?}").contains("hunter2"));
}

/// Runs a trial with one fault at one call, then goes on without faults; gives the calls of the first process.
fn bear(script: &Script, wanted: Outcome, install: impl Fn(&mut Trial, Arc<FaultPlan>), plan: FaultPlan) -> usize {
    let plan = Arc::new(plan);
    let mut trial = Trial::new(PlanShape::wide(2, 2).approved(), script);
    let engine = trial.engine.clone();
    install(&mut trial, plan.clone());
    let ending = trial.execute(Life::quiet());
    assert!(matches!(ending, Ending::Reported(_) | Ending::Failed(_)), "{plan:?}: {ending:?}");
    trial.require_laws();
    trial.engine = engine;
    let ended = Report::fold(&trial.records()).ok().and_then(|report| report.outcome);
    match ended {
        Some(outcome) => assert_eq!(outcome, wanted, "{plan:?}"),
        None if trial.records().is_empty() => assert!(trial.world.is_untouched(), "{plan:?}"),
        None => assert_eq!(trial.resume(Life::quiet()).require_report().outcome, Some(wanted), "{plan:?}"),
    }
    trial.require_laws();
    plan.calls().len()
}

fn bear_all(install: impl Fn(&mut Trial, Arc<FaultPlan>)) {
    let failing = StepScript { apply: Turns::always(Act::Half(Kind::Rejected)), ..StepScript::default() };
    let failing = Script::smooth().step("a/s1@t1", "a1", failing);
    for (script, wanted) in [(Script::smooth(), Outcome::Succeeded), (failing, Outcome::RolledBack)] {
        let calls = bear(&script, wanted, &install, FaultPlan::none());
        assert!(calls > 3);
        for at in 0..calls {
            for fault in Fault::ALL {
                bear(&script, wanted, &install, FaultPlan::at([(at, fault)]));
            }
        }
    }
}

#[test]
fn a_run_bears_every_fault_of_its_journal() {
    bear_all(|trial, plan| trial.engine.runs = Arc::new(FaultyRuns { inner: trial.runs.clone(), plan }));
}

#[test]
fn a_run_bears_every_fault_of_the_place_of_leases() {
    bear_all(|trial, plan| trial.engine.leases = Arc::new(FaultyLeases { inner: trial.leases.clone(), plan }));
}
