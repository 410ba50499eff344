//! Carrying out one action: the only place where phases and snapshots are called.
//!
//! Each function ends in the entry that tells its end. Time limits are set here and nowhere below.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::drive::RunTargets;
use super::pace::Pace;
use super::state::State;
use crate::error::{Failure, Kind};
use crate::event::{Event, Events};
use crate::journal::Entry;
use crate::period::Period;
use crate::phase::{Evidence, IdempotencyKey, Inspection, Leftover, Outputs, Phase, StepContext};
use crate::plan::{ApprovedPlan, Lane, Step};
use crate::port::{FencingToken, LineSink, Stream};
use crate::registry::Registry;
use crate::snapshot::{RestorePoint, Snapshot, SnapshotContext};
use crate::target::Target;
use crate::word::{LaneId, RunId, SnapshotId, StepName};

/// What was captured in its time limit may take so many times as long to be put back: what stands in its place is read and kept
/// first, and what was put back is read again.
const RESTORE_TIMES: u32 = 4;

/// What one step's work needs, owned, so that it can run as a task.
pub(super) struct StepWork {
    pub(super) run: RunId,
    pub(super) approved: Arc<ApprovedPlan>,
    pub(super) stage: usize,
    pub(super) place: usize,
    pub(super) at: usize,
    pub(super) attempt: u32,
    pub(super) delay: Duration,
    pub(super) first_of_lane: bool,
    pub(super) outputs: Outputs,
    pub(super) leftover: Leftover,
    pub(super) restore_point: Arc<RestorePoint>,
    pub(super) token: FencingToken,
    pub(super) target: Arc<dyn Target>,
    pub(super) registry: Arc<Registry>,
    pub(super) events: Arc<dyn Events>,
    pub(super) cancel: CancellationToken,
    /// Set once no further attempt may begin.
    pub(super) closed: CancellationToken,
    /// Set once the phase is called.
    pub(super) called: Arc<AtomicBool>,
    pub(super) pace: Arc<Pace>,
}

impl StepWork {
    fn lane(&self) -> &Lane {
        &self.approved.plan().stages[self.stage].lanes[self.place]
    }

    fn step(&self) -> &Step {
        &self.lane().steps[self.at]
    }

    /// Tells an entry about this step.
    fn tell(&self, entry: impl FnOnce(LaneId, StepName) -> Entry) -> Entry {
        entry(self.lane().id.clone(), self.step().name.clone())
    }

    fn doing(&self, verb: &str) -> String {
        let lane = self.lane();
        format!("could not {verb} step `{}` of `{}` on `{}`", self.step().name, lane.service, lane.target)
    }

    /// Calls a phase within the step's time limit.
    async fn call<'a, T, F, W>(&'a self, verb: &str, work: W) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>> + 'a,
        W: FnOnce(Arc<dyn Phase>, StepParts) -> F,
    {
        let lane = self.lane();
        let step = self.step();
        let phase = self.registry.require_phase(&step.phase)?.clone();
        let limit = step.time_limit.0;
        let parts = StepParts {
            lines: Lines { events: self.events.clone(), lane: lane.id.clone(), step: step.name.clone() },
            key: IdempotencyKey(format!("{}/{}/{}", self.approved.id(), lane.id, step.name)),
            deadline: Instant::now() + limit,
        };
        match timeout(limit, work(phase, parts)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(Kind::UnknownOutcome, self.doing(verb))
                .because(format!("it was not done within its time limit of {}", step.time_limit))
                .state("unknown until the target is looked at")
                .next("raise the time limit if this step needs longer")),
        }
    }

    fn context<'a>(&'a self, parts: &'a StepParts) -> StepContext<'a> {
        let lane = self.lane();
        let step = self.step();
        StepContext {
            run: &self.run,
            plan: self.approved.id(),
            lane: &lane.id,
            service: &lane.service,
            step: &step.name,
            parameters: &step.parameters,
            attempt: self.attempt,
            key: &parts.key,
            target: self.target.as_ref(),
            outputs: &self.outputs,
            restore_point: &self.restore_point,
            token: self.token,
            lines: &parts.lines,
            cancel: &self.cancel,
            deadline: parts.deadline,
        }
    }

    /// Waits for its turn; `false` if none may begin any more.
    async fn wait(&self) -> bool {
        let turn = async {
            sleep(self.delay).await;
            if self.first_of_lane {
                self.pace.turn().await;
            }
        };
        tokio::select! {
            biased;
            () = self.closed.cancelled() => false,
            () = turn => true,
        }
    }

    pub(super) async fn apply(self) -> Entry {
        let this = &self;
        if !self.wait().await {
            return self.tell(|lane, step| Entry::StepWithdrawn { lane, step });
        }
        self.called.store(true, Ordering::SeqCst);
        let work = |phase: Arc<dyn Phase>, parts: StepParts| async move { phase.apply(&this.context(&parts)).await };
        let result =
            self.call("apply", work).await.and_then(|applied| self.believe(&applied.evidence).map(|()| applied));
        self.tell(|lane, step| match result {
            Ok(applied) => Entry::StepFinished { lane, step, applied },
            Err(failure) if failure.kind == Kind::UnknownOutcome => Entry::StepUnknown { lane, step, failure },
            Err(failure) => Entry::StepFailed { lane, step, failure },
        })
    }

    /// Nothing is believed done unless something was read back.
    fn believe(&self, evidence: &Evidence) -> Result<(), Failure> {
        if evidence.is_empty() {
            let failure = Failure::new(Kind::Internal, self.doing("believe"));
            return Err(failure.because(format!("phase `{}` named nothing that it read back", self.step().phase)));
        }
        Ok(())
    }

    pub(super) async fn inspect(self) -> Entry {
        let this = &self;
        sleep(self.delay).await;
        let work = |phase: Arc<dyn Phase>, parts: StepParts| async move { phase.inspect(&this.context(&parts)).await };
        let result = self.call("inspect", work).await.and_then(|inspection| match &inspection {
            Inspection::Settled { evidence, .. } => self.believe(evidence).map(|()| inspection),
            Inspection::Pending { .. } => Ok(inspection),
        });
        self.tell(|lane, step| match result {
            Ok(inspection) => Entry::Inspected { lane, step, inspection },
            Err(failure) => Entry::InspectFailed { lane, step, failure },
        })
    }

    pub(super) async fn undo(self) -> Entry {
        sleep(self.delay).await;
        let result = match &self.step().reversal {
            crate::phase::Reversal::Restore { snapshots } => self.restore(snapshots).await,
            _ => {
                let (this, leftover) = (&self, &self.leftover);
                let work = |phase: Arc<dyn Phase>, parts: StepParts| async move {
                    phase.undo(&this.context(&parts), leftover).await
                };
                self.call("take back", work).await
            }
        };
        let result = result.and_then(|evidence| self.believe(&evidence).map(|()| evidence));
        let result = result.map_err(|failure| self.with_way_by_hand(failure));
        self.tell(|lane, step| match result {
            Ok(evidence) => Entry::UndoFinished { lane, step, evidence },
            Err(failure) => Entry::UndoFailed { lane, step, failure },
        })
    }

    /// The command that finishes it comes first; the phase's own advice stays where there is none, and where somebody else
    /// has changed what the command would overwrite.
    fn with_way_by_hand(&self, mut failure: Failure) -> Failure {
        if let Some(command) = &self.step().undo_by_hand
            && (failure.kind != Kind::Conflict || failure.next.is_none())
        {
            failure.next = Some(command.clone());
        }
        failure
    }

    async fn restore(&self, snapshots: &[SnapshotId]) -> Result<Evidence, Failure> {
        let mut seen = Vec::new();
        for id in snapshots {
            let planned = self.approved.plan().snapshots.iter().find(|planned| planned.id == *id);
            let planned = planned.ok_or_else(|| {
                Failure::new(Kind::Internal, self.doing("take back"))
                    .because(format!("its plan has no snapshot `{id}`"))
            })?;
            let record = self.restore_point.require_record(id)?;
            let snapshot = self.registry.require_snapshot(&planned.kind)?;
            let lines =
                Lines { events: self.events.clone(), lane: self.lane().id.clone(), step: self.step().name.clone() };
            let limit = planned.time_limit.0 * RESTORE_TIMES;
            let cx = SnapshotContext {
                run: &self.run,
                id,
                service: planned.service.as_ref(),
                parameters: &planned.parameters,
                target: self.target.as_ref(),
                token: self.token,
                lines: &lines,
                cancel: &self.cancel,
                deadline: Instant::now() + limit,
            };
            let restored = timeout(limit, snapshot.restore(&cx, record)).await.map_err(|_| {
                Failure::new(Kind::UnknownOutcome, format!("could not restore snapshot `{id}`"))
                    .because(format!("it was not done within its time limit of {}", Period(limit)))
            })??;
            self.believe(&restored)?;
            seen.push(restored.as_str().to_owned());
        }
        Ok(Evidence::seen(seen.join("; ")))
    }
}

/// What must outlive the call's context.
struct StepParts {
    lines: Lines,
    key: IdempotencyKey,
    deadline: Instant,
}

/// Sends a step's lines on as events.
struct Lines {
    events: Arc<dyn Events>,
    lane: LaneId,
    step: StepName,
}

impl LineSink for Lines {
    fn line(&self, _: Stream, line: &str) {
        self.events.emit(Event::Line { lane: self.lane.clone(), step: self.step.clone(), line: line.to_owned() });
    }
}

/// What one snapshot's work needs, owned.
pub(super) struct SnapshotWork {
    pub(super) run: RunId,
    pub(super) approved: Arc<ApprovedPlan>,
    pub(super) at: usize,
    pub(super) record: Option<serde_json::Value>,
    pub(super) token: FencingToken,
    pub(super) target: Arc<dyn Target>,
    pub(super) snapshot: Arc<dyn Snapshot>,
    pub(super) events: Arc<dyn Events>,
    pub(super) cancel: CancellationToken,
}

impl SnapshotWork {
    /// Of one snapshot of a run; nothing where its target or kind is not known here.
    pub(super) fn of(
        state: &State,
        at: usize,
        token: FencingToken,
        targets: &RunTargets,
        registry: &Registry,
        events: &Arc<dyn Events>,
        cancel: CancellationToken,
    ) -> Option<Self> {
        let planned = &state.plan().snapshots[at];
        Some(Self {
            run: state.run().clone(),
            approved: state.approved().clone(),
            at,
            record: state.snapshots[at].record.clone(),
            token,
            target: targets.get(&planned.target)?.clone(),
            snapshot: registry.require_snapshot(&planned.kind).ok()?.clone(),
            events: events.clone(),
            cancel,
        })
    }

    fn planned(&self) -> &crate::plan::SnapshotPlan {
        &self.approved.plan().snapshots[self.at]
    }

    async fn call<'a, T, F, W>(&'a self, verb: &str, work: W) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>> + 'a,
        W: FnOnce(SnapshotLines, Instant) -> F,
    {
        let planned = self.planned();
        let lines = SnapshotLines { events: self.events.clone(), snapshot: planned.id.clone() };
        let limit = planned.time_limit;
        timeout(limit.0, work(lines, Instant::now() + limit.0)).await.map_err(|_| {
            Failure::new(Kind::UnknownOutcome, format!("could not {verb} snapshot `{}`", planned.id))
                .because(format!("it was not done within its time limit of {limit}"))
        })?
    }

    fn context<'a>(&'a self, lines: &'a SnapshotLines, deadline: Instant) -> SnapshotContext<'a> {
        let planned = self.planned();
        SnapshotContext {
            run: &self.run,
            id: &planned.id,
            service: planned.service.as_ref(),
            parameters: &planned.parameters,
            target: self.target.as_ref(),
            token: self.token,
            lines,
            cancel: &self.cancel,
            deadline,
        }
    }

    pub(super) async fn capture(&self) -> Entry {
        let work = |lines: SnapshotLines, deadline| async move {
            self.snapshot.capture(&self.context(&lines, deadline)).await
        };
        let result = self.call("capture", work).await;
        let snapshot = self.planned().id.clone();
        match result {
            Ok(record) => Entry::Captured { snapshot, record },
            Err(failure) => Entry::SnapshotFailed { snapshot, failure },
        }
    }

    pub(super) async fn prove(&self, record: &serde_json::Value) -> Entry {
        let work = |lines: SnapshotLines, deadline| async move {
            self.snapshot.prove(&self.context(&lines, deadline), record).await
        };
        let result = self.call("prove", work).await;
        let snapshot = self.planned().id.clone();
        match result {
            Ok(evidence) if !evidence.is_empty() => Entry::Proven { snapshot, evidence },
            Ok(_) => {
                let failure = Failure::new(Kind::Internal, format!("could not believe snapshot `{snapshot}`"))
                    .because("its proof named nothing that was read back");
                Entry::SnapshotFailed { snapshot, failure }
            }
            Err(failure) => Entry::SnapshotFailed { snapshot, failure },
        }
    }

    /// See [`Snapshot::require_own`].
    pub(super) async fn require_own(&self) -> Result<(), Failure> {
        let record = self.record.clone().unwrap_or_default();
        let (this, record) = (self, &record);
        let work = |lines: SnapshotLines, deadline| async move {
            this.snapshot.require_own(&this.context(&lines, deadline), record).await
        };
        self.call("compare", work).await
    }

    /// See [`Snapshot::require_restorable`].
    pub(super) async fn require_restorable(&self) -> Result<(), Failure> {
        let record = self.record.clone().unwrap_or_default();
        let (this, record) = (self, &record);
        let work = |lines: SnapshotLines, deadline| async move {
            this.snapshot.require_restorable(&this.context(&lines, deadline), record).await
        };
        self.call("prove", work).await
    }

    pub(super) async fn discard(self) -> Entry {
        let record = self.record.clone().unwrap_or_default();
        let work = |lines: SnapshotLines, deadline| {
            let record = &record;
            let this = &self;
            async move { this.snapshot.discard(&this.context(&lines, deadline), record).await }
        };
        let result = self.call("discard", work).await;
        Entry::Discarded { snapshot: self.planned().id.clone(), failure: result.err() }
    }
}

/// Sends a snapshot's lines on as events.
struct SnapshotLines {
    events: Arc<dyn Events>,
    snapshot: SnapshotId,
}

impl LineSink for SnapshotLines {
    fn line(&self, _: Stream, line: &str) {
        self.events.emit(Event::SnapshotLine { snapshot: self.snapshot.clone(), line: line.to_owned() });
    }
}

impl State {
    /// The token of the lease on the lane's target.
    pub(super) fn token_of(&self, target: usize) -> FencingToken {
        self.leases[target].as_ref().map_or(FencingToken(0), |lease| lease.token)
    }
}
