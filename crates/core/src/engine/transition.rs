//! Every legal transition, in one function: used live and on replay.

use std::sync::Arc;

use super::state::{Condition, Course, LaneState, LaneStatus, SnapshotStatus, State, Tries};
use crate::error::{Explain, Failure, Kind};
use crate::journal::{Entry, Outcome, Record};
use crate::phase::{Applied, Evidence, Inspection, Reversal};
use crate::plan::OnFailure;
use crate::word::{LaneId, SnapshotId, StepName};

/// An entry that cannot follow those before it: the journal was not written by this engine, or not all of it is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// A lane that the plan does not have.
    #[error("the journal tells of lane `{0}`, which its plan does not have")]
    UnknownLane(LaneId),
    /// A step that is not the one at hand in its lane.
    #[error("the journal tells of step `{step}` in lane `{lane}` out of turn: {why}")]
    OutOfTurn {
        /// The lane.
        lane: LaneId,
        /// The step.
        step: StepName,
        /// What does not fit.
        why: &'static str,
    },
    /// A snapshot that the plan does not have, or out of turn.
    #[error("the journal tells of snapshot `{0}` out of turn, or its plan does not have it")]
    Snapshot(SnapshotId),
    /// An entry that does not fit the state of the run.
    #[error("the journal goes on after its run ended, or begins twice")]
    Run,
    /// There is no entry at all.
    #[error("the journal is empty: its run was stopped before it began")]
    Empty,
    /// A batch that cannot be released now.
    #[error("the journal releases a batch out of turn")]
    Batch,
}

impl Explain for Illegal {
    fn kind(&self) -> Kind {
        match self {
            Self::Empty => Kind::Rejected,
            _ => Kind::Internal,
        }
    }
    fn state(&self) -> Option<String> {
        Some("nothing further was started; the journal is untouched".into())
    }
    fn next(&self) -> Option<String> {
        if matches!(self, Self::Empty) {
            return Some("make a new plan: `pleach plan`".into());
        }
        Some("keep the journal and compare it with what the targets show: `pleach status`".into())
    }
}

impl State {
    /// Takes one record in.
    pub fn apply(&mut self, record: &Record) -> Result<(), Illegal> {
        self.now = record.at;
        let entry = &record.entry;
        match entry {
            Entry::RunStarted { .. } => return Err(Illegal::Run),
            Entry::LeaseTaken { lease } => self.lease_taken(lease),
            Entry::Resumed => self.resumed()?,
            Entry::RollbackRequested { lanes, .. } => self.rollback_requested(lanes)?,
            Entry::RunFinished { outcome } => {
                self.finished = Some(*outcome);
                self.ended = Some(self.now);
            }
            _ if self.finished.is_some() => return Err(Illegal::Run),
            Entry::Cancelled { how, .. } => {
                self.cancel = self.cancel.max(Some(*how));
                self.turn_back();
            }
            Entry::CaptureStarted { snapshot } => self.capture_started(snapshot)?,
            Entry::ProofStarted { snapshot } => {
                let at = self.snapshot_in(snapshot, SnapshotStatus::Captured)?;
                self.snapshots_waiting.retain(|waiting| *waiting != at);
                self.snapshots[at].status = SnapshotStatus::Proving;
                self.snapshots_under_way += 1;
            }
            Entry::Captured { snapshot, record } => {
                let at = self.snapshot_in(snapshot, SnapshotStatus::Capturing)?;
                let target = self.snapshots[at].target;
                Arc::make_mut(&mut self.restore_points[target]).insert(snapshot.clone(), record.clone());
                self.snapshots[at].record = Some(record.clone());
                self.snapshots[at].status = SnapshotStatus::Proving;
            }
            Entry::Proven { snapshot, .. } => {
                let at = self.snapshot_in(snapshot, SnapshotStatus::Proving)?;
                self.snapshots[at].status = SnapshotStatus::Proven;
                self.snapshots_under_way -= 1;
                self.snapshots_unproven -= 1;
            }
            Entry::SnapshotFailed { snapshot, failure } => self.snapshot_failed(snapshot, failure)?,
            Entry::DiscardStarted { snapshot } => self.discard_started(snapshot)?,
            Entry::Discarded { snapshot, .. } => {
                let at = self.snapshot_in(snapshot, SnapshotStatus::Discarding)?;
                self.snapshots[at].status = SnapshotStatus::Discarded;
                self.discards_under_way -= 1;
            }
            Entry::BatchPaused { .. } | Entry::BatchReleased { .. } => self.batch(entry)?,
            Entry::StepStarted { lane, step, .. } => self.step_started(lane, step)?,
            Entry::StepWithdrawn { lane, step } => self.step_withdrawn(lane, step)?,
            Entry::StepFinished { lane, step, applied } => self.step_finished(lane, step, applied)?,
            Entry::StepFailed { lane, step, failure } => self.step_failed(lane, step, failure)?,
            Entry::StepUnknown { lane, step, failure } => self.step_unknown(lane, step, failure)?,
            Entry::InspectStarted { lane, step, .. } => self.inspect_started(lane, step)?,
            Entry::Inspected { lane, step, inspection } => self.inspected(lane, step, inspection)?,
            Entry::InspectFailed { lane, step, failure } => self.inspect_failed(lane, step, failure)?,
            Entry::UndoStarted { lane, step, .. } => self.undo_started(lane, step)?,
            Entry::UndoFinished { lane, step, evidence } => self.undo_finished(lane, step, evidence)?,
            Entry::UndoFailed { lane, step, failure } => self.undo_failed(lane, step, failure)?,
        }
        self.advance();
        Ok(())
    }

    fn lease_taken(&mut self, lease: &crate::port::Lease) {
        let target = self.plan().targets.iter().position(|target| target.name == lease.target);
        if let Some(target) = target {
            self.leases[target] = Some(lease.clone());
        }
    }

    fn resumed(&mut self) -> Result<(), Illegal> {
        if matches!(self.finished, Some(Outcome::Succeeded | Outcome::RolledBack)) {
            return Err(Illegal::Run);
        }
        let held = self.finished == Some(Outcome::Held);
        self.finished = None;
        if held {
            self.course = Course::Forward;
        }
        self.resume_snapshots();
        for stage in &mut self.stages {
            stage.paused = false;
        }
        for lane in 0..self.lanes.len() {
            self.resume_lane(lane);
        }
        if self.course == Course::Back {
            self.back_stage = self.stages.len();
        } else {
            for group in 0..self.groups.len() {
                self.offer_returns(self.groups[group][0]);
            }
        }
        Ok(())
    }

    /// What was captured may have been lost, or have restored itself, since somebody last looked: on the way forward all
    /// is proven again. What nothing was built on yet is captured anew.
    fn resume_snapshots(&mut self) {
        use SnapshotStatus::{Captured, Capturing, Discarding, Failed, Proven, Proving, Waiting};
        let begun = self.lanes.iter().any(LaneState::is_begun);
        let forward = self.course == Course::Forward;
        for snapshot in &mut self.snapshots {
            snapshot.status = match snapshot.status {
                Capturing => Waiting,
                Proving if begun => Captured,
                Proving => Waiting,
                Proven | Failed if forward && snapshot.record.is_some() => Captured,
                Discarding => Proven,
                status => status,
            };
            if snapshot.status == Captured {
                snapshot.failure = None;
            }
        }
        let waits = |at: &usize| matches!(self.snapshots[*at].status, Waiting | Captured);
        self.snapshots_waiting = (0..self.snapshots.len()).filter(waits).collect();
        self.snapshots_unproven = self.snapshots.iter().filter(|snapshot| snapshot.status != Proven).count();
        self.snapshots_under_way = 0;
        self.discards_under_way = 0;
    }

    fn resume_lane(&mut self, lane: usize) {
        for step in &mut self.lanes[lane].steps {
            step.tries = Tries::default();
            match step.condition {
                Condition::Applying | Condition::Inspecting => {
                    step.condition = Condition::Unknown;
                    step.in_doubt = true;
                }
                Condition::Undoing => step.condition = Condition::UndoFailed,
                _ => {}
            }
        }
        self.set_under_way(lane, false);
        match self.lanes[lane].status {
            LaneStatus::Stuck => {
                self.going_back[self.lanes[lane].stage] += 1;
                self.stages[self.lanes[lane].stage].open += 1;
                self.set_status(lane, LaneStatus::GoingBack);
            }
            LaneStatus::Failed if self.course == Course::Forward => self.set_status(lane, LaneStatus::Ready),
            _ => {}
        }
    }

    fn rollback_requested(&mut self, lanes: &[LaneId]) -> Result<(), Illegal> {
        let wanted: Result<Vec<usize>, _> =
            lanes.iter().map(|id| self.require_lane(id).ok_or_else(|| Illegal::UnknownLane(id.clone()))).collect();
        let wanted = wanted?;
        self.finished = None;
        self.requested = true;
        if wanted.is_empty() {
            self.turn_back();
        }
        for lane in wanted {
            self.send_group_back(lane);
        }
        Ok(())
    }

    fn snapshot_in(&self, id: &SnapshotId, status: SnapshotStatus) -> Result<usize, Illegal> {
        let illegal = || Illegal::Snapshot(id.clone());
        let at = *self.snapshot_by_id.get(id).ok_or_else(illegal)?;
        if self.snapshots[at].status == status { Ok(at) } else { Err(illegal()) }
    }

    fn capture_started(&mut self, id: &SnapshotId) -> Result<(), Illegal> {
        let at = self.snapshot_in(id, SnapshotStatus::Waiting)?;
        self.snapshots_waiting.retain(|waiting| *waiting != at);
        self.snapshots[at].status = SnapshotStatus::Capturing;
        self.snapshots[at].touched = true;
        // An interrupted capture is given up by its id: an older record would name only what it replaces.
        self.snapshots[at].record = None;
        self.snapshots_under_way += 1;
        Ok(())
    }

    fn snapshot_failed(&mut self, id: &SnapshotId, failure: &Failure) -> Result<(), Illegal> {
        let at = self.snapshot_in(id, SnapshotStatus::Capturing).or_else(|_| {
            // Both halves of taking a snapshot end in the same failure.
            self.snapshot_in(id, SnapshotStatus::Proving)
        })?;
        self.snapshots[at].status = SnapshotStatus::Failed;
        self.snapshots[at].failure = Some(failure.clone());
        self.snapshots_under_way -= 1;
        // Proven once and lost since: a way back that relies on it is for a person to choose.
        if self.policy().on_failure == OnFailure::Hold && self.lanes.iter().any(LaneState::is_begun) {
            self.hold();
        } else {
            self.turn_back();
        }
        Ok(())
    }

    fn discard_started(&mut self, id: &SnapshotId) -> Result<(), Illegal> {
        let at = *self.snapshot_by_id.get(id).ok_or_else(|| Illegal::Snapshot(id.clone()))?;
        if !self.snapshots[at].touched || self.snapshots[at].status == SnapshotStatus::Discarding {
            return Err(Illegal::Snapshot(id.clone()));
        }
        self.snapshots[at].status = SnapshotStatus::Discarding;
        self.discards_under_way += 1;
        Ok(())
    }

    fn batch(&mut self, entry: &Entry) -> Result<(), Illegal> {
        let (Entry::BatchPaused { stage, batch, .. } | Entry::BatchReleased { stage, batch }) = entry else {
            return Err(Illegal::Batch);
        };
        let at = self.plan().stages.iter().position(|planned| planned.name == *stage).ok_or(Illegal::Batch)?;
        let next = usize::try_from(*batch).map_err(|_| Illegal::Batch)?;
        if at != self.stage || next != self.stages[at].released || next >= self.stages[at].batch_ends.len() {
            return Err(Illegal::Batch);
        }
        if matches!(entry, Entry::BatchPaused { .. }) {
            self.stages[at].paused = true;
        } else {
            self.release_batch(at);
        }
        Ok(())
    }

    /// The lane, if `step` is the one at hand in it and it is in one of `conditions`.
    fn at_hand(&self, lane: &LaneId, step: &StepName, conditions: &[Condition]) -> Result<usize, Illegal> {
        let at = self.require_lane(lane).ok_or_else(|| Illegal::UnknownLane(lane.clone()))?;
        let out_of_turn = |why| Illegal::OutOfTurn { lane: lane.clone(), step: step.clone(), why };
        if !self.is_at(at, step) {
            return Err(out_of_turn("another step is at hand"));
        }
        let state = &self.lanes[at];
        if conditions.contains(&state.steps[state.at].condition) {
            Ok(at)
        } else {
            Err(out_of_turn("the step is in another condition"))
        }
    }

    fn step(&mut self, lane: usize) -> &mut super::state::StepState {
        let state = &mut self.lanes[lane];
        &mut state.steps[state.at]
    }

    fn step_started(&mut self, lane: &LaneId, step: &StepName) -> Result<(), Illegal> {
        use Condition::{Failed, Unknown, Untouched};
        let at = self.at_hand(lane, step, &[Untouched, Failed, Unknown])?;
        // Older journals went on without proving again what had been proven once.
        let holds = |status| matches!(status, SnapshotStatus::Proven | SnapshotStatus::Captured);
        if self.snapshots_unproven > 0 && !self.snapshots.iter().all(|snapshot| holds(snapshot.status)) {
            let why = "a snapshot is not proven";
            return Err(Illegal::OutOfTurn { lane: lane.clone(), step: step.clone(), why });
        }
        let now = self.now;
        let step = self.step(at);
        step.started.get_or_insert(now);
        step.before = step.condition;
        step.condition = Condition::Applying;
        step.attempts += 1;
        step.tries.applied += 1;
        if self.lanes[at].status == LaneStatus::Ready {
            self.set_status(at, LaneStatus::Working);
        }
        self.set_under_way(at, true);
        Ok(())
    }

    fn step_withdrawn(&mut self, lane: &LaneId, step: &StepName) -> Result<(), Illegal> {
        let at = self.at_hand(lane, step, &[Condition::Applying])?;
        let step = self.step(at);
        step.condition = step.before;
        step.attempts -= 1;
        step.tries.applied = step.tries.applied.saturating_sub(1);
        if step.attempts == 0 {
            step.started = None;
        }
        self.set_under_way(at, false);
        if self.lanes[at].back {
            self.begin_return(at);
        } else {
            self.yield_place(at);
        }
        Ok(())
    }

    fn step_finished(&mut self, lane: &LaneId, step: &StepName, applied: &Applied) -> Result<(), Illegal> {
        let at = self.at_hand(lane, step, &[Condition::Applying])?;
        let step = self.step(at);
        step.change = Some(applied.change.clone());
        step.output = applied.output.clone();
        step.evidence = Some(applied.evidence.clone());
        self.step_done(at);
        Ok(())
    }

    fn step_done(&mut self, lane: usize) {
        let now = self.now;
        let step = self.step(lane);
        step.ended = Some(now);
        step.condition = Condition::Done;
        step.failure = None;
        self.set_under_way(lane, false);
        let state = &mut self.lanes[lane];
        if state.back {
            self.begin_return(lane);
        } else {
            state.at += 1;
            if state.at == state.steps.len() {
                self.set_status(lane, LaneStatus::Done);
                self.settled(lane);
            } else {
                self.yield_place(lane);
            }
        }
    }

    fn step_failed(&mut self, lane: &LaneId, step: &StepName, failure: &Failure) -> Result<(), Illegal> {
        let at = self.at_hand(lane, step, &[Condition::Applying])?;
        self.step(at).condition = Condition::Failed;
        self.fall_short(at, failure);
        Ok(())
    }

    /// A step is not done: it is tried again, or its lane fails.
    fn fall_short(&mut self, lane: usize, failure: &Failure) {
        self.step(lane).ended = Some(self.now);
        self.step(lane).failure = Some(failure.clone());
        self.set_under_way(lane, false);
        if self.lanes[lane].back {
            self.begin_return(lane);
            return;
        }
        let attempts = self.step_plan(lane).retry.attempts.max(1);
        let again = failure.kind == Kind::Transient && self.step(lane).tries.applied < attempts;
        if !again || self.course != Course::Forward {
            self.lane_failed(lane);
        }
    }

    fn step_unknown(&mut self, lane: &LaneId, step: &StepName, failure: &Failure) -> Result<(), Illegal> {
        let at = self.at_hand(lane, step, &[Condition::Applying])?;
        let step = self.step(at);
        step.condition = Condition::Unknown;
        step.failure = Some(failure.clone());
        step.in_doubt = true;
        self.set_under_way(at, false);
        if self.lanes[at].back {
            self.begin_return(at);
        }
        Ok(())
    }

    fn inspect_started(&mut self, lane: &LaneId, step: &StepName) -> Result<(), Illegal> {
        let at = self.at_hand(lane, step, &[Condition::Unknown])?;
        let step = self.step(at);
        step.condition = Condition::Inspecting;
        step.tries.inspected += 1;
        if self.lanes[at].status == LaneStatus::Ready {
            self.set_status(at, LaneStatus::Working);
        }
        self.set_under_way(at, true);
        Ok(())
    }

    fn inspected(&mut self, lane: &LaneId, step: &StepName, inspection: &Inspection) -> Result<(), Illegal> {
        let at = self.at_hand(lane, step, &[Condition::Inspecting])?;
        match inspection {
            Inspection::Settled { evidence, output } => {
                let step = self.step(at);
                step.change = Some(crate::phase::Change::Changed);
                step.output = output.clone();
                step.evidence = Some(evidence.clone());
                self.step_done(at);
            }
            Inspection::Pending { changes } => {
                let step = self.step(at);
                step.condition = Condition::Failed;
                step.tries.inspected = 0;
                let before = step.failure.take();
                let mut failure = before.unwrap_or_else(|| Failure::new(Kind::Transient, "the step was interrupted"));
                failure.kind = Kind::Transient;
                failure.state = Some(format!("looked at the target: still to do: {}", changes.join(", ")));
                self.fall_short(at, &failure);
            }
        }
        Ok(())
    }

    fn inspect_failed(&mut self, lane: &LaneId, step: &StepName, failure: &Failure) -> Result<(), Illegal> {
        let at = self.at_hand(lane, step, &[Condition::Inspecting])?;
        let attempts = self.step_plan(at).retry.attempts.max(1);
        let step = self.step(at);
        step.condition = Condition::Unknown;
        step.failure = Some(failure.clone());
        let spent = step.tries.inspected >= attempts;
        self.set_under_way(at, false);
        if self.lanes[at].back {
            self.begin_return(at);
        } else if spent {
            self.lane_failed(at);
        }
        Ok(())
    }

    fn undo_started(&mut self, lane: &LaneId, step: &StepName) -> Result<(), Illegal> {
        use Condition::{Done, Failed, UndoFailed, Unknown};
        let at = self.at_hand(lane, step, &[Done, Failed, Unknown, UndoFailed])?;
        if !self.lanes[at].back {
            let why = "the lane does not go back";
            return Err(Illegal::OutOfTurn { lane: lane.clone(), step: step.clone(), why });
        }
        let step = self.step(at);
        step.condition = Condition::Undoing;
        step.tries.undone += 1;
        self.set_status(at, LaneStatus::Returning);
        self.set_under_way(at, true);
        Ok(())
    }

    fn undo_finished(&mut self, lane: &LaneId, step: &StepName, evidence: &Evidence) -> Result<(), Illegal> {
        let at = self.at_hand(lane, step, &[Condition::Undoing])?;
        let step = self.step(at);
        step.condition = Condition::Undone;
        step.evidence = Some(evidence.clone());
        step.undo_failure = None;
        self.set_under_way(at, false);
        self.settle_return(at);
        Ok(())
    }

    fn undo_failed(&mut self, lane: &LaneId, step: &StepName, failure: &Failure) -> Result<(), Illegal> {
        let at = self.at_hand(lane, step, &[Condition::Undoing])?;
        let attempts = self.step_plan(at).retry.attempts.max(1);
        let step = self.step(at);
        step.condition = Condition::UndoFailed;
        step.undo_failure = Some(failure.clone());
        let again = matches!(failure.kind, Kind::Transient | Kind::UnknownOutcome) && step.tries.undone < attempts;
        self.set_under_way(at, false);
        if !again {
            self.stick(at);
        }
        Ok(())
    }

    /// A lane stays as it is. What is left of it is told for each step, with the command that finishes it. Where the step
    /// that it is stuck at is not to be undone by hand, neither is what lies before it: that was built to be undone after
    /// it, and would be taken away from under what still stands.
    fn stick(&mut self, lane: usize) {
        let at = self.lanes[lane].at;
        let told = self.lane_plan(lane).steps.get(at).map(|step| step.name.clone());
        let by_hand = self.lane_plan(lane).steps.get(at).and_then(|step| step.undo_by_hand.clone());
        let advice = self.lanes[lane].steps.get(at).and_then(|step| step.undo_failure.as_ref()?.next.clone());
        let by_hand = advice.is_none() || advice == by_hand;
        for ahead in (0..=at).rev() {
            let Some(planned) = self.lane_plan(lane).steps.get(ahead) else { continue };
            if planned.reversal == Reversal::Nothing || self.lanes[lane].steps[ahead].left_nothing() {
                continue;
            }
            let resume = || format!("`pleach resume {}`", self.run);
            let next = planned.undo_by_hand.clone().filter(|_| by_hand).unwrap_or_else(resume);
            let what = format!("did not take back step `{}`", planned.name);
            let because = told.as_ref().filter(|_| ahead < at);
            let because = because.map_or_else(
                || "what was built on it could not be taken back".to_owned(),
                |step| format!("step `{step}` behind it could not be taken back"),
            );
            let step = &mut self.lanes[lane].steps[ahead];
            let failure = step.undo_failure.get_or_insert_with(|| Failure::new(Kind::Conflict, what).because(because));
            failure.next.get_or_insert(next);
        }
        self.set_status(lane, LaneStatus::Stuck);
        self.back_settled(lane);
    }

    fn lane_failed(&mut self, lane: usize) {
        self.failures += 1;
        let budget = self.policy().failure_budget;
        let spent = self.failures > budget.unwrap_or(0);
        match (self.policy().on_failure, self.course) {
            (_, Course::Back) => self.turn_back(),
            (OnFailure::UnwindLane, _) => {
                self.send_group_back(lane);
                if spent && budget.is_some() && !self.frozen {
                    self.freeze();
                }
            }
            (_, Course::Hold) => self.set_status(lane, LaneStatus::Failed),
            (_, Course::Forward) if !spent => self.send_group_back(lane),
            (OnFailure::UnwindRun, Course::Forward) => self.turn_back(),
            (OnFailure::Hold, Course::Forward) => {
                self.set_status(lane, LaneStatus::Failed);
                self.hold();
            }
        }
    }

    fn hold(&mut self) {
        if self.course == Course::Forward {
            self.course = Course::Hold;
            for idle in self.idle.clone() {
                self.yield_place(idle);
            }
        }
    }

    /// A lane that may not go on gives its place up: one that goes back may need it.
    fn yield_place(&mut self, lane: usize) {
        let state = &self.lanes[lane];
        let may_start = matches!(state.steps[state.at].condition, Condition::Untouched | Condition::Failed);
        if self.course == Course::Hold && state.status == LaneStatus::Working && may_start {
            self.set_status(lane, LaneStatus::Ready);
        }
    }

    /// The whole run goes back.
    fn turn_back(&mut self) {
        if self.course == Course::Back {
            return;
        }
        self.course = Course::Back;
        for lane in 0..self.lanes.len() {
            self.send_back(lane);
        }
        self.back_stage = self.stages.len();
    }

    /// One service goes back on one target, over all stages.
    fn send_group_back(&mut self, lane: usize) {
        for other in self.groups[self.lanes[lane].group].clone() {
            self.send_back(other);
        }
        self.offer_returns(lane);
    }

    fn send_back(&mut self, lane: usize) {
        let state = &self.lanes[lane];
        let (stage, batch, status) = (state.stage, state.batch, state.status);
        let newly = !std::mem::replace(&mut self.lanes[lane].back, true);
        match status {
            LaneStatus::Waiting | LaneStatus::Ready if !self.lanes[lane].is_begun() => {
                self.set_status(lane, LaneStatus::Skipped);
                if batch < self.stages[stage].released {
                    self.stages[stage].open -= 1;
                }
            }
            LaneStatus::Working if newly => {
                self.going_back[stage] += 1;
                if !self.lanes[lane].under_way {
                    self.begin_return(lane);
                }
            }
            LaneStatus::Failed | LaneStatus::Ready if newly => {
                self.going_back[stage] += 1;
                self.set_status(lane, LaneStatus::GoingBack);
            }
            LaneStatus::Done if newly => {
                self.going_back[stage] += 1;
                self.stages[stage].open += 1;
                // The step at hand is now the last one.
                self.lanes[lane].at = self.lanes[lane].steps.len().saturating_sub(1);
                self.set_status(lane, LaneStatus::GoingBack);
            }
            _ => {}
        }
    }

    fn begin_return(&mut self, lane: usize) {
        self.set_status(lane, LaneStatus::Returning);
        self.settle_return(lane);
    }

    /// Passes over steps that left nothing; settles the lane when none is left.
    fn settle_return(&mut self, lane: usize) {
        loop {
            let state = &self.lanes[lane];
            let Some(step) = state.steps.get(state.at) else { return self.taken_back(lane) };
            let planned = &self.lane_plan(lane).steps[state.at];
            let touched = !step.left_nothing();
            if touched && planned.reversal == Reversal::ForwardOnly {
                let failure = Failure::new(Kind::Unsupported, format!("could not take back step `{}`", planned.name))
                    .because("it goes forward only, as the plan said")
                    .state("the step's changes are still there");
                self.step(lane).undo_failure = Some(failure);
                self.step(lane).condition = Condition::UndoFailed;
                return self.stick(lane);
            }
            if touched && planned.reversal != Reversal::Nothing {
                return;
            }
            let state = &mut self.lanes[lane];
            if state.steps[state.at].condition != Condition::Untouched {
                state.steps[state.at].condition = Condition::Undone;
            }
            if state.at == 0 {
                return self.taken_back(lane);
            }
            state.at -= 1;
        }
    }

    fn taken_back(&mut self, lane: usize) {
        self.set_status(lane, LaneStatus::TakenBack);
        self.back_settled(lane);
    }

    fn back_settled(&mut self, lane: usize) {
        self.going_back[self.lanes[lane].stage] -= 1;
        self.settled(lane);
        self.offer_returns(lane);
    }

    /// A lane of a released batch is settled.
    fn settled(&mut self, lane: usize) {
        self.stages[self.lanes[lane].stage].open -= 1;
    }

    /// Lets the lanes of the same service and target that wait behind `lane` take their turn.
    fn offer_returns(&mut self, lane: usize) {
        if self.course == Course::Back {
            return;
        }
        for other in self.groups[self.lanes[lane].group].clone().into_iter().rev() {
            match self.lanes[other].status {
                LaneStatus::GoingBack => return self.enter_return_in_turn(other),
                LaneStatus::Returning | LaneStatus::Working | LaneStatus::Failed => return,
                _ => {}
            }
        }
    }

    fn release_batch(&mut self, stage: usize) {
        let state = &mut self.stages[stage];
        let first = state.released.checked_sub(1).map_or(state.lanes.start, |before| state.batch_ends[before]);
        let lanes = first..state.batch_ends[state.released];
        state.released += 1;
        state.paused = false;
        state.open += lanes.clone().filter(|lane| self.lanes[*lane].status == LaneStatus::Waiting).count();
        for lane in lanes {
            if self.lanes[lane].status == LaneStatus::Waiting {
                if self.lanes[lane].steps.is_empty() {
                    self.set_status(lane, LaneStatus::Done);
                    self.settled(lane);
                } else {
                    self.set_status(lane, LaneStatus::Ready);
                }
            }
        }
    }

    /// What follows from the entries so far without a choice: the next stage opens, lanes get their turn to go back.
    pub(super) fn advance(&mut self) {
        if self.course == Course::Forward {
            while let Some(stage) = self.stages.get(self.stage) {
                if stage.released == 0 && !stage.batch_ends.is_empty() && self.settled_before(self.stage) {
                    self.release_batch(self.stage);
                }
                let stage = &self.stages[self.stage];
                let last = self.stage + 1 == self.stages.len();
                if stage.released < stage.batch_ends.len() || stage.open > 0 || last {
                    break;
                }
                self.stage += 1;
            }
        }
        if self.course == Course::Back {
            // Later stages are taken back before earlier ones.
            while self.back_stage > 0 && self.going_back.get(self.back_stage).is_none_or(|lanes| *lanes == 0) {
                self.back_stage -= 1;
                for lane in self.stages[self.back_stage].lanes.clone() {
                    if self.lanes[lane].status == LaneStatus::GoingBack {
                        self.enter_return_in_turn(lane);
                    }
                }
            }
        }
    }

    /// Takes a lane's turn unless a later lane of the same service and target is stuck: what lies before was built to be
    /// undone after it.
    fn enter_return_in_turn(&mut self, lane: usize) {
        let group = &self.groups[self.lanes[lane].group];
        let stuck_behind = group.iter().any(|other| *other > lane && self.lanes[*other].status == LaneStatus::Stuck);
        self.settle_return(lane);
        if self.lanes[lane].status == LaneStatus::GoingBack {
            if stuck_behind { self.stick(lane) } else { self.queue_return(lane) }
        }
    }

    fn settled_before(&self, stage: usize) -> bool {
        self.stages[..stage].iter().all(|before| before.open == 0)
    }

    /// Services that have not begun on a target will not; those that have go on through all stages.
    fn freeze(&mut self) {
        self.frozen = true;
        let unstarted = |status| matches!(status, LaneStatus::Waiting | LaneStatus::Ready | LaneStatus::Skipped);
        for group in self.groups.clone() {
            if group.iter().all(|lane| unstarted(self.lanes[*lane].status)) {
                for lane in group {
                    self.send_back(lane);
                }
            }
        }
    }
}
