//! A half-done step is undone too: failed, interrupted and unknown steps are undone like finished ones.

use pleach_core::error::Kind;
use pleach_core::journal::Outcome;
use pleach_core::testing::schedule::Faults;
use pleach_core::testing::{Act, PlanShape, Script, StepScript, Turns, Way, check_laws};

const KINDS: [Kind; 7] = [
    Kind::Transient,
    Kind::Rejected,
    Kind::UnknownOutcome,
    Kind::Conflict,
    Kind::Cancelled,
    Kind::Unsupported,
    Kind::Internal,
];

fn every_way_to_fail() -> Vec<Act> {
    let by_kind = KINDS.into_iter().flat_map(|kind| [Act::Fail(kind), Act::Half(kind), Act::DoneThen(kind)]);
    by_kind.chain([Act::Hang, Act::Panic, Act::Silent]).collect()
}

/// Fails each step of a plan in each way; gives how the runs ended.
fn fail_each_step(shape: &PlanShape) -> Vec<(Act, Option<Outcome>)> {
    let plan = shape.approved();
    let mut ended = Vec::new();
    for lane in plan.plan().lanes() {
        for step in &lane.steps {
            for act in every_way_to_fail() {
                let script = StepScript { apply: Turns::always(act), ..StepScript::default() };
                let script = Script::smooth().step(lane.id.as_str(), step.name.as_str(), script);
                let checked =
                    check_laws(&plan, &script, &Faults::none()).unwrap_or_else(|broken| panic!("{act:?}: {broken}"));
                ended.push((act, checked.report.and_then(|report| report.outcome)));
            }
        }
    }
    ended
}

#[test]
fn a_failed_step_is_undone_before_its_predecessors() {
    for (act, outcome) in fail_each_step(&PlanShape::wide(2, 2).then(2)) {
        // What was done and could not be told is found by looking.
        let found = act == Act::DoneThen(Kind::UnknownOutcome);
        assert_eq!(outcome, Some(if found { Outcome::Succeeded } else { Outcome::RolledBack }), "{act:?}");
    }
}

#[test]
fn a_failed_step_is_taken_back_by_its_snapshots() {
    for (act, outcome) in fail_each_step(&PlanShape::wide(2, 2).by(Way::Restore)) {
        let found = act == Act::DoneThen(Kind::UnknownOutcome);
        assert_eq!(outcome, Some(if found { Outcome::Succeeded } else { Outcome::RolledBack }), "{act:?}");
    }
}

#[test]
fn a_step_that_only_goes_forward_is_listed_and_not_called_taken_back() {
    for (act, outcome) in fail_each_step(&PlanShape::wide(1, 2).by(Way::ForwardOnly)) {
        let found = act == Act::DoneThen(Kind::UnknownOutcome);
        assert_eq!(outcome, Some(if found { Outcome::Succeeded } else { Outcome::Stuck }), "{act:?}");
    }
}

#[test]
fn a_step_that_had_changed_nothing_is_not_undone() {
    let there = StepScript { already_there: true, ..StepScript::default() };
    let script = Script::smooth().step("a/s0@t0", "a0", there).step(
        "a/s0@t0",
        "a1",
        StepScript::applying([Act::Fail(Kind::Rejected)]),
    );
    let trial = pleach_core::testing::Trial::new(PlanShape::wide(1, 2).approved(), &script);
    trial.execute(pleach_core::testing::Life::quiet()).require_report();
    assert_eq!(trial.world.calls("a/s0@t0", "a0"), (1, 0, 0));
    trial.require_laws();
}

#[test]
fn a_step_that_was_found_done_at_its_second_try_is_undone_as_what_it_is() {
    // The first try did it and could not tell; the second says "unchanged", which is not to say that nothing is ours.
    let did_it = StepScript::applying([Act::DoneThen(Kind::Transient)]);
    let fails = StepScript::applying([Act::Fail(Kind::Rejected)]);
    let script = Script::smooth().step("a/s0@t0", "a0", did_it).step("a/s0@t0", "a1", fails);
    let checked = check_laws(&PlanShape::wide(1, 2).approved(), &script, &Faults::none());
    let checked = checked.unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(checked.report.and_then(|report| report.outcome), Some(Outcome::RolledBack));
}
