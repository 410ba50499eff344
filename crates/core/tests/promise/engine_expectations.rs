//! A plan that is stale, used or not for these adapters is refused before its first change.

use pleach_core::engine::{RunError, cancel_channel};
use pleach_core::error::Kind;
use pleach_core::testing::{Life, PlanShape, Script, Trial};
use pleach_core::word::{RunId, TargetName};
use serde_json::json;

fn trial() -> Trial {
    Trial::new(PlanShape::wide(2, 2).approved(), &Script::smooth())
}

#[test]
fn a_target_that_has_changed_since_the_plan_refuses_the_run() {
    let trial = trial();
    trial.world.change_fact(&TargetName::new("t1").expect("a name"), "state", json!("newer"));
    let error = trial.execute(Life::quiet()).require_error();
    let RunError::Refused(failure) = error else { panic!("{error:?}") };
    assert_eq!(failure.kind, Kind::Conflict);
    assert_eq!(failure.because, ["`state` was `\"old\"` and is now `\"newer\"`"]);
    assert_eq!(failure.next.as_deref(), Some("make a new plan: `pleach plan trial`"));
    assert!(trial.world.is_untouched() && trial.records().is_empty());
    assert_eq!(trial.leases.living(), 0);
}

#[test]
fn facts_that_the_plan_does_not_name_may_change() {
    let trial = trial();
    trial.world.change_fact(&TargetName::new("t1").expect("a name"), "free-space", json!(7));
    trial.execute(Life::quiet()).require_report();
    trial.require_laws();
}

#[test]
fn a_plan_is_used_once() {
    let trial = trial();
    trial.execute(Life::quiet()).require_report();
    let calls = trial.world.calls("a/s0@t0", "a0");
    let error = trial.execute(Life::quiet()).require_error();
    assert!(matches!(&error, RunError::Refused(failure) if failure.kind == Kind::Conflict), "{error:?}");
    assert_eq!(trial.world.calls("a/s0@t0", "a0"), calls);
    assert_eq!(trial.leases.living(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_plan_for_targets_or_phases_that_are_not_here_is_refused() {
    let trial = trial();
    let (_stop, stop) = cancel_channel();
    let run = RunId::new("run-2").expect("a name");
    let none = pleach_core::engine::RunTargets::new();
    let error = trial.engine.execute(run.clone(), trial.approved().clone(), &none, stop).await;
    assert!(matches!(error, Err(RunError::Refused(_))));
    let (_stop, stop) = cancel_channel();
    let mut engine = trial.engine.clone();
    engine.registry = std::sync::Arc::default();
    let error = engine.execute(run, trial.approved().clone(), &trial.targets, stop).await;
    assert!(matches!(error, Err(RunError::Refused(failure)) if failure.kind == Kind::Unsupported));
    assert!(trial.world.is_untouched() && trial.leases.living() == 0);
}

#[test]
fn a_run_that_is_not_there_or_never_began_is_not_resumed() {
    let trial = trial();
    let error = trial.resume(Life::quiet()).require_error();
    assert!(matches!(error, RunError::Refused(_)));
    assert!(matches!(trial.execute(Life::killed_after(0)), pleach_core::testing::Ending::Killed));
    let error = trial.resume(Life::quiet()).require_error();
    let failure = error.failure();
    assert_eq!(failure.what, "the journal is empty: its run was stopped before it began");
    assert_eq!(failure.next.as_deref(), Some("make a new plan: `pleach plan`"));
    assert!(trial.world.is_untouched());
}
