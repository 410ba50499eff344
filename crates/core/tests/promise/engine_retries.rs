//! Transient failures are tried again with growing waits; nothing else is.

use pleach_core::error::Kind;
use pleach_core::journal::{Entry, Outcome};
use pleach_core::period::Period;
use pleach_core::testing::{Act, Life, PlanShape, Script, StepScript, StepShape, Trial};

fn trial(attempts: u32, acts: Vec<Act>) -> Trial {
    let mut shape = PlanShape::wide(1, 1);
    let mut step = StepShape::default().attempts(attempts);
    (step.retry.backoff, step.retry.longest) = (Period::millis(100), Period::millis(1_000));
    shape.stages[0][0].steps[0] = step;
    Trial::new(shape.approved(), &Script::smooth().step("a/s0@t0", "a0", StepScript::applying(acts)))
}

#[test]
fn a_transient_failure_is_tried_again_as_often_as_planned() {
    for attempts in 1..5 {
        let trial = trial(attempts, vec![Act::Fail(Kind::Transient); 9]);
        let report = trial.execute(Life::quiet()).require_report();
        assert_eq!(report.outcome, Some(Outcome::RolledBack));
        assert_eq!(report.lanes[0].steps[0].attempts, attempts);
        trial.require_laws();
    }
}

#[test]
fn the_last_attempt_may_be_the_good_one() {
    let trial = trial(3, vec![Act::Fail(Kind::Transient); 2]);
    let report = trial.execute(Life::quiet()).require_report();
    assert_eq!((report.outcome, report.lanes[0].steps[0].attempts), (Some(Outcome::Succeeded), 3));
    assert_eq!(report.lanes[0].failure(), None, "a failure that was overcome is not told as one");
}

#[test]
fn nothing_but_a_transient_failure_is_tried_again() {
    for kind in [Kind::Rejected, Kind::Conflict, Kind::Cancelled, Kind::Unsupported, Kind::Internal] {
        let trial = trial(5, vec![Act::Fail(kind)]);
        assert_eq!(trial.execute(Life::quiet()).require_report().outcome, Some(Outcome::RolledBack));
        assert_eq!(trial.world.calls("a/s0@t0", "a0").0, 1, "{kind:?}");
        trial.require_laws();
    }
}

#[test]
fn waits_double_up_to_the_longest_and_have_a_part_that_differs() {
    let waits = || {
        let trial = trial(8, vec![Act::Fail(Kind::Transient); 9]);
        trial.execute(Life::quiet()).require_report();
        let waits = trial.records().into_iter().filter_map(|record| match record.entry {
            Entry::StepStarted { delay_ms, .. } => Some(delay_ms),
            _ => None,
        });
        waits.collect::<Vec<u64>>()
    };
    let first = waits();
    assert_eq!(first, waits(), "the same plan waits the same");
    assert_eq!(first[0], 0);
    for (at, wait) in first[1..].iter().enumerate() {
        let full = (100 << at).min(1_000);
        assert!((full / 2..=full).contains(wait), "{at}: {wait}");
    }
}

#[test]
fn a_process_that_goes_on_counts_anew() {
    let trial = trial(2, vec![Act::Fail(Kind::Transient); 2]);
    trial.execute(Life::killed_after(5));
    let report = trial.resume(Life::quiet()).require_report();
    assert_eq!(report.outcome, Some(Outcome::Succeeded), "{}", trial.told());
    trial.require_laws();
}
