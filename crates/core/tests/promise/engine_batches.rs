//! Rolling batches: sizes, pauses between them, and a failure budget.

use pleach_core::engine::LaneStatus;
use pleach_core::error::Kind;
use pleach_core::journal::{Entry, Outcome};
use pleach_core::period::Period;
use pleach_core::plan::{BatchSize, OnFailure};
use pleach_core::report::Report;
use pleach_core::testing::{Act, Life, PlanShape, Script, StepScript, Trial};

fn shape(on_failure: OnFailure, budget: Option<u32>) -> PlanShape {
    PlanShape::wide(8, 1).on_failure(on_failure).policy(|policy| {
        policy.batch = vec![BatchSize::Lanes(1), BatchSize::Percent(25), BatchSize::Percent(100)];
        policy.pause = Period::seconds(30);
        policy.failure_budget = budget;
    })
}

fn failing(services: &[usize]) -> Script {
    services.iter().fold(Script::smooth(), |script, service| {
        let lane = format!("a/s{service}@t{service}");
        script.step(&lane, "a0", StepScript::applying(vec![Act::Half(Kind::Rejected); 9]))
    })
}

fn run(shape: &PlanShape, script: &Script) -> (Trial, Report) {
    let trial = Trial::new(shape.approved(), script);
    let report = trial.execute(Life::quiet()).require_report();
    trial.require_laws();
    (trial, report)
}

fn count(report: &Report, status: LaneStatus) -> usize {
    report.lanes.iter().filter(|lane| lane.status == status).count()
}

#[test]
fn batches_have_their_sizes_and_pauses() {
    let (trial, report) = run(&shape(OnFailure::UnwindRun, None), &Script::smooth());
    assert_eq!(report.outcome, Some(Outcome::Succeeded));
    let mut sizes = vec![0];
    let mut pauses = Vec::new();
    for record in trial.records() {
        match record.entry {
            Entry::BatchReleased { .. } => sizes.push(0),
            Entry::BatchPaused { pause_ms, .. } => pauses.push(pause_ms),
            Entry::StepStarted { .. } => *sizes.last_mut().expect("one is open") += 1,
            _ => {}
        }
    }
    assert_eq!((sizes, pauses), (vec![1, 2, 5], vec![30_000, 30_000]));
}

#[test]
fn a_first_batch_that_fails_starts_no_second_one() {
    let (_, report) = run(&shape(OnFailure::UnwindRun, None), &failing(&[0]));
    assert_eq!(report.outcome, Some(Outcome::RolledBack));
    assert_eq!((count(&report, LaneStatus::TakenBack), count(&report, LaneStatus::Skipped)), (1, 7));
}

#[test]
fn within_its_budget_only_the_failed_lane_goes_back_and_the_others_go_on() {
    for on_failure in [OnFailure::UnwindRun, OnFailure::UnwindLane, OnFailure::Hold] {
        let (_, report) = run(&shape(on_failure, Some(1)), &failing(&[1]));
        assert_eq!(report.outcome, Some(Outcome::RolledBack));
        assert_eq!((count(&report, LaneStatus::TakenBack), count(&report, LaneStatus::Done)), (1, 7));
    }
}

#[test]
fn a_spent_budget_means_what_the_policy_says() {
    let (trial, report) = run(&shape(OnFailure::UnwindRun, Some(1)), &failing(&[0, 1]));
    assert_eq!(count(&report, LaneStatus::Done), 0);
    assert!(trial.world.is_untouched());
    let (_, report) = run(&shape(OnFailure::UnwindLane, Some(1)), &failing(&[0, 1]));
    let counts = [LaneStatus::TakenBack, LaneStatus::Done, LaneStatus::Skipped].map(|status| count(&report, status));
    assert_eq!(counts, [2, 1, 5], "no new batch starts; what had begun goes on");
    let (_, report) = run(&shape(OnFailure::Hold, Some(1)), &failing(&[0, 1]));
    assert_eq!(report.outcome, Some(Outcome::Held));
    let counts = [LaneStatus::TakenBack, LaneStatus::Failed, LaneStatus::Waiting].map(|status| count(&report, status));
    assert_eq!(counts, [1, 1, 5]);
}

#[test]
fn without_a_budget_any_number_of_lanes_may_fail_under_unwind_lane() {
    let (_, report) = run(&shape(OnFailure::UnwindLane, None), &failing(&[0, 1, 2, 5]));
    assert_eq!((count(&report, LaneStatus::TakenBack), count(&report, LaneStatus::Done)), (4, 4));
}

#[test]
fn a_stop_ends_a_pause_at_once() {
    use pleach_core::engine::CancelRequest;
    let shape = shape(OnFailure::UnwindRun, None).policy(|policy| policy.pause = Period::seconds(100_000));
    let trial = Trial::new(shape.approved(), &Script::smooth());
    let records = 1 + 8 + 2 + 1;
    let report = trial.execute(Life::stopped_after(records, CancelRequest::Gently("SIGINT".into()))).require_report();
    assert_eq!(report.outcome, Some(Outcome::RolledBack));
    assert_eq!(count(&report, LaneStatus::Skipped), 7, "{}", trial.told());
}
