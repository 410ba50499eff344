//! What every phase and snapshot has to bear: being repeated, and being dropped at any await.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::Failure;
use crate::phase::{Applied, Change, Evidence, IdempotencyKey, Inspection, Leftover, Outputs, Phase, StepContext};
use crate::port::{FencingToken, NoLines};
use crate::snapshot::{RestorePoint, Snapshot, SnapshotContext, SnapshotRecord};
use crate::target::Target;
use crate::testing::Way;
use crate::word::{LaneId, PlanId, RunId, ServiceName, SnapshotId, StepName};

/// At most so many awaits of one call are cut; a call that has more is cut at the first ones.
const MOST_CUTS: usize = 100;

/// A target in the state before a step, with what the step needs. Each round gets a new one.
#[async_trait]
pub trait Scene: Send + Sync {
    /// Where.
    fn target(&self) -> &dyn Target;

    /// The step's or snapshot's parameters, as planned.
    fn parameters(&self) -> Value;

    /// What earlier steps gave.
    fn outputs(&self) -> Outputs {
        Outputs::new()
    }

    /// The snapshots that were taken.
    fn restore_point(&self) -> RestorePoint {
        RestorePoint::default()
    }

    /// How the step is taken back.
    fn way(&self) -> Way {
        Way::Undo
    }

    /// All that counts on the target, so that it can be compared: a digest, a listing.
    async fn state(&self) -> String;

    /// For snapshots: changes what the snapshot covers.
    async fn disturb(&self) {}
}

/// Runs `future` until it has waited `waits` times, then drops it; `None` if it was dropped.
pub async fn cut_after<T>(waits: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut waited = 0;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if waited == waits => Poll::Ready(None),
        Poll::Pending => {
            waited += 1;
            Poll::Pending
        }
    })
    .await
}

struct Words {
    run: RunId,
    plan: PlanId,
    lane: LaneId,
    service: ServiceName,
    step: StepName,
    snapshot: SnapshotId,
    key: IdempotencyKey,
    cancel: CancellationToken,
}

impl Words {
    fn new() -> Self {
        Self {
            run: RunId::new("exercise").unwrap(),
            plan: PlanId::new("0".repeat(64)).unwrap(),
            lane: LaneId::new("exercise/service@target").unwrap(),
            service: ServiceName::new("service").unwrap(),
            step: StepName::new("step").unwrap(),
            snapshot: SnapshotId::new("snapshot/service@target").unwrap(),
            key: IdempotencyKey("exercise/step".into()),
            cancel: CancellationToken::new(),
        }
    }
}

/// One scene, and the calls that the engine would make in it.
struct Round<'a, S> {
    phase: &'a dyn Phase,
    scene: S,
    words: Words,
    parameters: Value,
    outputs: Outputs,
    restore_point: RestorePoint,
    before: String,
}

impl<'a, S: Scene> Round<'a, S> {
    async fn new(phase: &'a dyn Phase, scene: S) -> Self {
        let (parameters, outputs, restore_point) = (scene.parameters(), scene.outputs(), scene.restore_point());
        let before = scene.state().await;
        Self { phase, scene, words: Words::new(), parameters, outputs, restore_point, before }
    }

    fn context(&self, attempt: u32) -> StepContext<'_> {
        StepContext {
            run: &self.words.run,
            plan: &self.words.plan,
            lane: &self.words.lane,
            service: &self.words.service,
            step: &self.words.step,
            parameters: &self.parameters,
            attempt,
            key: &self.words.key,
            target: self.scene.target(),
            outputs: &self.outputs,
            restore_point: &self.restore_point,
            token: FencingToken(1),
            lines: &NoLines,
            cancel: &self.words.cancel,
            deadline: Instant::now() + Duration::from_secs(300),
        }
    }

    async fn apply(&self, when: &str) -> Applied {
        let applied = self.phase.apply(&self.context(1)).await;
        let applied = applied.unwrap_or_else(|failure| panic!("apply {when} failed: {failure:?}"));
        assert!(!applied.evidence.is_empty(), "apply {when} named nothing that it read back");
        applied
    }

    async fn undo(&self, leftover: Leftover, when: &str) {
        let evidence = self.phase.undo(&self.context(1), &leftover).await;
        let evidence: Evidence = evidence.unwrap_or_else(|failure| panic!("undo {when} failed: {failure:?}"));
        assert!(!evidence.is_empty(), "undo {when} named nothing that it read back");
        assert_eq!(self.scene.state().await, self.before, "undo {when} did not bring the state before back");
    }

    async fn inspect(&self, when: &str) -> Inspection {
        let before = self.scene.state().await;
        let inspection = self.phase.inspect(&self.context(1)).await;
        assert_eq!(self.scene.state().await, before, "inspect {when} changed something");
        inspection.unwrap_or_else(|failure| panic!("inspect {when} failed: {failure:?}"))
    }
}

/// Shows that a phase can be repeated, interrupted at any await, undone twice and undone where nothing was done.
///
/// `make` gives a new scene for each round, always in the same state. Panics at the first promise that is broken.
pub async fn exercise_phase<S: Scene>(phase: &dyn Phase, make: impl AsyncFn() -> S) {
    let round = async || Round::new(phase, make().await).await;
    let whole = round().await;
    let undoes = whole.scene.way() == Way::Undo;
    if undoes {
        whole.undo(Leftover::Unknown, "on an untouched target").await;
    }
    let first = whole.inspect("on an untouched target").await;
    let applied = whole.apply("on an untouched target").await;
    let after = whole.scene.state().await;
    if applied.change != Change::Unchanged {
        assert!(matches!(first, Inspection::Pending { .. }), "it had something to do, and inspect saw nothing to do");
    }
    match whole.inspect("after apply").await {
        Inspection::Settled { output, evidence } => {
            assert_eq!(output, applied.output, "inspect gives another output than apply");
            assert!(!evidence.is_empty(), "inspect named nothing that it read back");
        }
        Inspection::Pending { changes } => panic!("inspect after apply still sees to do: {changes:?}"),
    }
    let again = whole.apply("a second time").await;
    assert_eq!(again.output, applied.output, "a second apply gives another output");
    assert_eq!(whole.scene.state().await, after, "a second apply changed something");
    if undoes {
        whole.undo(Leftover::Completed { output: applied.output }, "after apply").await;
        whole.undo(Leftover::Unknown, "a second time").await;
    }
    for waits in 0..MOST_CUTS {
        let cut = round().await;
        if cut_after(waits, phase.apply(&cut.context(1))).await.is_some() {
            break;
        }
        cut.inspect("after an interrupted apply").await;
        cut.apply("after an interrupted apply").await;
        assert_eq!(cut.scene.state().await, after, "apply did not finish what was interrupted at its await {waits}");
        if undoes {
            let cut = round().await;
            cut_after(waits, phase.apply(&cut.context(1))).await;
            cut.undo(Leftover::Unknown, &format!("of an apply that was interrupted at its await {waits}")).await;
        }
    }
    for waits in 0..if undoes { MOST_CUTS } else { 0 } {
        let cut = round().await;
        let leftover = Leftover::Completed { output: cut.apply("before an interrupted undo").await.output };
        let ended = cut_after(waits, phase.undo(&cut.context(1), &leftover)).await.is_some();
        cut.undo(leftover, &format!("after an undo that was interrupted at its await {waits}")).await;
        if ended {
            break;
        }
    }
}

struct SnapshotRound<'a, S> {
    snapshot: &'a dyn Snapshot,
    scene: S,
    words: Words,
    parameters: Value,
    before: String,
}

impl<'a, S: Scene> SnapshotRound<'a, S> {
    async fn new(snapshot: &'a dyn Snapshot, scene: S) -> Self {
        let (parameters, before) = (scene.parameters(), scene.state().await);
        Self { snapshot, scene, words: Words::new(), parameters, before }
    }

    fn context(&self) -> SnapshotContext<'_> {
        SnapshotContext {
            run: &self.words.run,
            id: &self.words.snapshot,
            service: Some(&self.words.service),
            parameters: &self.parameters,
            target: self.scene.target(),
            token: FencingToken(1),
            lines: &NoLines,
            cancel: &self.words.cancel,
            deadline: Instant::now() + Duration::from_secs(300),
        }
    }

    /// Captures and proves; neither may change what is covered.
    async fn secure(&self, when: &str) -> SnapshotRecord {
        let record = seen(self.snapshot.capture(&self.context()).await, "capture", when);
        let evidence = seen(self.snapshot.prove(&self.context(), &record).await, "prove", when);
        assert!(!evidence.is_empty(), "prove {when} named nothing that it read back");
        assert_eq!(self.scene.state().await, self.before, "capture or prove {when} changed something");
        record
    }

    async fn restore(&self, record: &SnapshotRecord, when: &str) {
        let evidence = seen(self.snapshot.restore(&self.context(), record).await, "restore", when);
        assert!(!evidence.is_empty(), "restore {when} named nothing that it read back");
        assert_eq!(self.scene.state().await, self.before, "restore {when} did not bring the state back");
    }

    async fn discard(&self, record: &SnapshotRecord, when: &str) {
        seen(self.snapshot.discard(&self.context(), record).await, "discard", when);
    }
}

fn seen<T>(result: Result<T, Failure>, what: &str, when: &str) -> T {
    result.unwrap_or_else(|failure| panic!("{what} {when} failed: {failure:?}"))
}

/// Shows that a snapshot brings back what was changed, can be repeated, and bears being interrupted at any await.
///
/// `make` gives a new scene for each round, always in the same state. Panics at the first promise that is broken.
pub async fn exercise_snapshot<S: Scene>(snapshot: &dyn Snapshot, make: impl AsyncFn() -> S) {
    let round = async || SnapshotRound::new(snapshot, make().await).await;
    let whole = round().await;
    whole.discard(&Value::Null, "of what was never captured").await;
    let record = whole.secure("the first time").await;
    whole.restore(&record, "on a target that still has the state").await;
    whole.scene.disturb().await;
    assert_ne!(whole.scene.state().await, whole.before, "the scene's disturbance changes nothing that counts");
    whole.restore(&record, "after a change").await;
    whole.restore(&record, "a second time").await;
    whole.discard(&record, "after use").await;
    whole.discard(&record, "a second time").await;
    for waits in 0..MOST_CUTS {
        let cut = round().await;
        if cut_after(waits, snapshot.capture(&cut.context())).await.is_some() {
            break;
        }
        let record = cut.secure("after an interrupted capture").await;
        cut.scene.disturb().await;
        cut.restore(&record, "of a capture that replaced an interrupted one").await;
        let cut = round().await;
        cut_after(waits, snapshot.capture(&cut.context())).await;
        cut.discard(&Value::Null, "of an interrupted capture").await;
    }
    for waits in 0..MOST_CUTS {
        let cut = round().await;
        let record = cut.secure("before an interrupted restore").await;
        cut.scene.disturb().await;
        let ended = cut_after(waits, snapshot.restore(&cut.context(), &record)).await.is_some();
        cut.restore(&record, &format!("after one that was interrupted at its await {waits}")).await;
        if ended {
            break;
        }
    }
}
