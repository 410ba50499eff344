//! Targets, a phase and a kind of snapshot that do what a [`Script`](super::Script) says.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::script::{Act, CaptureAct, LookAct, Pace, UndoAct};
use super::shape::{PHASE, environment};
use super::world::{Doing, Effect, Meanwhile, World};
use crate::engine::RunTargets;
use crate::error::{Failure, Kind};
use crate::phase::{Applied, Change, Evidence, Inspection, Leftover, Phase, StepContext};
use crate::plan::Plan;
use crate::port::FencingToken;
use crate::registry::Registry;
use crate::snapshot::{Snapshot, SnapshotContext, SnapshotRecord};
use crate::target::{Facet, Facts, Target};
use crate::word::{EnvironmentName, PhaseName, SnapshotKind, TargetName};

/// A registry with the scripted phase and snapshot.
pub fn scripted_registry(world: &Arc<World>) -> Registry {
    let mut registry = Registry::new();
    let name = PhaseName::new(PHASE).expect("a name");
    registry.add_phase(Arc::new(ScriptedPhase { name, world: world.clone() }));
    let kind = SnapshotKind::new(PHASE).expect("a name");
    registry.add_snapshot(Arc::new(ScriptedSnapshot { kind, world: world.clone() }));
    registry
}

/// The targets of a plan, scripted.
pub fn scripted_targets(world: &Arc<World>, plan: &Plan) -> RunTargets {
    let target = |name: &TargetName| -> Arc<dyn Target> {
        Arc::new(ScriptedTarget { name: name.clone(), environment: environment(), world: world.clone() })
    };
    plan.targets.iter().map(|planned| (planned.name.clone(), target(&planned.name))).collect()
}

/// A target that does what its script says.
pub struct ScriptedTarget {
    name: TargetName,
    environment: EnvironmentName,
    world: Arc<World>,
}

#[async_trait]
impl Target for ScriptedTarget {
    fn id(&self) -> &TargetName {
        &self.name
    }

    fn environment(&self) -> &EnvironmentName {
        &self.environment
    }

    async fn probe(&self) -> Result<Facts, Failure> {
        Ok(self.world.facts(&self.name))
    }

    async fn fence(&self, token: FencingToken) -> Result<(), Failure> {
        self.world.fence(&self.name, token)
    }
}

async fn wait(millis: u64) {
    if millis > 0 {
        sleep(Duration::from_millis(millis)).await;
    }
}

fn failure(kind: Kind, what: &str) -> Failure {
    Failure::new(kind, what).because("the script says so")
}

/// A panic that the hook does not print: thousands of them are part of the tests.
fn break_down(when: &str) -> ! {
    std::panic::resume_unwind(Box::new(format!("broke down {when}")))
}

/// A phase that does what the script says of its step.
pub struct ScriptedPhase {
    name: PhaseName,
    world: Arc<World>,
}

impl ScriptedPhase {
    fn set(&self, lane: usize, step: usize, effect: Effect) {
        self.world.lock().lanes[lane].steps[step].effect = effect;
    }

    fn output(cx: &StepContext<'_>) -> Value {
        json!({ "of": format!("{}/{}", cx.lane, cx.step) })
    }
}

#[async_trait]
impl Phase for ScriptedPhase {
    fn name(&self) -> &PhaseName {
        &self.name
    }

    fn needs(&self) -> &[Facet] {
        &[]
    }

    async fn inspect(&self, cx: &StepContext<'_>) -> Result<Inspection, Failure> {
        let (_under, lane, step) = self.world.begin_look(cx);
        let (act, pace) = {
            let inner = self.world.lock();
            let step = &inner.lanes[lane].steps[step];
            (step.script.look.at(step.looks - 1), step.script.pace)
        };
        wait(pace.before).await;
        let settled = self.world.lock().lanes[lane].steps[step].satisfied();
        match act {
            LookAct::Truth if settled => {
                Ok(Inspection::Settled { evidence: Evidence::seen("it is there"), output: Self::output(cx) })
            }
            LookAct::Silent if settled => {
                Ok(Inspection::Settled { evidence: Evidence::seen(" "), output: Self::output(cx) })
            }
            LookAct::Truth | LookAct::Silent => Ok(Inspection::Pending { changes: vec![format!("do {}", cx.step)] }),
            LookAct::Fail(kind) => Err(failure(kind, "could not look")),
            LookAct::Hang => pending().await,
            LookAct::Panic => break_down("while looking"),
        }
    }

    async fn apply(&self, cx: &StepContext<'_>) -> Result<Applied, Failure> {
        let (_under, lane, step) = self.world.begin_apply(cx)?;
        let (act, pace, heeds, there) = {
            let inner = self.world.lock();
            let step = &inner.lanes[lane].steps[step];
            let script = &step.script;
            (script.apply.at(step.applies - 1), script.pace, script.heeds_cancel, step.satisfied())
        };
        wait(pace.before).await;
        let does = matches!(act, Act::Change | Act::Warn | Act::DoneThen(_) | Act::DoneThenHang | Act::Silent);
        if !there && (does || matches!(act, Act::Half(_) | Act::Panic)) {
            self.set(lane, step, Effect::Half);
        }
        match act {
            Act::Fail(kind) | Act::Half(kind) => return Err(failure(kind, "could not apply")),
            Act::Hang => return pending().await,
            Act::Panic => break_down("while applying"),
            _ => {}
        }
        if heeds {
            tokio::select! {
                biased;
                () = cx.cancel.cancelled() => return Err(failure(Kind::Cancelled, "stopped half-way")),
                () = wait(pace.between) => {}
            }
        } else {
            wait(pace.between).await;
        }
        if !there {
            self.set(lane, step, Effect::Whole);
        }
        wait(pace.after).await;
        let change = match act {
            Act::DoneThen(kind) => return Err(failure(kind, "did it and could not tell")),
            Act::DoneThenHang => return pending().await,
            _ if there => Change::Unchanged,
            Act::Warn => Change::Warned("mind the step".into()),
            _ => Change::Changed,
        };
        let evidence = Evidence::seen(if act == Act::Silent { "" } else { "it is there" });
        Ok(Applied { change, evidence, output: Self::output(cx) })
    }

    async fn undo(&self, cx: &StepContext<'_>, leftover: &Leftover) -> Result<Evidence, Failure> {
        let (_under, lane, step) = self.world.begin_undo(cx, leftover)?;
        self.world.take_back(lane, step).await
    }
}

impl World {
    /// Undoes a step as its script says.
    async fn take_back(&self, lane: usize, step: usize) -> Result<Evidence, Failure> {
        let (act, pace, before) = {
            let inner = self.lock();
            let step = &inner.lanes[lane].steps[step];
            (step.script.undo.at(step.undos - 1), step.script.pace, step.effect)
        };
        let set = |effect: Effect| self.lock().lanes[lane].steps[step].effect = effect;
        wait(pace.before).await;
        match act {
            UndoAct::Fail(kind) => return Err(failure(kind, "could not take back")),
            UndoAct::Hang => return pending().await,
            _ => set(before.min(Effect::Half)),
        }
        match act {
            UndoAct::Half(kind) => return Err(failure(kind, "took half back")),
            UndoAct::Panic => break_down("while taking back"),
            _ => {}
        }
        wait(pace.between).await;
        set(Effect::None);
        wait(pace.after).await;
        match act {
            UndoAct::DoneThen(kind) => Err(failure(kind, "took it back and could not tell")),
            UndoAct::Silent => Ok(Evidence::seen("")),
            _ => Ok(Evidence::seen("it is gone")),
        }
    }
}

/// A kind of snapshot that does what the script says.
pub struct ScriptedSnapshot {
    kind: SnapshotKind,
    world: Arc<World>,
}

impl ScriptedSnapshot {
    fn require_not(&self, cx: &SnapshotContext<'_>, done: Meanwhile) -> Result<(), Failure> {
        match self.world.became(cx.id) {
            Some(became) if became == done => Err(failure(Kind::Conflict, "others were here")),
            _ => Ok(()),
        }
    }

    async fn act(act: CaptureAct, pace: Pace) -> Result<Evidence, Failure> {
        wait(pace.before).await;
        match act {
            CaptureAct::Succeed => Ok(Evidence::seen("it is whole")),
            CaptureAct::Silent => Ok(Evidence::seen("")),
            CaptureAct::Fail(kind) => Err(failure(kind, "could not do it")),
            CaptureAct::Hang => pending().await,
            CaptureAct::Panic => break_down("over a snapshot"),
        }
    }
}

#[async_trait]
impl Snapshot for ScriptedSnapshot {
    fn kind(&self) -> &SnapshotKind {
        &self.kind
    }

    fn needs(&self) -> &[Facet] {
        &[]
    }

    async fn capture(&self, cx: &SnapshotContext<'_>) -> Result<SnapshotRecord, Failure> {
        let (_under, at) = self.world.begin_snapshot(cx, Doing::Capture)?;
        let (act, pace) = {
            let snapshot = &self.world.lock().snapshots[at];
            (snapshot.script.capture.at(snapshot.captures - 1), snapshot.script.pace)
        };
        Self::act(act, pace).await?;
        let record = self.world.lock().capture(at);
        wait(pace.after).await;
        Ok(record)
    }

    async fn prove(&self, cx: &SnapshotContext<'_>, record: &SnapshotRecord) -> Result<Evidence, Failure> {
        let (_under, at) = self.world.begin_snapshot(cx, Doing::Prove(record))?;
        let (act, pace) = {
            let snapshot = &self.world.lock().snapshots[at];
            (snapshot.script.prove.at(snapshot.proofs - 1), snapshot.script.pace)
        };
        let evidence = Self::act(act, pace).await?;
        self.world.lock().snapshots[at].proven = !evidence.is_empty();
        Ok(evidence)
    }

    async fn restore(&self, cx: &SnapshotContext<'_>, record: &SnapshotRecord) -> Result<Evidence, Failure> {
        let (_under, lane, step) = self.world.begin_restore(cx, record)?;
        self.world.take_back(lane, step).await
    }

    async fn require_own(&self, cx: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<(), Failure> {
        self.require_not(cx, Meanwhile::GoneOver)
    }

    async fn require_restorable(&self, cx: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<(), Failure> {
        self.require_not(cx, Meanwhile::Removed)
    }

    async fn discard(&self, cx: &SnapshotContext<'_>, record: &SnapshotRecord) -> Result<Evidence, Failure> {
        let (_under, at) = self.world.begin_snapshot(cx, Doing::Discard(record))?;
        let (act, pace) = {
            let snapshot = &self.world.lock().snapshots[at];
            (snapshot.script.discard.at(snapshot.discards - 1), snapshot.script.pace)
        };
        Self::act(act, pace).await
    }
}
