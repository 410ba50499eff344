//! What is true on the scripted targets, and every law that was broken at the moment it was.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;
use tokio::time::Instant;

use super::check::{count, stale};
use super::memory::MemoryLeases;
use super::script::{Script, SnapshotScript, StepScript};
use super::witness::View;
use crate::error::{Failure, Kind};
use crate::phase::{IdempotencyKey, Leftover, StepContext};
use crate::plan::ApprovedPlan;
use crate::port::FencingToken;
use crate::snapshot::{SnapshotContext, SnapshotRecord};
use crate::target::Facts;
use crate::word::{LaneId, SnapshotId, TargetName};

/// What a step has left on its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing.
    None,
    /// A part.
    Half,
    /// All.
    Whole,
}

/// A law that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which, by number and name.
    pub law: &'static str,
    /// How.
    pub what: String,
}

pub(super) const BEFORE: &str = "1: before, not after";
pub(super) const WAY_BACK: &str = "2: no change without a way back";
pub(super) const HALF_DONE: &str = "3: a half-done step is undone too";
pub(super) const UNKNOWN: &str = "4: unknown is a state";
pub(super) const ONE_HAND: &str = "5: one hand at a time";
pub(super) const EVIDENCE: &str = "6: no green without evidence";
pub(super) const ORDER: &str = "order: the plan's order, and the reverse on the way back";
pub(super) const LIMITS: &str = "limits: no more at once and no faster than the policy says";
pub(super) const POLICY: &str = "policy: the failure policy decides who goes back and who goes on";

#[derive(Clone, Debug)]
pub(super) struct StepWorld {
    pub(super) script: StepScript,
    pub(super) effect: Effect,
    pub(super) applies: usize,
    pub(super) looks: usize,
    pub(super) undos: usize,
    /// An attempt has ended in another way than by a good answer.
    pub(super) in_doubt: bool,
    pub(super) key: Option<IdempotencyKey>,
}

impl StepWorld {
    pub(super) fn satisfied(&self) -> bool {
        self.script.already_there || self.effect == Effect::Whole
    }
}

#[derive(Clone, Debug)]
pub(super) struct LaneWorld {
    pub(super) target: TargetName,
    pub(super) stage: usize,
    pub(super) place: usize,
    pub(super) batch: usize,
    pub(super) group: usize,
    pub(super) steps: Vec<StepWorld>,
    pub(super) calls: usize,
}

#[derive(Clone, Debug)]
pub(super) struct SnapshotWorld {
    pub(super) script: SnapshotScript,
    pub(super) captures: usize,
    pub(super) proofs: usize,
    pub(super) discards: usize,
    pub(super) captured: Option<SnapshotRecord>,
    pub(super) proven: bool,
    pub(super) calls: usize,
    /// What became of it while no run was at work.
    pub(super) meanwhile: Option<Meanwhile>,
}

/// What others do to a snapshot while no run is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// Another run changes what this one had left.
    GoneOver,
    /// What it holds is removed.
    Removed,
}

pub(super) struct Inner {
    pub(super) approved: Arc<ApprovedPlan>,
    pub(super) lanes: Vec<LaneWorld>,
    pub(super) by_id: HashMap<LaneId, usize>,
    pub(super) snapshots: Vec<SnapshotWorld>,
    pub(super) view: View,
    pub(super) fenced: HashMap<TargetName, FencingToken>,
    facts: HashMap<TargetName, Facts>,
    pub(super) violations: Vec<Violation>,
    pub(super) broken: bool,
    pub(super) refused: usize,
    pub(super) most: usize,
    pub(super) last_start: Option<Instant>,
}

/// The scripted targets of one plan.
pub struct World {
    inner: Mutex<Inner>,
    leases: Arc<MemoryLeases>,
}

/// A call that is under way on a lane or snapshot; over when it is dropped.
pub(super) struct Under<'a> {
    world: &'a World,
    lane: Option<usize>,
    snapshot: Option<usize>,
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        let mut inner = self.world.lock();
        if let Some(lane) = self.lane {
            inner.lanes[lane].calls -= 1;
        }
        if let Some(snapshot) = self.snapshot {
            inner.snapshots[snapshot].calls -= 1;
        }
    }
}

impl World {
    /// A world in which nothing of the plan is done, but what the script says is there already.
    pub fn new(approved: Arc<ApprovedPlan>, script: &Script, leases: Arc<MemoryLeases>) -> Self {
        let plan = approved.plan();
        let mut lanes = Vec::new();
        let mut by_id = HashMap::new();
        let mut groups = HashMap::new();
        for (stage_at, stage) in plan.stages.iter().enumerate() {
            let batches = batches(&plan.policy.batch, stage.lanes.len());
            for (place, lane) in stage.lanes.iter().enumerate() {
                let next_group = groups.len();
                let group = *groups.entry((lane.service.clone(), lane.target.clone())).or_insert(next_group);
                let step = |name: &crate::word::StepName| StepWorld {
                    script: script.steps.get(&(lane.id.clone(), name.clone())).cloned().unwrap_or_default(),
                    effect: Effect::None,
                    applies: 0,
                    looks: 0,
                    undos: 0,
                    in_doubt: false,
                    key: None,
                };
                by_id.insert(lane.id.clone(), lanes.len());
                lanes.push(LaneWorld {
                    target: lane.target.clone(),
                    stage: stage_at,
                    place,
                    batch: batches[place],
                    group,
                    steps: lane.steps.iter().map(|planned| step(&planned.name)).collect(),
                    calls: 0,
                });
            }
        }
        let snapshot = |id: &SnapshotId| SnapshotWorld {
            script: script.snapshots.get(id).cloned().unwrap_or_default(),
            captures: 0,
            proofs: 0,
            discards: 0,
            captured: None,
            proven: false,
            calls: 0,
            meanwhile: None,
        };
        let snapshots = plan.snapshots.iter().map(|planned| snapshot(&planned.id)).collect();
        let view = View::new(lanes.iter().map(|lane: &LaneWorld| lane.steps.len()), plan.snapshots.len());
        let inner = Inner {
            lanes,
            by_id,
            snapshots,
            view,
            fenced: HashMap::new(),
            facts: approved.plan().targets.iter().map(|target| (target.name.clone(), target.expects.clone())).collect(),
            violations: Vec::new(),
            broken: false,
            refused: 0,
            most: 0,
            last_start: None,
            approved,
        };
        Self { inner: Mutex::new(inner), leases }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The laws that were broken so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.lock().violations.clone()
    }

    /// What a step has left on its target.
    pub fn effect(&self, lane: &str, step: &str) -> Effect {
        let inner = self.lock();
        let (lane, step) = inner.find(lane, step);
        inner.lanes[lane].steps[step].effect
    }

    /// How often a step was applied, looked at and undone.
    pub fn calls(&self, lane: &str, step: &str) -> (usize, usize, usize) {
        let inner = self.lock();
        let (lane, step) = inner.find(lane, step);
        let step = &inner.lanes[lane].steps[step];
        (step.applies, step.looks, step.undos)
    }

    /// How often a target refused a change because its token was old.
    pub fn refusals(&self) -> usize {
        self.lock().refused
    }

    /// The most lanes that were at work at once.
    pub fn most_at_once(&self) -> usize {
        self.lock().most
    }

    /// Whether nothing of the plan is on any target.
    pub fn is_untouched(&self) -> bool {
        let inner = self.lock();
        inner.lanes.iter().flat_map(|lane| &lane.steps).all(|step| step.effect == Effect::None)
    }

    /// Changes what a step does from now on.
    pub fn rescript(&self, lane: &str, step: &str, script: StepScript) {
        let mut inner = self.lock();
        let (lane, step) = inner.find(lane, step);
        let step = &mut inner.lanes[lane].steps[step];
        step.script = script;
        (step.applies, step.looks, step.undos) = (0, 0, 0);
    }

    /// What a probe of a target reads.
    pub fn facts(&self, target: &TargetName) -> Facts {
        self.lock().facts.get(target).cloned().unwrap_or_default()
    }

    pub(super) fn became(&self, snapshot: &SnapshotId) -> Option<Meanwhile> {
        let inner = self.lock();
        inner.snapshots[inner.find_snapshot(snapshot)].meanwhile
    }

    /// Others do this to a snapshot, now that no run is at work.
    ///
    /// # Panics
    /// Where the plan has no such snapshot.
    pub fn meanwhile(&self, snapshot: &str, done: Meanwhile) {
        let mut inner = self.lock();
        let at = inner.find_snapshot(&SnapshotId::new(snapshot).expect("an id"));
        inner.snapshots[at].meanwhile = Some(done);
    }

    /// Somebody else changes a target.
    pub fn change_fact(&self, target: &TargetName, fact: &str, value: Value) {
        self.lock().facts.entry(target.clone()).or_default().insert(fact.to_owned(), value);
    }

    /// A new process begins: what an old one had under way is over.
    pub fn begin_life(&self) {
        let mut inner = self.lock();
        inner.broken = false;
        inner.last_start = None;
    }

    pub(super) fn journal_broke(&self) {
        self.lock().broken = true;
    }

    /// Refuses writes with an older token from now on.
    pub fn fence(&self, target: &TargetName, token: FencingToken) -> Result<(), Failure> {
        let mut inner = self.lock();
        let seen = inner.fenced.entry(target.clone()).or_insert(token);
        if token < *seen {
            return Err(stale(target));
        }
        *seen = token;
        Ok(())
    }

    pub(super) fn begin_apply(&self, cx: &StepContext<'_>) -> Result<(Under<'_>, usize, usize), Failure> {
        let mut inner = self.lock();
        let (lane, step) = inner.find(cx.lane.as_str(), cx.step.as_str());
        inner.admit(cx.target.id(), cx.token, &self.leases)?;
        inner.check_apply(lane, step, cx);
        inner.lanes[lane].steps[step].applies += 1;
        inner.begin_call(lane);
        Ok((Under { world: self, lane: Some(lane), snapshot: None }, lane, step))
    }

    pub(super) fn begin_look(&self, cx: &StepContext<'_>) -> (Under<'_>, usize, usize) {
        let mut inner = self.lock();
        let (lane, step) = inner.find(cx.lane.as_str(), cx.step.as_str());
        if !inner.view.is_looking(lane, step) {
            inner.note(BEFORE, format!("`{}` was looked at without an entry", cx.step));
        }
        inner.lanes[lane].steps[step].looks += 1;
        inner.begin_call(lane);
        (Under { world: self, lane: Some(lane), snapshot: None }, lane, step)
    }

    pub(super) fn begin_undo(
        &self,
        cx: &StepContext<'_>,
        leftover: &Leftover,
    ) -> Result<(Under<'_>, usize, usize), Failure> {
        let mut inner = self.lock();
        let (lane, step) = inner.find(cx.lane.as_str(), cx.step.as_str());
        inner.admit(cx.target.id(), cx.token, &self.leases)?;
        let finished = inner.view.output(lane, step);
        let told = match leftover {
            Leftover::Completed { output } => Some(output),
            Leftover::Unknown => None,
        };
        if told != finished.as_ref() {
            inner.note(HALF_DONE, format!("`{}` in `{}` was undone as {told:?}, not {finished:?}", cx.step, cx.lane));
        }
        inner.check_undo(lane, step);
        inner.lanes[lane].steps[step].undos += 1;
        inner.begin_call(lane);
        Ok((Under { world: self, lane: Some(lane), snapshot: None }, lane, step))
    }

    /// A restore takes back the step that names the snapshot.
    pub(super) fn begin_restore(
        &self,
        cx: &SnapshotContext<'_>,
        record: &SnapshotRecord,
    ) -> Result<(Under<'_>, usize, usize), Failure> {
        let mut inner = self.lock();
        inner.admit(cx.target.id(), cx.token, &self.leases)?;
        let at = inner.find_snapshot(cx.id);
        let snapshot = &inner.snapshots[at];
        if !snapshot.proven || snapshot.captured.as_ref() != Some(record) {
            inner.note(WAY_BACK, format!("`{}` was restored from what was not proven", cx.id));
        }
        let (lane, step) = inner
            .restored_by(cx.id)
            .ok_or_else(|| Failure::new(Kind::Internal, format!("no step is taken back by snapshot `{}`", cx.id)))?;
        inner.check_undo(lane, step);
        inner.lanes[lane].steps[step].undos += 1;
        inner.begin_call(lane);
        Ok((Under { world: self, lane: Some(lane), snapshot: None }, lane, step))
    }

    pub(super) fn begin_snapshot(
        &self,
        cx: &SnapshotContext<'_>,
        doing: Doing<'_>,
    ) -> Result<(Under<'_>, usize), Failure> {
        let mut inner = self.lock();
        inner.admit(cx.target.id(), cx.token, &self.leases)?;
        let at = inner.find_snapshot(cx.id);
        inner.check_snapshot(at, cx, doing);
        inner.snapshots[at].calls += 1;
        let parallel = inner.limits().parallel;
        if inner.snapshots.iter().map(|snapshot| snapshot.calls).sum::<usize>() > count(parallel) {
            inner.note(LIMITS, format!("more than {parallel} snapshots at once"));
        }
        Ok((Under { world: self, lane: None, snapshot: Some(at) }, at))
    }
}

/// What is being done to a snapshot.
#[derive(Clone, Copy)]
pub(super) enum Doing<'a> {
    Capture,
    Prove(&'a SnapshotRecord),
    Discard(&'a SnapshotRecord),
}

/// The batch of each lane of a stage.
fn batches(sizes: &[crate::plan::BatchSize], lanes: usize) -> Vec<usize> {
    let mut batch_of = Vec::new();
    let mut batch = 0;
    while batch_of.len() < lanes {
        let size = sizes.get(batch).or(sizes.last()).map_or(lanes, |size| size.of(lanes));
        batch_of.extend(std::iter::repeat_n(batch, size.min(lanes - batch_of.len())));
        batch += 1;
    }
    batch_of
}
