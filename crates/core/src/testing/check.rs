//! What a call to a scripted target must keep to: the checks of the moment.

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::memory::MemoryLeases;
use super::world::{
    BEFORE, Doing, Effect, HALF_DONE, Inner, LIMITS, LaneWorld, ONE_HAND, ORDER, StepWorld, UNKNOWN, Violation,
    WAY_BACK,
};
use crate::error::{Failure, Kind};
use crate::phase::{Reversal, StepContext};
use crate::plan::Limits;
use crate::port::FencingToken;
use crate::snapshot::{SnapshotContext, SnapshotRecord};
use crate::word::{SnapshotId, TargetName};

impl Inner {
    pub(super) fn note(&mut self, law: &'static str, what: impl Into<String>) {
        self.violations.push(Violation { law, what: what.into() });
    }

    pub(super) fn find(&self, lane: &str, step: &str) -> (usize, usize) {
        let at = *self.by_id.get(lane).unwrap_or_else(|| panic!("the plan has no lane `{lane}`"));
        let planned = self.lane_plan(at);
        let step = planned.steps.iter().position(|planned| planned.name.as_str() == step);
        (at, step.unwrap_or_else(|| panic!("lane `{lane}` has no such step")))
    }

    pub(super) fn lane_plan(&self, lane: usize) -> &crate::plan::Lane {
        &self.approved.plan().stages[self.lanes[lane].stage].lanes[self.lanes[lane].place]
    }

    pub(super) fn reversal(&self, lane: usize, step: usize) -> &Reversal {
        &self.lane_plan(lane).steps[step].reversal
    }

    pub(super) fn limits(&self) -> Limits {
        self.approved.plan().policy.limits
    }

    pub(super) fn find_snapshot(&self, id: &SnapshotId) -> usize {
        let planned = self.approved.plan().snapshots.iter().position(|planned| planned.id == *id);
        planned.unwrap_or_else(|| panic!("the plan has no snapshot `{id}`"))
    }

    pub(super) fn restored_by(&self, id: &SnapshotId) -> Option<(usize, usize)> {
        (0..self.lanes.len()).find_map(|lane| {
            let steps = &self.lane_plan(lane).steps;
            let names =
                |reversal: &Reversal| matches!(reversal, Reversal::Restore { snapshots } if snapshots.contains(id));
            steps.iter().position(|step| names(&step.reversal)).map(|step| (lane, step))
        })
    }

    /// Lets a change in, if it comes under a lease that the target honours.
    pub(super) fn admit(
        &mut self,
        target: &TargetName,
        token: FencingToken,
        leases: &MemoryLeases,
    ) -> Result<(), Failure> {
        if self.fenced.get(target).is_some_and(|seen| token < *seen) {
            self.refused += 1;
            return Err(stale(target));
        }
        if let Err(why) = leases.check(target, token) {
            self.note(ONE_HAND, format!("`{target}` was changed though {why}"));
        }
        if self.fenced.get(target) != Some(&token) {
            self.note(ONE_HAND, format!("`{target}` was changed before it was told the token"));
        }
        if self.broken {
            self.note(BEFORE, format!("`{target}` was changed after the journal broke"));
        }
        Ok(())
    }

    pub(super) fn begin_call(&mut self, lane: usize) {
        self.lanes[lane].calls += 1;
        if self.lanes[lane].calls > 1 {
            self.note(ONE_HAND, format!("two calls at once in `{}`", self.lane_plan(lane).id));
        }
        let limits = self.limits();
        let target = &self.lanes[lane].target;
        let at_work = self.lanes.iter().filter(|lane| lane.calls > 0);
        let (mut all, mut here) = (0, 0);
        for other in at_work {
            all += 1;
            here += usize::from(other.target == *target);
        }
        self.most = self.most.max(all);
        if all > count(limits.parallel) || here > count(limits.per_target) {
            self.note(LIMITS, format!("{all} lanes at work, {here} of them on `{}`", self.lanes[lane].target));
        }
    }

    pub(super) fn check_apply(&mut self, lane: usize, step: usize, cx: &StepContext<'_>) {
        if !self.view.is_applying(lane, step, cx.attempt) {
            self.note(BEFORE, format!("`{}` in `{}` was applied without an entry", cx.step, cx.lane));
        }
        if !self.snapshots.iter().all(|snapshot| snapshot.proven) {
            self.note(WAY_BACK, format!("`{}` was applied before all snapshots were proven", cx.step));
        }
        let world = &mut self.lanes[lane].steps[step];
        let key = world.key.get_or_insert_with(|| cx.key.clone());
        if key != cx.key {
            self.note(UNKNOWN, format!("`{}` got another idempotency key", cx.step));
        }
        let elsewhere = self.lanes.iter().flat_map(|lane| &lane.steps).filter(|step| step.key.as_ref() == Some(cx.key));
        if elsewhere.count() > 1 {
            self.note(UNKNOWN, format!("two steps share the key of `{}`", cx.step));
        }
        for before in 0..step {
            let name = self.lane_plan(lane).steps[before].name.clone();
            if !self.lanes[lane].steps[before].satisfied() {
                self.note(ORDER, format!("`{}` in `{}` was applied before `{name}` was", cx.step, cx.lane));
            }
            if cx.outputs.get(&name) != self.view.output(lane, before).as_ref() {
                self.note(ORDER, format!("`{}` in `{}` did not get what `{name}` gave", cx.step, cx.lane));
            }
        }
        if step == 0 && cx.attempt == 1 {
            self.check_turn(lane);
            self.check_rate();
        }
    }

    /// All lanes of earlier stages and batches are settled.
    pub(super) fn check_turn(&mut self, lane: usize) {
        let mine = (self.lanes[lane].stage, self.lanes[lane].batch);
        // A stage that has begun goes on while a service that failed in it goes back through earlier stages.
        let begun = |other: &LaneWorld| other.steps.iter().any(|step| step.applies > 0);
        let opened = self.lanes.iter().any(|other| other.stage == mine.0 && begun(other));
        let leaves = |other: &LaneWorld| opened && other.stage < mine.0 && self.view.group_goes_back(other.group);
        let unsettled = (0..self.lanes.len()).find(|other| {
            let earlier = &self.lanes[*other];
            (earlier.stage, earlier.batch) < mine && !self.is_settled(*other) && !leaves(earlier)
        });
        if let Some(other) = unsettled {
            let (id, other) = (self.lane_plan(lane).id.clone(), self.lane_plan(other).id.clone());
            self.note(ORDER, format!("`{id}` started before `{other}` was settled"));
        }
    }

    pub(super) fn is_settled(&self, lane: usize) -> bool {
        let world = &self.lanes[lane];
        let all_done = world.steps.iter().all(StepWorld::satisfied);
        self.cannot_go_back(world.group) || (world.calls == 0 && (all_done || self.is_bare(lane)))
    }

    /// Whether something of a service that goes back stays on its target.
    pub(super) fn cannot_go_back(&self, group: usize) -> bool {
        let forward_only = |lane: usize, step: usize| {
            self.view.was_begun(lane, step) && *self.reversal(lane, step) == Reversal::ForwardOnly
        };
        let stays = |lane: usize| (0..self.lanes[lane].steps.len()).any(|step| forward_only(lane, step));
        let mut lanes = (0..self.lanes.len()).filter(|lane| self.lanes[*lane].group == group);
        self.view.group_goes_back(group) && lanes.any(|lane| self.view.was_stuck(lane) || stays(lane))
    }

    pub(super) fn is_bare(&self, lane: usize) -> bool {
        (0..self.lanes[lane].steps.len()).all(|step| !self.has_lasting_effect(lane, step))
    }

    pub(super) fn has_lasting_effect(&self, lane: usize, step: usize) -> bool {
        self.lanes[lane].steps[step].effect != Effect::None && *self.reversal(lane, step) != Reversal::Nothing
    }

    pub(super) fn check_rate(&mut self) {
        let Some(rate) = self.limits().starts_per_second else { return };
        let now = Instant::now();
        // Timers have a grain of a millisecond.
        let gap = Duration::from_secs_f64(1.0 / rate).saturating_sub(Duration::from_millis(2));
        if self.last_start.is_some_and(|last| now < last + gap) {
            self.note(LIMITS, format!("more than {rate} lanes started in a second"));
        }
        self.last_start = Some(now);
    }

    pub(super) fn check_undo(&mut self, lane: usize, step: usize) {
        let name = format!("`{}` in `{}`", self.lane_plan(lane).steps[step].name, self.lane_plan(lane).id);
        if !self.view.is_undoing(lane, step) {
            self.note(BEFORE, format!("{name} was undone without an entry"));
        }
        let world = &self.lanes[lane].steps[step];
        if world.script.already_there && world.applies <= 1 && !world.in_doubt && self.view.output(lane, step).is_some()
        {
            self.note(HALF_DONE, format!("{name} was undone though it had changed nothing"));
        }
        let group = self.lanes[lane].group;
        let behind = (step + 1..self.lanes[lane].steps.len()).map(|later| (lane, later));
        let later_lanes = (lane + 1..self.lanes.len()).filter(|other| self.lanes[*other].group == group);
        let later = later_lanes.flat_map(|other| (0..self.lanes[other].steps.len()).map(move |step| (other, step)));
        if let Some((other, left)) = behind.chain(later).find(|(lane, step)| self.has_lasting_effect(*lane, *step)) {
            let left = &self.lane_plan(other).steps[left].name;
            self.note(ORDER, format!("{name} was undone while `{left}` behind it is still applied"));
        }
    }

    pub(super) fn check_snapshot(&mut self, at: usize, cx: &SnapshotContext<'_>, doing: Doing<'_>) {
        let changed = (0..self.lanes.len()).any(|lane| !self.is_bare(lane));
        match doing {
            Doing::Capture => {
                if !self.view.is_capturing(at) {
                    self.note(BEFORE, format!("`{}` was captured without an entry", cx.id));
                }
                if changed {
                    self.note(WAY_BACK, format!("`{}` was captured after a change", cx.id));
                }
                let snapshot = &mut self.snapshots[at];
                snapshot.captures += 1;
                (snapshot.captured, snapshot.proven) = (None, false);
            }
            Doing::Prove(record) => {
                if self.snapshots[at].captured.as_ref() != Some(record) {
                    self.note(WAY_BACK, format!("`{}` was proven by another record", cx.id));
                }
                if !self.view.is_captured(at) {
                    self.note(BEFORE, format!("`{}` was proven before its record was durable", cx.id));
                }
                self.snapshots[at].proofs += 1;
            }
            Doing::Discard(record) => {
                if !self.view.is_discarding(at) {
                    self.note(BEFORE, format!("`{}` was discarded without an entry", cx.id));
                }
                if changed {
                    self.note(WAY_BACK, format!("`{}` was discarded while a change is still there", cx.id));
                }
                let known = self.view.record(at);
                if *record != known.clone().unwrap_or(Value::Null) {
                    self.note(WAY_BACK, format!("`{}` was discarded as {record}, not {known:?}", cx.id));
                }
                self.snapshots[at].discards += 1;
                (self.snapshots[at].captured, self.snapshots[at].proven) = (None, false);
            }
        }
    }

    /// What a capture leaves behind.
    pub(super) fn capture(&mut self, at: usize) -> SnapshotRecord {
        let record = json!({ "capture": self.snapshots[at].captures });
        self.snapshots[at].captured = Some(record.clone());
        record
    }
}

pub(super) fn stale(target: &TargetName) -> Failure {
    Failure::new(Kind::Conflict, format!("target `{target}` refused a change under an old lease"))
}

pub(super) fn count(limit: u32) -> usize {
    usize::try_from(limit.max(1)).unwrap_or(usize::MAX)
}
