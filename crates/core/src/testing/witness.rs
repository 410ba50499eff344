//! Reading the journal as a stranger would, record by record, and noting what no engine may write.
//!
//! Written from the laws and the policies, not from the engine: it knows no engine type.

use std::collections::BTreeSet;

use serde_json::Value;

use super::world::{BEFORE, EVIDENCE, HALF_DONE, Inner, ONE_HAND, ORDER, POLICY, UNKNOWN, WAY_BACK, World};
use crate::error::Kind;
use crate::journal::{Entry, Outcome, Record};
use crate::phase::Inspection;
use crate::plan::OnFailure;
use crate::snapshot::SnapshotRecord;
use crate::word::{LaneId, StepName};

/// The last that the journal tells of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Nothing,
    Started,
    Finished,
    Failed(Kind),
    Unknown,
    Looking,
    Pending,
    LookFailed,
    Undoing,
    Undone,
    UndoFailed(Kind),
}

#[derive(Clone, Debug)]
struct StepView {
    last: Last,
    /// A new process has begun since: what was under way is over.
    resumed: bool,
    /// What `last` was before the attempt at hand, and how often the step had been applied.
    before: (Last, usize),
    attempts: u32,
    tries: u32,
    looks: u32,
    undos: u32,
    output: Option<Value>,
    was_stuck: bool,
}

#[derive(Clone, Debug, Default)]
struct SnapshotView {
    doing: &'static str,
    failed: bool,
    record: Option<SnapshotRecord>,
}

/// What the journal tells so far.
#[derive(Clone, Debug)]
pub(super) struct View {
    lanes: Vec<Vec<StepView>>,
    snapshots: Vec<SnapshotView>,
    /// The whole run goes back.
    back: bool,
    /// It waits for a person.
    held: bool,
    /// No further service begins.
    frozen: bool,
    /// Services on targets that go back.
    back_groups: BTreeSet<usize>,
    failures: u32,
    finished: Option<Outcome>,
    begun: bool,
}

impl View {
    pub(super) fn new(lanes: impl Iterator<Item = usize>, snapshots: usize) -> Self {
        let step = StepView {
            last: Last::Nothing,
            resumed: false,
            before: (Last::Nothing, 0),
            attempts: 0,
            tries: 0,
            looks: 0,
            undos: 0,
            output: None,
            was_stuck: false,
        };
        Self {
            lanes: lanes.map(|steps| vec![step.clone(); steps]).collect(),
            snapshots: vec![SnapshotView::default(); snapshots],
            back: false,
            held: false,
            frozen: false,
            back_groups: BTreeSet::new(),
            failures: 0,
            finished: None,
            begun: false,
        }
    }

    pub(super) fn is_applying(&self, lane: usize, step: usize, attempt: u32) -> bool {
        let view = &self.lanes[lane][step];
        view.last == Last::Started && view.attempts == attempt && !view.resumed
    }

    pub(super) fn is_looking(&self, lane: usize, step: usize) -> bool {
        let view = &self.lanes[lane][step];
        view.last == Last::Looking && !view.resumed
    }

    pub(super) fn is_undoing(&self, lane: usize, step: usize) -> bool {
        let view = &self.lanes[lane][step];
        view.last == Last::Undoing && !view.resumed
    }

    pub(super) fn is_capturing(&self, snapshot: usize) -> bool {
        self.snapshots[snapshot].doing == "capture"
    }

    pub(super) fn is_captured(&self, snapshot: usize) -> bool {
        self.snapshots[snapshot].doing == "prove"
    }

    pub(super) fn is_discarding(&self, snapshot: usize) -> bool {
        self.snapshots[snapshot].doing == "discard"
    }

    pub(super) fn record(&self, snapshot: usize) -> Option<SnapshotRecord> {
        self.snapshots[snapshot].record.clone()
    }

    pub(super) fn was_begun(&self, lane: usize, step: usize) -> bool {
        self.lanes[lane][step].attempts > 0
    }

    pub(super) fn failed_snapshots(&self) -> usize {
        self.snapshots.iter().filter(|snapshot| snapshot.failed).count()
    }

    /// What a step gave when it was done.
    pub(super) fn output(&self, lane: usize, step: usize) -> Option<Value> {
        self.lanes[lane][step].output.clone()
    }

    /// Whether an undo in the lane has failed: then a later stage may have begun, and it is tried again beside it.
    pub(super) fn was_stuck(&self, lane: usize) -> bool {
        self.lanes[lane].iter().any(|step| step.was_stuck)
    }

    /// Whether a service goes back on a target.
    pub(super) fn group_goes_back(&self, group: usize) -> bool {
        self.back || self.back_groups.contains(&group)
    }

    /// Whether the whole run goes back.
    pub(super) fn goes_back(&self) -> bool {
        self.back
    }
}

impl World {
    /// Takes in a record that has become durable.
    pub fn witness(&self, record: &Record) {
        self.lock().take_record(record);
    }
}

impl Inner {
    fn take_record(&mut self, record: &Record) {
        let begun = std::mem::replace(&mut self.view.begun, true);
        if begun == matches!(record.entry, Entry::RunStarted { .. }) {
            self.note(ORDER, "the journal does not begin with its run, or begins twice");
        }
        let revives =
            matches!(record.entry, Entry::Resumed | Entry::RollbackRequested { .. } | Entry::LeaseTaken { .. });
        if self.view.finished.is_some() && !revives {
            self.note(ORDER, format!("the journal goes on after its end: {:?}", record.entry));
        }
        match &record.entry {
            Entry::Resumed => self.resumed(),
            Entry::RollbackRequested { lanes, .. } => self.requested(lanes),
            Entry::RunFinished { outcome } => self.view.finished = Some(*outcome),
            Entry::Cancelled { .. } => self.view.back = true,
            Entry::CaptureStarted { snapshot } => {
                let at = self.find_snapshot(snapshot);
                self.view.snapshots[at] = SnapshotView { doing: "capture", ..SnapshotView::default() };
            }
            Entry::ProofStarted { snapshot } => {
                let at = self.find_snapshot(snapshot);
                if self.view.snapshots[at].record.is_none() {
                    self.note(WAY_BACK, format!("{snapshot} was proven again before it was ever captured"));
                }
                self.view.snapshots[at].doing = "prove";
                self.view.snapshots[at].failed = false;
            }
            Entry::Captured { snapshot, record } => {
                let at = self.find_snapshot(snapshot);
                self.view.snapshots[at] = SnapshotView { doing: "prove", record: Some(record.clone()), failed: false };
            }
            Entry::Proven { snapshot, evidence } => {
                let at = self.find_snapshot(snapshot);
                self.require_evidence(evidence.is_empty(), snapshot);
                self.view.snapshots[at].doing = "proven";
            }
            Entry::SnapshotFailed { snapshot, .. } => {
                let at = self.find_snapshot(snapshot);
                self.view.snapshots[at].failed = true;
                let begun = self.view.lanes.iter().flatten().any(|step| step.last != Last::Nothing);
                if begun && self.approved.plan().policy.on_failure == OnFailure::Hold {
                    self.view.held |= !self.view.back;
                } else {
                    self.view.back = true;
                }
            }
            Entry::DiscardStarted { snapshot } => {
                let at = self.find_snapshot(snapshot);
                self.view.snapshots[at].doing = "discard";
            }
            Entry::Discarded { snapshot, .. } => {
                let at = self.find_snapshot(snapshot);
                self.view.snapshots[at].doing = "discarded";
            }
            Entry::RunStarted { .. }
            | Entry::LeaseTaken { .. }
            | Entry::BatchPaused { .. }
            | Entry::BatchReleased { .. } => {}
            entry => self.take_step_record(entry),
        }
    }

    fn take_step_record(&mut self, entry: &Entry) {
        match entry {
            Entry::StepStarted { lane, step, attempt, .. } => self.step_started(lane, step, *attempt),
            Entry::StepWithdrawn { lane, step } => {
                let (at, step_at) = self.find(lane.as_str(), step.as_str());
                let (before, applies) = self.view.lanes[at][step_at].before;
                self.ends(lane, step, Last::Started, before);
                let view = self.view_of(lane, step);
                view.attempts -= 1;
                view.tries -= 1;
                if self.lanes[at].steps[step_at].applies != applies {
                    self.note(HALF_DONE, format!("`{step}` in `{lane}` was withdrawn after it was applied"));
                }
                if !self.view.back && !self.view.held && !self.view.group_goes_back(self.lanes[at].group) {
                    self.note(POLICY, format!("`{step}` in `{lane}` was withdrawn while the run goes forward"));
                }
            }
            Entry::StepFinished { lane, step, applied } => {
                self.require_evidence(applied.evidence.is_empty(), step);
                self.ends(lane, step, Last::Started, Last::Finished);
                self.view_of(lane, step).output = Some(applied.output.clone());
            }
            Entry::StepFailed { lane, step, failure } => {
                self.ends(lane, step, Last::Started, Last::Failed(failure.kind));
                let again = failure.kind == Kind::Transient && !self.is_spent(lane, step);
                if failure.kind == Kind::UnknownOutcome {
                    self.note(UNKNOWN, format!("`{step}` in `{lane}` was called failed, and nobody knows"));
                }
                self.fell_short(lane, again);
            }
            Entry::StepUnknown { lane, step, .. } => {
                self.ends(lane, step, Last::Started, Last::Unknown);
                let (lane, step) = self.find(lane.as_str(), step.as_str());
                self.lanes[lane].steps[step].in_doubt = true;
            }
            Entry::InspectStarted { lane, step, .. } => {
                let resumed = self.view_of(lane, step).resumed;
                let last = self.view_of(lane, step).last;
                if !(resumed || matches!(last, Last::Unknown | Last::LookFailed)) {
                    self.note(UNKNOWN, format!("`{step}` in `{lane}` was looked at after {last:?}"));
                }
                let view = self.view_of(lane, step);
                (view.last, view.resumed) = (Last::Looking, false);
                view.looks += 1;
            }
            Entry::Inspected { lane, step, inspection: Inspection::Settled { evidence, output } } => {
                self.require_evidence(evidence.is_empty(), step);
                self.ends(lane, step, Last::Looking, Last::Finished);
                self.view_of(lane, step).output = Some(output.clone());
            }
            Entry::Inspected { lane, step, .. } => {
                self.ends(lane, step, Last::Looking, Last::Pending);
                self.view_of(lane, step).looks = 0;
                let again = !self.is_spent(lane, step);
                self.fell_short(lane, again);
            }
            Entry::InspectFailed { lane, step, .. } => {
                self.ends(lane, step, Last::Looking, Last::LookFailed);
                let again = self.view_of(lane, step).looks < self.attempts(lane, step);
                self.fell_short(lane, again);
            }
            Entry::UndoStarted { lane, step, .. } => self.undo_started(lane, step),
            Entry::UndoFinished { lane, step, evidence } => {
                self.require_evidence(evidence.is_empty(), step);
                self.ends(lane, step, Last::Undoing, Last::Undone);
            }
            Entry::UndoFailed { lane, step, failure } => {
                self.ends(lane, step, Last::Undoing, Last::UndoFailed(failure.kind));
                self.view_of(lane, step).was_stuck = true;
            }
            other => self.note(ORDER, format!("an entry that the witness does not know: {other:?}")),
        }
    }

    fn view_of(&mut self, lane: &LaneId, step: &StepName) -> &mut StepView {
        let (lane, step) = self.find(lane.as_str(), step.as_str());
        &mut self.view.lanes[lane][step]
    }

    fn attempts(&self, lane: &LaneId, step: &StepName) -> u32 {
        let (lane, step) = self.find(lane.as_str(), step.as_str());
        self.lane_plan(lane).steps[step].retry.attempts.max(1)
    }

    fn is_spent(&mut self, lane: &LaneId, step: &StepName) -> bool {
        self.view_of(lane, step).tries >= self.attempts(lane, step)
    }

    fn require_evidence(&mut self, absent: bool, what: impl std::fmt::Display) {
        if absent {
            self.note(EVIDENCE, format!("`{what}` was called done, and nothing was read back"));
        }
    }

    /// An entry that tells the end of something follows the one that announced it.
    fn ends(&mut self, lane: &LaneId, step: &StepName, announced: Last, end: Last) {
        let view = self.view_of(lane, step);
        let (last, resumed) = (view.last, view.resumed);
        view.last = end;
        if last != announced || resumed {
            self.note(BEFORE, format!("`{step}` in `{lane}` came to {end:?} after {last:?}, resumed: {resumed}"));
        }
    }

    fn step_started(&mut self, lane: &LaneId, step: &StepName, attempt: u32) {
        let (at, step_at) = self.find(lane.as_str(), step.as_str());
        let name = format!("`{step}` in `{lane}`");
        if self.view.snapshots.iter().any(|snapshot| snapshot.doing != "proven") {
            self.note(WAY_BACK, format!("{name} was announced before all snapshots were proven"));
        }
        let group = self.lanes[at].group;
        if self.view.back || self.view.held || self.view.back_groups.contains(&group) {
            self.note(POLICY, format!("{name} was started though it goes back or waits"));
        }
        let unbegun = |lane: &usize| self.view.lanes[*lane].iter().all(|step| step.attempts == 0);
        let fresh = (0..self.lanes.len()).filter(|other| self.lanes[*other].group == group).all(|lane| unbegun(&lane));
        if self.view.frozen && fresh {
            self.note(POLICY, format!("{name} was begun after the failure budget was spent"));
        }
        if self.view.lanes[at][..step_at].iter().any(|before| before.last != Last::Finished) {
            self.note(ORDER, format!("{name} was started before the steps ahead of it were done"));
        }
        let applies = self.lanes[at].steps[step_at].applies;
        let view = &mut self.view.lanes[at][step_at];
        view.before = (view.last, applies);
        view.attempts += 1;
        view.tries += 1;
        let (last, resumed, tries, attempts) = (view.last, view.resumed, view.tries, view.attempts);
        (view.last, view.resumed) = (Last::Started, false);
        if attempts != attempt {
            self.note(BEFORE, format!("{name}: attempt {attempt} is the {attempts}th"));
        }
        if tries > self.attempts(lane, step) {
            self.note(POLICY, format!("{name} was tried {tries} times"));
        }
        let may = match last {
            Last::Nothing | Last::Failed(Kind::Transient) | Last::Pending => true,
            // A held run that a person resumed tries whatever failed again.
            Last::Failed(_) => resumed,
            _ => false,
        };
        if !may {
            self.note(UNKNOWN, format!("{name} was tried again after {last:?}"));
        }
    }

    fn undo_started(&mut self, lane: &LaneId, step: &StepName) {
        let (at, _) = self.find(lane.as_str(), step.as_str());
        if !self.view.back && !self.view.back_groups.contains(&self.lanes[at].group) {
            self.note(POLICY, format!("`{step}` in `{lane}` is undone though the lane does not go back"));
        }
        let retry = self.attempts(lane, step);
        let view = self.view_of(lane, step);
        let (last, resumed) = (view.last, view.resumed);
        view.undos += 1;
        let undos = view.undos;
        (view.last, view.resumed) = (Last::Undoing, false);
        let may = resumed
            || match last {
                Last::Finished | Last::Failed(_) | Last::Unknown | Last::Pending | Last::LookFailed => true,
                Last::UndoFailed(kind) => matches!(kind, Kind::Transient | Kind::UnknownOutcome) && undos <= retry,
                _ => false,
            };
        if !may {
            self.note(HALF_DONE, format!("`{step}` in `{lane}` is undone after {last:?}, for the {undos}th time"));
        }
    }

    /// A try came to nothing. Unless it is tried again its lane has failed, which the policy judges.
    fn fell_short(&mut self, lane: &LaneId, again: bool) {
        let at = self.by_id[lane];
        let group = self.lanes[at].group;
        if self.view.back || self.view.back_groups.contains(&group) || (again && !self.view.held) {
            return;
        }
        let policy = &self.approved.plan().policy;
        self.view.failures += 1;
        let spent = self.view.failures > policy.failure_budget.unwrap_or(0);
        match policy.on_failure {
            OnFailure::UnwindLane => {
                self.view.frozen |= spent && policy.failure_budget.is_some();
                self.view.back_groups.insert(group);
            }
            _ if self.view.held => {}
            _ if !spent => {
                self.view.back_groups.insert(group);
            }
            OnFailure::UnwindRun => self.view.back = true,
            OnFailure::Hold => self.view.held = true,
        }
    }

    fn resumed(&mut self) {
        if self.view.finished == Some(Outcome::Held) {
            self.view.held = false;
        }
        if matches!(self.view.finished, Some(Outcome::Succeeded | Outcome::RolledBack)) {
            self.note(ORDER, "a run was resumed after its end");
        }
        self.view.finished = None;
        let forward = !self.view.back && !self.view.held;
        for snapshot in &mut self.view.snapshots {
            if forward && snapshot.record.is_some() && snapshot.doing != "discard" {
                // It may have been lost since: it counts again once it is proven again.
                (snapshot.doing, snapshot.failed) = ("captured", false);
            }
        }
        for step in self.view.lanes.iter_mut().flatten() {
            step.resumed |= !matches!(step.last, Last::Nothing | Last::Finished | Last::Undone);
            (step.tries, step.looks, step.undos) = (0, 0, 0);
        }
        for (lane, view) in self.view.lanes.iter().enumerate() {
            for (step, view) in view.iter().enumerate() {
                self.lanes[lane].steps[step].in_doubt |= view.resumed;
            }
        }
    }

    fn requested(&mut self, lanes: &[LaneId]) {
        self.view.finished = None;
        self.view.back |= lanes.is_empty();
        for lane in lanes {
            match self.by_id.get(lane) {
                Some(at) => {
                    self.view.back_groups.insert(self.lanes[*at].group);
                }
                None => {
                    self.note(ONE_HAND, format!("a rollback of `{lane}` was written, which the plan does not have"))
                }
            }
        }
    }
}
