//! The exercises of phases and snapshots find what is broken, and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use pleach_core::error::Failure;
use pleach_core::phase::{Applied, Evidence, Inspection, Leftover, Phase, StepContext};
use pleach_core::port::FencingToken;
use pleach_core::snapshot::{Snapshot, SnapshotContext, SnapshotRecord};
use pleach_core::target::{Facet, Facts, Target};
use pleach_core::testing::{Scene, exercise_phase, exercise_snapshot};
use pleach_core::word::{EnvironmentName, PhaseName, SnapshotKind, TargetName};
use serde_json::{Value, json};
use tokio::task::yield_now;

type Things = Arc<Mutex<BTreeMap<&'static str, u32>>>;

struct Place {
    name: TargetName,
    environment: EnvironmentName,
}

#[async_trait]
impl Target for Place {
    fn id(&self) -> &TargetName {
        &self.name
    }
    fn environment(&self) -> &EnvironmentName {
        &self.environment
    }
    async fn probe(&self) -> Result<Facts, Failure> {
        Ok(Facts::new())
    }
    async fn fence(&self, _: FencingToken) -> Result<(), Failure> {
        Ok(())
    }
}

struct Room {
    place: Place,
    things: Things,
}

fn room(things: &Things) -> Room {
    *things.lock().unwrap() = BTreeMap::from([("old", 1)]);
    let (name, environment) = (TargetName::new("here").unwrap(), EnvironmentName::new("trial").unwrap());
    Room { place: Place { name, environment }, things: things.clone() }
}

#[async_trait]
impl Scene for Room {
    fn target(&self) -> &dyn Target {
        &self.place
    }
    fn parameters(&self) -> Value {
        json!({})
    }
    async fn state(&self) -> String {
        let things = self.things.lock().unwrap();
        format!("{:?}", things.iter().filter(|(name, _)| **name != "copy").collect::<Vec<_>>())
    }
    async fn disturb(&self) {
        self.things.lock().unwrap().insert("old", 2);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    /// A second apply adds once more.
    Adds,
    /// Undo wants all of it to be there.
    UndoIsStrict,
    /// Nothing is read back.
    Silent,
    /// What was interrupted is not finished.
    Forgets,
}

struct TwoThings {
    name: PhaseName,
    things: Things,
    flaw: Flaw,
}

impl TwoThings {
    fn has(&self, thing: &str) -> bool {
        self.things.lock().unwrap().contains_key(thing)
    }
}

#[async_trait]
impl Phase for TwoThings {
    fn name(&self) -> &PhaseName {
        &self.name
    }
    fn needs(&self) -> &[Facet] {
        &[]
    }
    async fn inspect(&self, _: &StepContext<'_>) -> Result<Inspection, Failure> {
        yield_now().await;
        if self.has("left") && self.has("right") {
            return Ok(Inspection::Settled { evidence: Evidence::seen("both are there"), output: Value::Null });
        }
        Ok(Inspection::Pending { changes: vec!["put both there".into()] })
    }
    async fn apply(&self, _: &StepContext<'_>) -> Result<Applied, Failure> {
        let both = self.has("left") && self.has("right");
        if self.flaw == Flaw::Forgets && self.has("left") {
            return Ok(Applied::unchanged("left is there"));
        }
        *self.things.lock().unwrap().entry("left").or_default() = 1;
        yield_now().await;
        let mut things = self.things.lock().unwrap();
        let right = things.entry("right").or_default();
        *right = if self.flaw == Flaw::Adds { *right + 1 } else { 1 };
        let evidence = if self.flaw == Flaw::Silent { "" } else { "both are there" };
        Ok(if both { Applied::unchanged(evidence) } else { Applied::changed(evidence) })
    }
    async fn undo(&self, _: &StepContext<'_>, _: &Leftover) -> Result<Evidence, Failure> {
        let right = self.things.lock().unwrap().remove("right");
        yield_now().await;
        let left = self.things.lock().unwrap().remove("left");
        if self.flaw == Flaw::UndoIsStrict && (right.is_none() || left.is_none()) {
            return Err(Failure::new(pleach_core::error::Kind::Rejected, "could not find it"));
        }
        Ok(Evidence::seen("neither is there"))
    }
}

async fn exercise(flaw: Flaw) {
    let things = Things::default();
    let phase = TwoThings { name: PhaseName::new("two-things").unwrap(), things: things.clone(), flaw };
    exercise_phase(&phase, async || room(&things)).await;
}

#[tokio::test]
async fn a_phase_that_bears_all_passes() {
    exercise(Flaw::None).await;
}

#[tokio::test]
#[should_panic(expected = "a second apply changed something")]
async fn a_phase_that_does_it_twice_is_found() {
    exercise(Flaw::Adds).await;
}

#[tokio::test]
#[should_panic(expected = "undo on an untouched target failed")]
async fn a_phase_that_cannot_undo_nothing_is_found() {
    exercise(Flaw::UndoIsStrict).await;
}

#[tokio::test]
#[should_panic(expected = "named nothing that it read back")]
async fn a_phase_without_evidence_is_found() {
    exercise(Flaw::Silent).await;
}

#[tokio::test]
#[should_panic(expected = "apply did not finish what was interrupted at its await 0")]
async fn a_phase_that_does_not_finish_what_was_interrupted_is_found() {
    exercise(Flaw::Forgets).await;
}

struct Copy {
    kind: SnapshotKind,
    things: Things,
    keeps: bool,
}

#[async_trait]
impl Snapshot for Copy {
    fn kind(&self) -> &SnapshotKind {
        &self.kind
    }
    fn needs(&self) -> &[Facet] {
        &[]
    }
    async fn capture(&self, _: &SnapshotContext<'_>) -> Result<SnapshotRecord, Failure> {
        let old = self.things.lock().unwrap()["old"];
        yield_now().await;
        self.things.lock().unwrap().insert("copy", if self.keeps { old } else { 7 });
        yield_now().await;
        Ok(json!("copy"))
    }
    async fn prove(&self, _: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        Ok(Evidence::seen(format!("it holds {}", self.things.lock().unwrap()["copy"])))
    }
    async fn restore(&self, _: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        yield_now().await;
        let mut things = self.things.lock().unwrap();
        let copy = things["copy"];
        things.insert("old", copy);
        Ok(Evidence::seen("it is back"))
    }
    async fn discard(&self, _: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        self.things.lock().unwrap().remove("copy");
        Ok(Evidence::seen("it is gone"))
    }
}

async fn exercise_copy(keeps: bool) {
    let things = Things::default();
    let snapshot = Copy { kind: SnapshotKind::new("copy").unwrap(), things: things.clone(), keeps };
    exercise_snapshot(&snapshot, async || room(&things)).await;
}

#[tokio::test]
async fn a_snapshot_that_bears_all_passes() {
    exercise_copy(true).await;
}

#[tokio::test]
#[should_panic(expected = "did not bring the state back")]
async fn a_snapshot_that_keeps_something_else_is_found() {
    exercise_copy(false).await;
}
