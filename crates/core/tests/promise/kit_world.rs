//! The scripted world notes what breaks a law: a check that finds nothing must be able to find something.

use std::sync::Arc;

use jiff::Timestamp;
use pleach_core::journal::{Entry, FORMAT, Record};
use pleach_core::phase::{Applied, Evidence};
use pleach_core::testing::{PlanShape, Script, Trial, Way};
use pleach_core::word::{LaneId, SnapshotId, StepName};

fn lane(name: &str) -> LaneId {
    LaneId::new(name).unwrap()
}

fn step(name: &str) -> StepName {
    StepName::new(name).unwrap()
}

fn started(name: &str, at: &str) -> Entry {
    Entry::StepStarted { lane: lane(name), step: step(at), attempt: 1, delay_ms: 0 }
}

/// The laws that these entries break, by the first word of their name.
fn broken_by(shape: &PlanShape, entries: Vec<Entry>) -> Vec<String> {
    let trial = Trial::new(shape.approved(), &Script::smooth());
    let plan = Arc::new(trial.approved().clone());
    let begun = Entry::RunStarted { format: FORMAT, run: trial.run.clone(), plan };
    for entry in [begun].into_iter().chain(entries) {
        trial.world.witness(&Record { at: Timestamp::UNIX_EPOCH, entry });
    }
    let laws = trial.violations().into_iter().map(|broken| broken.law.split(':').next().unwrap_or_default().to_owned());
    laws.collect()
}

#[test]
fn a_journal_that_breaks_a_law_is_noted() {
    let plain = PlanShape::wide(2, 2);
    let done = |name: &str, at: &str, evidence: &str| Entry::StepFinished {
        lane: lane(name),
        step: step(at),
        applied: Applied { evidence: Evidence::seen(evidence), ..Applied::changed("") },
    };
    assert_eq!(broken_by(&plain, vec![started("a/s0@t0", "a0"), done("a/s0@t0", "a0", "seen")]), Vec::<String>::new());
    assert_eq!(broken_by(&plain, vec![done("a/s0@t0", "a0", "seen")]), ["1"]);
    assert_eq!(broken_by(&plain, vec![started("a/s0@t0", "a0"), done("a/s0@t0", "a0", " ")]), ["6"]);
    assert_eq!(broken_by(&plain, vec![started("a/s0@t0", "a1")]), ["order"]);
    assert_eq!(broken_by(&plain, vec![started("a/s0@t0", "a0"), started("a/s0@t0", "a0")]), ["1", "4"]);
    let undo = Entry::UndoStarted { lane: lane("a/s0@t0"), step: step("a0"), attempt: 1, delay_ms: 0 };
    assert_eq!(broken_by(&plain, vec![undo]), ["policy", "3"]);
    assert_eq!(broken_by(&plain.clone().by(Way::Restore), vec![started("a/s0@t0", "a0")]), ["2"]);
    let unproven = Entry::CaptureStarted { snapshot: SnapshotId::new("dump-a0/s0@t0").unwrap() };
    assert_eq!(broken_by(&plain.clone().by(Way::Restore), vec![unproven, started("a/s0@t0", "a0")]), ["2"]);
    let cancelled = Entry::Cancelled { how: pleach_core::journal::Cancel::Gently, by: "ada".into() };
    assert_eq!(broken_by(&plain, vec![cancelled, started("a/s0@t0", "a0")]), ["policy"]);
}

#[tokio::test]
async fn a_change_without_entry_lease_or_proof_is_noted() {
    use pleach_core::phase::{IdempotencyKey, Outputs, StepContext};
    use pleach_core::port::{FencingToken, NoLines};
    use pleach_core::snapshot::RestorePoint;
    let trial = Trial::new(PlanShape::wide(1, 1).by(Way::Restore).approved(), &Script::smooth());
    let phase = trial.engine.registry.require_phase(&pleach_core::word::PhaseName::new("scripted").unwrap()).unwrap();
    let planned = &trial.approved().plan().stages[0].lanes[0];
    let (key, outputs, restore_point) = (IdempotencyKey("key".into()), Outputs::new(), RestorePoint::default());
    let cancel = tokio_util::sync::CancellationToken::new();
    let cx = StepContext {
        run: &trial.run,
        plan: trial.approved().id(),
        lane: &planned.id,
        service: &planned.service,
        step: &planned.steps[0].name,
        parameters: &planned.steps[0].parameters,
        attempt: 1,
        key: &key,
        target: trial.targets[&planned.target].as_ref(),
        outputs: &outputs,
        restore_point: &restore_point,
        token: FencingToken(1),
        lines: &NoLines,
        cancel: &cancel,
        deadline: tokio::time::Instant::now(),
    };
    phase.apply(&cx).await.expect("nobody holds it back");
    let laws: Vec<&str> = trial.violations().iter().map(|broken| broken.law).collect();
    for law in ["1: before, not after", "2: no change without a way back", "5: one hand at a time"] {
        assert!(laws.contains(&law), "{laws:?}");
    }
}
