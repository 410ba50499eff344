//! What a run has come to: the fold of its journal, with the indexes that make the next decision cheap.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Illegal;
use crate::error::Failure;
use crate::journal::{Cancel, Entry, Outcome, Record};
use crate::phase::{Change, Evidence, Leftover, Outputs};
use crate::plan::{ApprovedPlan, Lane, Plan, Policy, Step};
use crate::port::Lease;
use crate::report::Cause;
use crate::snapshot::{RestorePoint, SnapshotRecord};
use crate::word::{LaneId, RunId, SnapshotId, StepName};

/// Where a run is heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// To the planned state.
    Forward,
    /// Nowhere: it waits for a person.
    Hold,
    /// To the state before.
    Back,
}

/// What is known of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Never started.
    Untouched,
    /// Being applied.
    Applying,
    /// Not applied; something of it may be there.
    Failed,
    /// Nobody knows.
    Unknown,
    /// Being looked at.
    Inspecting,
    /// Applied, and seen to be.
    Done,
    /// Being taken back.
    Undoing,
    /// Taken back, and seen to be; or there was nothing to take back.
    Undone,
    /// Not taken back.
    UndoFailed,
}

/// One step's part of the state.
#[derive(Clone, Debug, PartialEq)]
pub struct StepState {
    /// What is known.
    pub condition: Condition,
    /// Attempts in all.
    pub attempts: u32,
    /// Attempts, inspections and undos since the run was last started or resumed: what retry limits count.
    pub(super) tries: Tries,
    /// When the first attempt began.
    pub started: Option<Timestamp>,
    /// When the last attempt ended.
    pub ended: Option<Timestamp>,
    /// What it gave.
    pub output: Value,
    /// Whether it changed something; `None` until it is done.
    pub change: Option<Change>,
    /// What was read back.
    pub evidence: Option<Evidence>,
    /// Why it failed or is unknown.
    pub failure: Option<Failure>,
    /// Why it could not be taken back.
    pub undo_failure: Option<Failure>,
    /// What it was before the attempt that is announced.
    pub(super) before: Condition,
    /// Set once the outcome of an attempt was not known: then even "unchanged" does not prove that nothing is to undo.
    pub(super) in_doubt: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tries {
    pub(super) applied: u32,
    pub(super) inspected: u32,
    pub(super) undone: u32,
}

impl StepState {
    fn new() -> Self {
        Self {
            condition: Condition::Untouched,
            attempts: 0,
            tries: Tries::default(),
            started: None,
            ended: None,
            output: Value::Null,
            change: None,
            evidence: None,
            failure: None,
            undo_failure: None,
            before: Condition::Untouched,
            in_doubt: false,
        }
    }

    /// Whether it is certain that there is nothing to undo.
    pub(super) fn left_nothing(&self) -> bool {
        let unchanged = self.change == Some(Change::Unchanged) && !self.in_doubt && self.attempts == 1;
        matches!(self.condition, Condition::Untouched | Condition::Undone)
            || (self.condition == Condition::Done && unchanged)
    }

    pub(super) fn leftover(&self) -> Leftover {
        match self.change {
            Some(_) => Leftover::Completed { output: self.output.clone() },
            None => Leftover::Unknown,
        }
    }
}

/// Where a lane is: see the table in [`engine`](crate::engine).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneStatus {
    /// Its batch or stage is not released.
    Waiting,
    /// Waits for a place under the limits.
    Ready,
    /// Its steps are applied in order.
    Working,
    /// Stopped at a step.
    Failed,
    /// All steps are done.
    Done,
    /// Waits for its turn to be taken back.
    GoingBack,
    /// Its steps are undone.
    Returning,
    /// As it was before.
    TakenBack,
    /// A step could not be taken back.
    Stuck,
    /// Never started, and will not.
    Skipped,
}

impl LaneStatus {
    fn has_place(self) -> bool {
        matches!(self, Self::Working | Self::Returning)
    }
}

/// One lane's part of the state.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneState {
    /// Where it is.
    pub status: LaneStatus,
    /// The step at hand: the next to apply, or the next to undo.
    pub at: usize,
    /// Its steps, in the plan's order.
    pub steps: Vec<StepState>,
    /// Whether it is to be taken back.
    pub back: bool,
    /// Whether something is under way in it.
    pub under_way: bool,
    pub(super) stage: usize,
    pub(super) place: usize,
    pub(super) target: usize,
    pub(super) batch: usize,
    pub(super) group: usize,
}

impl LaneState {
    /// Whether a step of it was ever begun.
    pub(super) fn is_begun(&self) -> bool {
        self.at > 0 || self.steps.first().is_some_and(|step| step.condition != Condition::Untouched)
    }
}

/// Where a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotStatus {
    /// Not begun.
    Waiting,
    /// Being captured.
    Capturing,
    /// Captured in an earlier process, to be proven again before the run goes forward.
    Captured,
    /// Captured and being proven.
    Proving,
    /// Can be restored.
    Proven,
    /// Could not be captured or proven.
    Failed,
    /// Being given up.
    Discarding,
    /// Given up.
    Discarded,
}

#[derive(Clone, Debug)]
pub(super) struct SnapshotState {
    pub(super) status: SnapshotStatus,
    pub(super) target: usize,
    /// A capture was begun, so something of it may lie on the target.
    pub(super) touched: bool,
    pub(super) record: Option<SnapshotRecord>,
    pub(super) failure: Option<Failure>,
}

#[derive(Clone, Debug)]
pub(super) struct StageState {
    pub(super) lanes: std::ops::Range<usize>,
    /// The first lane behind each batch.
    pub(super) batch_ends: Vec<usize>,
    /// Batches whose lanes may start.
    pub(super) released: usize,
    /// A pause before the next batch has been announced.
    pub(super) paused: bool,
    /// Lanes of released batches that are not settled.
    pub(super) open: usize,
}

/// What a run has come to.
#[derive(Clone, Debug)]
pub struct State {
    pub(super) run: RunId,
    pub(super) approved: Arc<ApprovedPlan>,
    pub(super) started: Timestamp,
    pub(super) ended: Option<Timestamp>,
    /// The time of the record at hand.
    pub(super) now: Timestamp,
    pub(super) course: Course,
    pub(super) cancel: Option<Cancel>,
    pub(super) requested: bool,
    pub(super) finished: Option<Outcome>,
    /// No further lane starts: the failure budget is spent.
    pub(super) frozen: bool,
    pub(super) failures: u32,
    pub(super) lanes: Vec<LaneState>,
    pub(super) by_id: HashMap<LaneId, usize>,
    /// Lanes of the same service and target, in the order of their stages.
    pub(super) groups: Vec<Vec<usize>>,
    pub(super) stages: Vec<StageState>,
    /// The stage whose lanes may start.
    pub(super) stage: usize,
    /// While the run goes back: the stage whose lanes may return.
    pub(super) back_stage: usize,
    pub(super) snapshots: Vec<SnapshotState>,
    pub(super) snapshot_by_id: HashMap<SnapshotId, usize>,
    pub(super) snapshots_waiting: VecDeque<usize>,
    pub(super) snapshots_under_way: usize,
    pub(super) snapshots_unproven: usize,
    pub(super) restore_points: Vec<Arc<RestorePoint>>,
    pub(super) leases: Vec<Option<Lease>>,
    /// Lanes with a place and nothing under way.
    pub(super) idle: BTreeSet<usize>,
    /// Lanes that wait for a place, by target.
    pub(super) ready: Vec<BTreeSet<usize>>,
    /// The first ready lane of each target that has a place free.
    pub(super) heads: BTreeSet<(usize, usize)>,
    pub(super) head_of: Vec<Option<usize>>,
    pub(super) places: Vec<u32>,
    pub(super) places_taken: u32,
    pub(super) under_way: usize,
    /// Lanes that are to be taken back and are not settled, by stage.
    pub(super) going_back: Vec<usize>,
    pub(super) discards_under_way: usize,
}

impl State {
    /// The state that the records tell. The first must be `run-started`.
    pub fn replay(records: &[Record]) -> Result<Self, Illegal> {
        let Some((first, rest)) = records.split_first() else { return Err(Illegal::Empty) };
        let Entry::RunStarted { run, plan, .. } = &first.entry else { return Err(Illegal::Run) };
        let mut state = Self::new(run.clone(), plan.clone(), first.at);
        for record in rest {
            state.apply(record)?;
        }
        Ok(state)
    }

    /// The state before the first step.
    pub fn new(run: RunId, approved: Arc<ApprovedPlan>, started: Timestamp) -> Self {
        let plan = approved.plan();
        let targets: HashMap<_, _> = plan.targets.iter().enumerate().map(|(at, t)| (t.name.clone(), at)).collect();
        let mut lanes = Vec::new();
        let mut by_id = HashMap::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut group_of = HashMap::new();
        let mut stages = Vec::new();
        for (stage_at, stage) in plan.stages.iter().enumerate() {
            let first = lanes.len();
            let batch_ends = batch_ends(&plan.policy, first, stage.lanes.len());
            for (place, lane) in stage.lanes.iter().enumerate() {
                let at = lanes.len();
                let group = *group_of.entry((&lane.service, &lane.target)).or_insert_with(|| {
                    groups.push(Vec::new());
                    groups.len() - 1
                });
                groups[group].push(at);
                by_id.insert(lane.id.clone(), at);
                lanes.push(LaneState {
                    status: LaneStatus::Waiting,
                    at: 0,
                    steps: vec![StepState::new(); lane.steps.len()],
                    back: false,
                    under_way: false,
                    stage: stage_at,
                    place,
                    target: targets.get(&lane.target).copied().unwrap_or_default(),
                    batch: batch_ends.partition_point(|end| *end <= at),
                    group,
                });
            }
            let lanes = first..lanes.len();
            stages.push(StageState { lanes, batch_ends, released: 0, paused: false, open: 0 });
        }
        let snapshot_state = |snapshot: &crate::plan::SnapshotPlan| SnapshotState {
            status: SnapshotStatus::Waiting,
            target: targets.get(&snapshot.target).copied().unwrap_or_default(),
            touched: false,
            record: None,
            failure: None,
        };
        let snapshots: Vec<_> = plan.snapshots.iter().map(snapshot_state).collect();
        let snapshot_by_id = plan.snapshots.iter().enumerate().map(|(at, s)| (s.id.clone(), at)).collect();
        // A plan without targets has no lanes either; one slot keeps indexing total.
        let target_count = plan.targets.len().max(1);
        let stage_count = stages.len();
        let mut state = Self {
            run,
            started,
            ended: None,
            now: started,
            course: Course::Forward,
            cancel: None,
            requested: false,
            finished: None,
            frozen: false,
            failures: 0,
            lanes,
            by_id,
            groups,
            stages,
            stage: 0,
            back_stage: stage_count,
            snapshots_waiting: (0..snapshots.len()).collect(),
            snapshots_under_way: 0,
            snapshots_unproven: snapshots.len(),
            snapshots,
            snapshot_by_id,
            restore_points: vec![Arc::default(); target_count],
            leases: vec![None; target_count],
            idle: BTreeSet::new(),
            ready: vec![BTreeSet::new(); target_count],
            heads: BTreeSet::new(),
            head_of: vec![None; target_count],
            places: vec![0; target_count],
            places_taken: 0,
            under_way: 0,
            going_back: vec![0; stage_count],
            discards_under_way: 0,
            approved,
        };
        state.advance();
        state
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// When it started.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// When it ended; `None` while it has not.
    pub fn ended(&self) -> Option<Timestamp> {
        self.finished.and(self.ended)
    }

    /// The plan with its consent.
    pub fn approved(&self) -> &Arc<ApprovedPlan> {
        &self.approved
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        self.approved.plan()
    }

    /// Where it is heading.
    pub fn course(&self) -> Course {
        self.course
    }

    /// How it ended; `None` while it has not.
    pub fn outcome(&self) -> Option<Outcome> {
        self.finished
    }

    /// How hard somebody asked to stop, if so.
    pub fn cancel(&self) -> Option<Cancel> {
        self.cancel
    }

    /// Why it goes back, if it does.
    pub fn cause(&self) -> Cause {
        if self.requested {
            Cause::Request
        } else if self.failures > 0 {
            Cause::Failure
        } else if self.cancel.is_some() {
            Cause::Interrupt
        } else if self.course != Course::Forward {
            Cause::Failure
        } else {
            Cause::None
        }
    }

    /// All lanes with their plans, in order.
    pub fn lanes(&self) -> impl Iterator<Item = (&Lane, &LaneState)> {
        self.plan().lanes().zip(&self.lanes)
    }

    /// All snapshots with their plans: where they are, and why not.
    pub fn snapshots(&self) -> impl Iterator<Item = (&crate::plan::SnapshotPlan, SnapshotStatus, Option<&Failure>)> {
        let states = self.snapshots.iter().map(|state| (state.status, state.failure.as_ref()));
        self.plan().snapshots.iter().zip(states).map(|(plan, (status, failure))| (plan, status, failure))
    }

    /// Whether a lane or a capture is under way.
    pub(super) fn is_working(&self) -> bool {
        self.under_way + self.snapshots_under_way > 0
    }

    pub(super) fn lane_plan(&self, lane: usize) -> &Lane {
        let state = &self.lanes[lane];
        &self.plan().stages[state.stage].lanes[state.place]
    }

    pub(super) fn step_plan(&self, lane: usize) -> &Step {
        &self.lane_plan(lane).steps[self.lanes[lane].at]
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.plan().policy
    }

    /// What the steps before the one at hand gave, also those of earlier stages.
    pub(super) fn outputs(&self, lane: usize) -> Outputs {
        let mut outputs = Outputs::new();
        for other in &self.groups[self.lanes[lane].group] {
            let plan = self.lane_plan(*other);
            for (step, state) in plan.steps.iter().zip(&self.lanes[*other].steps) {
                if state.change.is_some() {
                    outputs.insert(step.name.clone(), state.output.clone());
                }
            }
        }
        outputs
    }

    pub(super) fn set_status(&mut self, lane: usize, status: LaneStatus) {
        let (before, target) = (self.lanes[lane].status, self.lanes[lane].target);
        self.lanes[lane].status = status;
        match (before.has_place(), status.has_place()) {
            (false, true) => {
                self.places[target] += 1;
                self.places_taken += 1;
            }
            (true, false) => {
                self.places[target] -= 1;
                self.places_taken -= 1;
            }
            _ => {}
        }
        let waits = matches!(status, LaneStatus::Ready);
        if waits {
            self.ready[target].insert(lane);
        } else {
            self.ready[target].remove(&lane);
        }
        self.refresh_idle(lane);
        self.refresh_head(target);
    }

    pub(super) fn set_under_way(&mut self, lane: usize, under_way: bool) {
        if self.lanes[lane].under_way != under_way {
            self.lanes[lane].under_way = under_way;
            if under_way { self.under_way += 1 } else { self.under_way -= 1 }
        }
        self.refresh_idle(lane);
    }

    fn refresh_idle(&mut self, lane: usize) {
        let state = &self.lanes[lane];
        if matches!(state.status, LaneStatus::Working | LaneStatus::Returning) && !state.under_way {
            self.idle.insert(lane);
        } else {
            self.idle.remove(&lane);
        }
    }

    /// Lets a lane that goes back wait for a place.
    pub(super) fn queue_return(&mut self, lane: usize) {
        let target = self.lanes[lane].target;
        self.ready[target].insert(lane);
        self.refresh_head(target);
    }

    fn refresh_head(&mut self, target: usize) {
        let free = self.places[target] < self.policy().limits.per_target.max(1);
        let head = if free { self.ready[target].first().copied() } else { None };
        if self.head_of[target] != head {
            if let Some(old) = self.head_of[target] {
                self.heads.remove(&(old, target));
            }
            if let Some(new) = head {
                self.heads.insert((new, target));
            }
            self.head_of[target] = head;
        }
    }

    pub(super) fn require_lane(&self, id: &LaneId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    pub(super) fn is_at(&self, lane: usize, step: &StepName) -> bool {
        self.lanes[lane].at < self.lanes[lane].steps.len() && self.step_plan(lane).name == *step
    }
}

fn batch_ends(policy: &Policy, first: usize, lanes: usize) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut end = first;
    let mut sizes = policy.batch.iter();
    let mut size = None;
    while end < first + lanes {
        size = sizes.next().or(size);
        let taken = size.map_or(lanes, |size| size.of(lanes));
        end = (end + taken).min(first + lanes);
        ends.push(end);
    }
    ends
}
