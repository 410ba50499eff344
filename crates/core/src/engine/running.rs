//! One run in this process: decide, write, begin, wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::decide::{Action, decide};
use super::drive::{CancelRequest, Engine, JOURNAL, RunError, RunTargets, Stop, within_limit};
use super::pace::Pace;
use super::state::{Course, SnapshotStatus, State};
use super::work::{SnapshotWork, StepWork};
use crate::error::{Failure, Kind};
use crate::event::Event;
use crate::journal::{Cancel, Entry, Record};
use crate::port::Journal;
use crate::word::{LaneId, SnapshotId, StageName, StepName};

/// What a task is doing: tells the entry in its place when it was ended or panicked.
#[derive(Clone)]
enum Doing {
    /// With whether the phase was called: an attempt that still waits for its turn can be withdrawn.
    Apply(LaneId, StepName, Arc<AtomicBool>),
    Inspect(LaneId, StepName),
    Undo(LaneId, StepName),
    Secure(SnapshotId),
    Discard(SnapshotId),
    Pause(StageName, u32),
}

impl Doing {
    fn cut_short(self, failure: Failure) -> Entry {
        match self {
            Self::Apply(lane, step, called) if !called.load(Ordering::SeqCst) => Entry::StepWithdrawn { lane, step },
            Self::Apply(lane, step, _) => Entry::StepUnknown { lane, step, failure },
            Self::Inspect(lane, step) => Entry::InspectFailed { lane, step, failure },
            Self::Undo(lane, step) => Entry::UndoFailed { lane, step, failure },
            Self::Secure(snapshot) => Entry::SnapshotFailed { snapshot, failure },
            Self::Discard(snapshot) => Entry::Discarded { snapshot, failure: Some(failure) },
            Self::Pause(stage, batch) => Entry::BatchReleased { stage, batch },
        }
    }
}

/// One run in this process.
pub(super) struct Running<'a> {
    engine: &'a Engine,
    pub(super) state: State,
    journal: Arc<dyn Journal>,
    targets: &'a RunTargets,
    pace: Arc<Pace>,
    /// Asks steps to stop at a safe point.
    gentle: CancellationToken,
    /// Set once no further attempt may begin.
    closed: CancellationToken,
    /// Goes along with undos, which nobody can ask to stop.
    firm: CancellationToken,
    tasks: &'a mut JoinSet<Entry>,
    doing: HashMap<Id, (Doing, AbortHandle)>,
    /// Taken into the state, not yet durable.
    unwritten: Vec<Record>,
    /// Announced, not yet begun.
    begun: Vec<Action>,
    /// Captured, not yet being proven.
    unproven: Vec<(SnapshotId, serde_json::Value)>,
}

impl<'a> Running<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        state: State,
        journal: Arc<dyn Journal>,
        targets: &'a RunTargets,
        tasks: &'a mut JoinSet<Entry>,
    ) -> Self {
        Self {
            engine,
            journal,
            targets,
            pace: Arc::new(Pace::new(state.policy().limits.starts_per_second)),
            gentle: CancellationToken::new(),
            closed: CancellationToken::new(),
            firm: CancellationToken::new(),
            tasks,
            doing: HashMap::new(),
            unwritten: Vec::new(),
            begun: Vec::new(),
            unproven: Vec::new(),
            state,
        }
    }

    pub(super) async fn until_the_end(
        &mut self,
        entries: Vec<Entry>,
        mut stop: Stop,
        troubles: &mut mpsc::UnboundedReceiver<Failure>,
    ) -> Result<(), RunError> {
        self.start(entries)?;
        loop {
            // Before anything new begins; what is announced already is begun, so that a later request finds it.
            if let Ok(request) = stop.try_recv() {
                self.write().await?;
                self.begin();
                self.stop(request)?;
                continue;
            }
            self.decide()?;
            self.write().await?;
            self.begin();
            if self.state.outcome().is_some() {
                return Ok(());
            }
            if self.tasks.is_empty() {
                let failure = Failure::new(Kind::Internal, format!("run `{}` came to a stand", self.state.run()));
                return Err(self.unfinished(failure.because("nothing is under way and nothing was decided")));
            }
            tokio::select! {
                biased;
                Some(failure) = troubles.recv() => return Err(self.unfinished(failure)),
                Some(request) = stop.recv() => self.stop(request)?,
                Some(joined) = self.tasks.join_next_with_id() => {
                    let ends = self.collect(joined);
                    self.require_leases(&ends).await?;
                    ends.into_iter().try_for_each(|end| self.take_end(end))?;
                }
            }
        }
    }

    fn start(&mut self, entries: Vec<Entry>) -> Result<(), RunError> {
        for entry in entries {
            if matches!(entry, Entry::RunStarted { .. }) {
                self.unwritten.push(Record { at: self.state.started(), entry });
            } else {
                self.take(entry)?;
            }
        }
        Ok(())
    }

    /// Takes an entry into the state; it is written before anything else begins.
    fn take(&mut self, entry: Entry) -> Result<(), RunError> {
        let record = Record { at: self.engine.clock.now(), entry };
        self.state.apply(&record).map_err(|illegal| self.unfinished(illegal.into()))?;
        self.unwritten.push(record);
        Ok(())
    }

    fn decide(&mut self) -> Result<(), RunError> {
        // Not before all entries of the start are in: a held run that is resumed goes forward again.
        if self.state.course() != Course::Forward {
            self.closed.cancel();
        }
        if self.state.course() == Course::Back {
            self.gentle.cancel();
        }
        loop {
            let actions = decide(&self.state);
            if actions.is_empty() {
                return Ok(());
            }
            for action in actions {
                let entry = action.announce(&self.state);
                self.take(entry)?;
                self.begun.push(action);
            }
        }
    }

    /// One write for all that happened since the last one: lanes that end together share it.
    async fn write(&mut self) -> Result<(), RunError> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let records = std::mem::take(&mut self.unwritten);
        let written = within_limit(JOURNAL, self.journal.append(records.clone())).await;
        written.map_err(|failure| self.unfinished(failure))?;
        for record in records {
            self.engine.events.emit(Event::Entry { run: self.state.run().clone(), record });
        }
        Ok(())
    }

    fn begin(&mut self) {
        for (snapshot, record) in std::mem::take(&mut self.unproven) {
            self.prove(&snapshot, record);
        }
        for action in std::mem::take(&mut self.begun) {
            self.begin_one(&action);
        }
    }

    fn begin_one(&mut self, action: &Action) {
        match action {
            Action::Apply { lane, attempt, delay } => {
                let Some(work) = self.step_work(*lane, *attempt, *delay, self.gentle.clone()) else { return };
                let (lane, step) = self.name_step(*lane);
                self.spawn(Doing::Apply(lane, step, work.called.clone()), work.apply());
            }
            Action::Inspect { lane, delay } => {
                let attempt = self.state.lanes[*lane].steps[self.state.lanes[*lane].at].attempts;
                let Some(work) = self.step_work(*lane, attempt, *delay, self.gentle.clone()) else { return };
                let (lane, step) = self.name_step(*lane);
                self.spawn(Doing::Inspect(lane, step), work.inspect());
            }
            Action::Undo { lane, attempt, delay } => {
                let Some(work) = self.step_work(*lane, *attempt, *delay, self.firm.clone()) else { return };
                let (lane, step) = self.name_step(*lane);
                self.spawn(Doing::Undo(lane, step), work.undo());
            }
            Action::Secure { snapshot } => {
                let kept = self.state.snapshots[*snapshot].record.clone();
                if let (SnapshotStatus::Proving, Some(record)) = (self.state.snapshots[*snapshot].status, kept) {
                    let id = self.state.plan().snapshots[*snapshot].id.clone();
                    return self.prove(&id, record);
                }
                let Some(work) = self.snapshot_work(*snapshot, self.gentle.clone()) else { return };
                let id = self.state.plan().snapshots[*snapshot].id.clone();
                self.spawn(Doing::Secure(id), async move { work.capture().await });
            }
            Action::Discard { snapshot } => {
                let Some(work) = self.snapshot_work(*snapshot, self.firm.clone()) else { return };
                let id = self.state.plan().snapshots[*snapshot].id.clone();
                self.spawn(Doing::Discard(id), work.discard());
            }
            Action::Pause { stage, batch, pause } => {
                let stage = self.state.plan().stages[*stage].name.clone();
                let batch = u32::try_from(*batch).unwrap_or(u32::MAX);
                let (pause, cancel, released) = (*pause, self.gentle.clone(), stage.clone());
                self.spawn(Doing::Pause(stage, batch), async move {
                    tokio::select! { () = sleep(pause) => {}, () = cancel.cancelled() => {} }
                    Entry::BatchReleased { stage: released, batch }
                });
            }
            Action::Release { .. } | Action::Finish { .. } => {}
        }
    }

    fn prove(&mut self, id: &SnapshotId, record: serde_json::Value) {
        let at = self.state.plan().snapshots.iter().position(|planned| planned.id == *id);
        let Some(work) = at.and_then(|at| self.snapshot_work(at, self.gentle.clone())) else { return };
        self.spawn(Doing::Secure(id.clone()), async move { work.prove(&record).await });
    }

    fn spawn(&mut self, doing: Doing, work: impl Future<Output = Entry> + Send + 'static) {
        let handle = self.tasks.spawn(work);
        self.doing.insert(handle.id(), (doing, handle));
    }

    fn name_step(&self, lane: usize) -> (LaneId, StepName) {
        (self.state.lane_plan(lane).id.clone(), self.state.step_plan(lane).name.clone())
    }

    fn step_work(&self, lane: usize, attempt: u32, delay: Duration, cancel: CancellationToken) -> Option<StepWork> {
        let state = &self.state.lanes[lane];
        let target = self.targets.get(&self.state.lane_plan(lane).target)?;
        Some(StepWork {
            run: self.state.run().clone(),
            approved: self.state.approved().clone(),
            stage: state.stage,
            place: state.place,
            at: state.at,
            attempt,
            delay,
            first_of_lane: state.at == 0 && attempt == 1,
            outputs: self.state.outputs(lane),
            leftover: state.steps[state.at].leftover(),
            restore_point: self.state.restore_points[state.target].clone(),
            token: self.state.token_of(state.target),
            target: target.clone(),
            registry: self.engine.registry.clone(),
            events: self.engine.events.clone(),
            cancel,
            closed: self.closed.clone(),
            called: Arc::default(),
            pace: self.pace.clone(),
        })
    }

    fn snapshot_work(&self, at: usize, cancel: CancellationToken) -> Option<SnapshotWork> {
        let token = self.state.token_of(self.state.snapshots[at].target);
        SnapshotWork::of(&self.state, at, token, self.targets, &self.engine.registry, &self.engine.events, cancel)
    }

    /// What ended, and all else that has ended meanwhile.
    fn collect(&mut self, joined: Result<(Id, Entry), JoinError>) -> Vec<Entry> {
        let mut ends = Vec::new();
        let mut next = Some(joined);
        while let Some(joined) = next {
            match joined {
                Ok((id, entry)) => {
                    self.doing.remove(&id);
                    ends.push(entry);
                }
                Err(error) => {
                    let doing = self.doing.remove(&error.id());
                    ends.extend(doing.map(|(doing, _)| doing.cut_short(why_cut_short(error))));
                }
            }
            next = self.tasks.try_join_next_with_id();
        }
        ends
    }

    /// A target that refuses because of a conflict may do so because the lease has passed on. Then that is no outcome of
    /// the step, and nothing may be taken back either: the run stops here.
    async fn require_leases(&self, ends: &[Entry]) -> Result<(), RunError> {
        let refused = |entry: &Entry| match entry {
            Entry::StepFailed { failure, .. }
            | Entry::InspectFailed { failure, .. }
            | Entry::UndoFailed { failure, .. }
            | Entry::SnapshotFailed { failure, .. }
            | Entry::Discarded { failure: Some(failure), .. } => failure.kind == Kind::Conflict,
            _ => false,
        };
        if ends.iter().any(refused) {
            let held = self.state.leases.iter().flatten();
            self.engine.require_held(held).await.map_err(|failure| self.unfinished(failure))?;
        }
        Ok(())
    }

    fn take_end(&mut self, entry: Entry) -> Result<(), RunError> {
        // A batch that was about to start when the run turned back is not released any more.
        if matches!(entry, Entry::BatchReleased { .. }) && self.state.course() != Course::Forward {
            return Ok(());
        }
        let captured = match &entry {
            Entry::Captured { snapshot, record } => Some((snapshot.clone(), record.clone())),
            _ => None,
        };
        self.take(entry)?;
        self.unproven.extend(captured);
        Ok(())
    }

    fn stop(&mut self, request: CancelRequest) -> Result<(), RunError> {
        let (how, by) = match request {
            CancelRequest::Gently(by) => (Cancel::Gently, by),
            CancelRequest::AtOnce(by) => (Cancel::AtOnce, by),
            CancelRequest::Leave => {
                let failure = Failure::new(Kind::Cancelled, format!("left run `{}`", self.state.run()));
                return Err(self.unfinished(failure.because("it was asked to stop at once")));
            }
        };
        self.take(Entry::Cancelled { how, by })?;
        if how == Cancel::AtOnce {
            self.end_forward_work();
        }
        Ok(())
    }

    /// Ends all tasks but those that take something back; each is collected as cut short.
    fn end_forward_work(&mut self) {
        let forward = |doing: &Doing| matches!(doing, Doing::Apply(..) | Doing::Inspect(..) | Doing::Secure(..));
        self.doing.values().filter(|(doing, _)| forward(doing)).for_each(|(_, task)| task.abort());
    }

    fn unfinished(&self, mut failure: Failure) -> RunError {
        let run = self.state.run();
        failure
            .state
            .get_or_insert_with(|| format!("run `{run}` stopped before its end; its journal tells how far it came"));
        failure.next = Some(format!("`pleach resume {run}`"));
        RunError::Unfinished(failure)
    }
}

fn why_cut_short(error: JoinError) -> Failure {
    if error.is_cancelled() {
        return Failure::new(Kind::UnknownOutcome, "it was ended in the middle")
            .because("the run was asked to stop at once");
    }
    let payload = error.into_panic();
    let message = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    Failure::new(Kind::Internal, "an adapter broke down").because(message).next("report this as a defect of Pleach")
}
