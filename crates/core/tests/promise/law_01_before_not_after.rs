//! Before, not after: an entry that announces an effect is durable before the effect begins.

use pleach_core::engine::RunError;
use pleach_core::error::Kind;
use pleach_core::journal::Outcome;
use pleach_core::testing::{Act, Fate, Life, PlanShape, Script, StepScript, Trial, Turns, Way};

fn shape() -> PlanShape {
    PlanShape::wide(2, 2).then(1).by(Way::Restore)
}

fn records(script: &Script) -> usize {
    let trial = Trial::new(shape().approved(), script);
    trial.execute(Life::quiet()).require_report();
    trial.require_laws();
    trial.records().len()
}

fn break_after_each_record(fate: fn(usize) -> Fate) {
    let failing = Script::smooth().step(
        "b/s1@t1",
        "b0",
        StepScript { apply: Turns::always(Act::Half(Kind::Rejected)), ..StepScript::default() },
    );
    for (script, outcome) in [(Script::smooth(), Outcome::Succeeded), (failing, Outcome::RolledBack)] {
        for broken in 0..records(&script) {
            let trial = Trial::new(shape().approved(), &script);
            let life = Life { fate: fate(broken), ..Life::quiet() };
            let error = trial.execute(life).require_error();
            assert!(matches!(error, RunError::Unfinished(_)), "{error:?}");
            // The world notes every change after the break.
            trial.require_laws();
            if trial.records().is_empty() {
                assert!(trial.world.is_untouched());
                continue;
            }
            if Some(outcome)
                == trial.records().iter().rev().find_map(|record| match record.entry {
                    pleach_core::journal::Entry::RunFinished { outcome } => Some(outcome),
                    _ => None,
                })
            {
                continue;
            }
            assert_eq!(trial.resume(Life::quiet()).require_report().outcome, Some(outcome));
            trial.require_laws();
        }
    }
}

#[test]
fn when_the_journal_cannot_be_written_nothing_further_starts() {
    break_after_each_record(Fate::BrokenAfter);
}

#[test]
fn a_write_that_succeeded_and_was_reported_as_failed_starts_nothing_either() {
    break_after_each_record(|records| Fate::BrokenUnnoticedAfter(records + 1));
}

#[test]
fn an_unfinished_run_says_how_to_go_on() {
    let trial = Trial::new(shape().approved(), &Script::smooth());
    let error = trial.execute(Life { fate: Fate::BrokenAfter(9), ..Life::quiet() }).require_error();
    assert_eq!(error.failure().next.as_deref(), Some("`pleach resume run-1`"));
    assert!(error.failure().state.as_deref().is_some_and(|state| state.contains("stopped before its end")));
}

#[test]
fn a_stop_that_came_before_the_first_change_is_heard_before_it() {
    use pleach_core::engine::CancelRequest;
    let trial = Trial::new(PlanShape::wide(2, 2).approved(), &Script::smooth());
    let report = trial.execute(Life::stopped_after(0, CancelRequest::Gently("SIGINT".into()))).require_report();
    assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::RolledBack), 130));
    assert_eq!(trial.world.calls("a/s0@t0", "a0"), (0, 0, 0));
}
