//! No more lanes at work, and no faster started, than the policy says.

use pleach_core::journal::Outcome;
use pleach_core::testing::{LaneShape, Life, PlanShape, Script, StepShape, Trial};
use tokio::time::Instant;

/// Twelve services on three targets.
fn shape(parallel: u32, per_target: u32) -> PlanShape {
    let lane = |service: usize| LaneShape { service, target: service % 3, steps: vec![StepShape::default(); 2] };
    let shape = PlanShape { stages: vec![(0..12).map(lane).collect()], ..PlanShape::default() };
    shape.policy(|policy| (policy.limits.parallel, policy.limits.per_target) = (parallel, per_target))
}

fn run(shape: &PlanShape) -> Trial {
    let trial = Trial::new(shape.approved(), &Script::smooth());
    assert_eq!(trial.execute(Life::quiet()).require_report().outcome, Some(Outcome::Succeeded));
    trial
}

#[test]
fn no_more_lanes_work_at_once_than_the_limits_say() {
    for (parallel, per_target, most) in
        [(1, 1, 1), (2, 1, 2), (5, 1, 3), (4, 2, 4), (100, 2, 6), (7, 100, 7), (100, 100, 12)]
    {
        let trial = run(&shape(parallel, per_target));
        trial.require_laws();
        assert_eq!(trial.world.most_at_once(), most, "the limits are used to the full: {parallel} {per_target}");
    }
}

#[test]
fn a_limit_of_nothing_is_one() {
    run(&shape(0, 0)).require_laws();
}

#[test]
fn one_lane_can_not_keep_the_places_of_a_busy_target_from_others() {
    // All lanes of target 0 come first in the plan; the other targets start beside the first of them.
    let lane = |service: usize| LaneShape { service, target: service / 4, steps: vec![StepShape::default()] };
    let shape = PlanShape { stages: vec![(0..12).map(lane).collect()], ..PlanShape::default() };
    let shape = shape.policy(|policy| (policy.limits.parallel, policy.limits.per_target) = (3, 1));
    let trial = run(&shape);
    trial.require_laws();
    assert_eq!(trial.world.most_at_once(), 3);
}

#[tokio::test(start_paused = true)]
async fn lanes_start_no_faster_than_the_rate() {
    let shape = shape(100, 100).policy(|policy| policy.limits.starts_per_second = Some(4.0));
    let trial = Trial::new(shape.approved(), &Script::smooth());
    let (_stop, stop) = pleach_core::engine::cancel_channel();
    let begin = Instant::now();
    let report = trial.engine.execute(trial.run.clone(), trial.approved().clone(), &trial.targets, stop).await;
    assert_eq!(report.expect("nobody disturbs it").outcome, Some(Outcome::Succeeded));
    let seconds = begin.elapsed().as_secs_f64();
    assert!((2.75..3.0).contains(&seconds), "eleven gaps of a quarter of a second: {seconds}");
    trial.require_laws();
}
