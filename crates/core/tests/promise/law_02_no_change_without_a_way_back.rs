//! No change without a way back: all snapshots are captured and proven before the first step.

use pleach_core::engine::LaneStatus;
use pleach_core::error::Kind;
use pleach_core::journal::{Entry, Outcome, Record};
use pleach_core::plan::{OnFailure, Policy};
use pleach_core::report::Report;
use pleach_core::testing::{CaptureAct, Life, PlanShape, Script, SnapshotScript, SnapshotShape, Trial, Turns, Way};

fn shape() -> PlanShape {
    PlanShape { snapshots: vec![SnapshotShape { target: 0 }], ..PlanShape::wide(2, 2).by(Way::Restore) }
}

const TROUBLES: [CaptureAct; 5] = [
    CaptureAct::Fail(Kind::Transient),
    CaptureAct::Fail(Kind::UnknownOutcome),
    CaptureAct::Hang,
    CaptureAct::Panic,
    CaptureAct::Fail(Kind::Rejected),
];

fn refused(id: &str, script: SnapshotScript) -> (Trial, Report) {
    let trial = Trial::new(shape().approved(), &Script::smooth().snapshot(id, script));
    let report = trial.execute(Life::quiet()).require_report();
    trial.require_laws();
    (trial, report)
}

fn check(id: &str, script: SnapshotScript) {
    let (trial, report) = refused(id, script);
    assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::RolledBack), 110));
    assert!(trial.world.is_untouched());
    assert!(report.lanes.iter().all(|lane| lane.status == LaneStatus::Skipped));
    assert_eq!(trial.world.calls("a/s0@t0", "a0"), (0, 0, 0));
    let told: Vec<&str> = report.unproven.iter().map(|unproven| unproven.id.as_str()).collect();
    assert_eq!(told, [id], "the report says which snapshot failed");
}

#[test]
fn a_snapshot_that_cannot_be_captured_ends_the_run_with_nothing_changed() {
    for id in ["whole@t0", "dump-a1/s1@t1"] {
        for act in TROUBLES {
            check(id, SnapshotScript { capture: Turns::always(act), ..SnapshotScript::default() });
        }
    }
}

#[test]
fn a_snapshot_that_cannot_be_proven_ends_the_run_with_nothing_changed() {
    for act in TROUBLES.into_iter().chain([CaptureAct::Silent]) {
        check("dump-a0/s0@t0", SnapshotScript { prove: Turns::always(act), ..SnapshotScript::default() });
    }
}

#[test]
fn what_was_captured_for_a_run_that_did_not_begin_is_given_up() {
    let script = SnapshotScript { prove: Turns::always(CaptureAct::Fail(Kind::Rejected)), ..SnapshotScript::default() };
    let (trial, _) = refused("dump-a1/s1@t1", script);
    let count = |wanted: fn(&Entry) -> bool| trial.records().iter().filter(|record| wanted(&record.entry)).count();
    let captured = count(|entry| matches!(entry, Entry::CaptureStarted { .. }));
    assert_eq!(count(|entry| matches!(entry, Entry::Discarded { failure: None, .. })), captured);
}

#[test]
fn a_snapshot_that_cannot_be_given_up_changes_no_outcome() {
    for act in TROUBLES {
        let script = SnapshotScript {
            prove: Turns::always(CaptureAct::Fail(Kind::Rejected)),
            discard: Turns::always(act),
            ..SnapshotScript::default()
        };
        let (_, report) = refused("whole@t0", script);
        assert_eq!(report.outcome, Some(Outcome::RolledBack));
    }
}

#[test]
fn no_step_is_announced_before_the_last_proof() {
    let trial = Trial::new(shape().approved(), &Script::smooth());
    assert_eq!(trial.execute(Life::quiet()).require_report().outcome, Some(Outcome::Succeeded));
    let records = trial.records();
    let last_proof = records.iter().rposition(|record| matches!(record.entry, Entry::Proven { .. }));
    let first_step = records.iter().position(|record| matches!(record.entry, Entry::StepStarted { .. }));
    assert!(last_proof.is_some() && last_proof < first_step);
    trial.require_laws();
}

/// Killed when the first step is done; from then on nothing can be proven any more.
fn lost_while_nobody_looked(on_failure: OnFailure) -> Trial {
    let policy = Policy { on_failure, ..Policy::default() };
    let shape = PlanShape { policy, ..shape() };
    let lost = Turns { first: vec![CaptureAct::Succeed], then: CaptureAct::Fail(Kind::Conflict) };
    let script = SnapshotScript { prove: lost, ..SnapshotScript::default() };
    let trial = Trial::new(shape.approved(), &Script::smooth().snapshot("whole@t0", script));
    let whole = Trial::new(trial.approved().clone(), &Script::smooth());
    whole.execute(Life::quiet()).require_report();
    let finished = |record: &Record| matches!(record.entry, Entry::StepFinished { .. });
    let first = whole.records().iter().position(finished).expect("a step is finished");
    trial.execute(Life::killed_after(first + 1));
    trial
}

#[test]
fn what_was_lost_while_nobody_looked_turns_a_resumed_run_back() {
    let trial = lost_while_nobody_looked(OnFailure::UnwindRun);
    let report = trial.resume(Life::quiet()).require_report();
    assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::RolledBack), 110));
    assert_eq!(report.unproven.len(), 1);
    assert!(trial.world.is_untouched());
    trial.require_laws();
}

#[test]
fn what_was_lost_while_nobody_looked_is_held_where_a_person_decides() {
    let trial = lost_while_nobody_looked(OnFailure::Hold);
    for _ in 0..2 {
        let report = trial.resume(Life::quiet()).require_report();
        assert_eq!((report.outcome, report.exit_code()), (Some(Outcome::Held), 111));
        assert_eq!(report.unproven.len(), 1);
        assert!(!trial.world.is_untouched());
    }
    let report = trial.roll_back(&[], Life::quiet()).require_report();
    assert_eq!(report.outcome, Some(Outcome::RolledBack));
    assert!(trial.world.is_untouched());
    trial.require_laws();
}

#[test]
fn a_resumed_run_proves_all_again_before_its_first_step_and_captures_nothing_anew() {
    let whole = Trial::new(shape().approved(), &Script::smooth());
    whole.execute(Life::quiet()).require_report();
    for records in 0..whole.records().len() {
        let trial = Trial::new(shape().approved(), &Script::smooth());
        trial.execute(Life::killed_after(records));
        let begun = trial.records().iter().any(|record| matches!(record.entry, Entry::StepStarted { .. }));
        if !begun || trial.resume(Life::quiet()).require_report().outcome != Some(Outcome::Succeeded) {
            continue;
        }
        let after: Vec<Record> =
            trial.records().into_iter().skip_while(|record| !matches!(record.entry, Entry::Resumed)).collect();
        let first = after.iter().position(|record| matches!(record.entry, Entry::StepStarted { .. }));
        let proofs = after.iter().take(first.unwrap_or(after.len()));
        let proofs = proofs.filter(|record| matches!(record.entry, Entry::Proven { .. })).count();
        assert_eq!(proofs, trial.approved().plan().snapshots.len(), "killed after {records} records");
        assert!(!after.iter().any(|record| matches!(record.entry, Entry::CaptureStarted { .. })));
    }
}
