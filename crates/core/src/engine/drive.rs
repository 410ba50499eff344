//! The one loop: take leases, write entries, call phases, emit events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::facts::read_facts;
use super::lease::Leased;
use super::running::Running;
use super::state::State;
use super::way::Way;
use crate::error::{Failure, Kind};
use crate::event::{Event, Events};
use crate::journal::{Entry, FORMAT, Outcome};
use crate::plan::{ApprovedPlan, Plan, mismatches};
use crate::port::{Clock, Journal, Lease, LeaseRequest, Leases, Runs};
use crate::registry::Registry;
use crate::report::Report;
use crate::target::Target;
use crate::word::{LaneId, RunId, TargetName};

/// The longest that an answer of a target, of the journal or of the place of leases may take.
const ASK_LIMIT: Duration = Duration::from_secs(60);

/// What failures call the journal.
pub(super) const JOURNAL: &str = "the journal";

/// The longest that a question whether a lease is still held may keep the run from going on.
const RENEW_LIMIT: Duration = Duration::from_secs(2);

/// The opened targets of a plan, by name.
pub type RunTargets = BTreeMap<TargetName, Arc<dyn Target>>;

/// How somebody asks a run to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelRequest {
    /// Start nothing new, stop at a safe point, take back.
    Gently(String),
    /// End what runs, and take back.
    AtOnce(String),
    /// Stop working at once and leave the run as it is, to be resumed.
    Leave,
}

/// The receiving end of a [`cancel_channel`].
pub type Stop = mpsc::UnboundedReceiver<CancelRequest>;

/// A way to ask a run to stop; the run goes on undisturbed when the sender is dropped.
pub fn cancel_channel() -> (mpsc::UnboundedSender<CancelRequest>, Stop) {
    mpsc::unbounded_channel()
}

/// What is to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackRequest {
    /// These lanes, with all lanes of their services on their targets; all if empty.
    pub lanes: Vec<LaneId>,
    /// Who asks.
    pub by: String,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The run did not begin; nothing was touched.
    #[error("{}", .0.what)]
    Refused(Failure),
    /// Another holds a lease; nothing was touched.
    #[error("{}", .0.what)]
    Leased(Failure),
    /// The run stopped before its end and can be resumed.
    #[error("{}", .0.what)]
    Unfinished(Failure),
}

impl RunError {
    /// The failure in its four parts.
    pub fn failure(&self) -> &Failure {
        match self {
            Self::Refused(failure) | Self::Leased(failure) | Self::Unfinished(failure) => failure,
        }
    }
}

/// Carries out plans.
#[derive(Clone)]
pub struct Engine {
    /// What the adapters can do.
    pub registry: Arc<Registry>,
    /// Where leases are taken.
    pub leases: Arc<dyn Leases>,
    /// Where journals are kept.
    pub runs: Arc<dyn Runs>,
    /// Who is told.
    pub events: Arc<dyn Events>,
    /// The time of day for records.
    pub clock: Arc<dyn Clock>,
}

impl Engine {
    /// Executes a plan to its end.
    pub async fn execute(
        &self,
        run: RunId,
        plan: ApprovedPlan,
        targets: &RunTargets,
        stop: Stop,
    ) -> Result<Report, RunError> {
        let plan = Arc::new(plan);
        self.require_adapters(plan.plan(), targets).map_err(RunError::Refused)?;
        let leased = self.take_leases(&run, plan.plan(), targets, "deploys").await?;
        let begun = async {
            self.require_expected(plan.plan(), targets).await?;
            within_limit(JOURNAL, self.runs.create(&run, plan.id())).await
        };
        let journal = match begun.await {
            Ok(journal) => journal,
            Err(failure) => {
                leased.release(self).await;
                return Err(RunError::Refused(failure));
            }
        };
        let first = vec![Entry::RunStarted { format: FORMAT, run: run.clone(), plan: plan.clone() }];
        let state = State::new(run, plan, self.clock.now());
        self.go(state, journal, first, leased, targets, stop).await
    }

    /// Goes on with a run that stopped before its end, that was held, or that left something not taken back.
    pub async fn resume(&self, run: &RunId, targets: &RunTargets, stop: Stop) -> Result<Report, RunError> {
        let resumed = |state: &State| {
            if matches!(state.outcome(), Some(Outcome::Succeeded | Outcome::RolledBack)) {
                return Err(Failure::new(Kind::Conflict, format!("could not resume run `{run}`"))
                    .because("it has ended")
                    .state("nothing was touched")
                    .next("see what runs with `pleach status`"));
            }
            Ok(vec![Entry::Resumed])
        };
        self.go_on(run, Way::On, resumed, targets, stop).await
    }

    /// Takes back what a run did: the same loop with a failure already declared.
    pub async fn roll_back(
        &self,
        run: &RunId,
        request: RollbackRequest,
        targets: &RunTargets,
        stop: Stop,
    ) -> Result<Report, RunError> {
        let requested = |state: &State| {
            if let Some(lane) = request.lanes.iter().find(|lane| state.require_lane(lane).is_none()) {
                let lanes: Vec<String> = state.plan().lanes().map(|lane| format!("`{}`", lane.id)).collect();
                return Err(Failure::new(Kind::Rejected, format!("run `{run}` has no lane `{lane}`"))
                    .because(format!("its lanes are {}", lanes.join(", ")))
                    .state("nothing was touched")
                    .next("name one of them"));
            }
            let mut entries = Vec::new();
            if !matches!(state.outcome(), Some(Outcome::Succeeded | Outcome::RolledBack | Outcome::Held)) {
                entries.push(Entry::Resumed);
            }
            entries.push(Entry::RollbackRequested { lanes: request.lanes.clone(), by: request.by.clone() });
            Ok(entries)
        };
        self.go_on(run, Way::Back(&request.lanes), requested, targets, stop).await
    }

    async fn load(&self, journal: &dyn Journal) -> Result<State, Failure> {
        let replay = within_limit(JOURNAL, journal.replay()).await?;
        if let Some(torn) = replay.torn {
            self.events.emit(Event::TornTail { offset: torn.offset, bytes: torn.bytes });
        }
        Ok(State::replay(&replay.records)?)
    }

    /// Goes on with a run by the entries that its state asks for, or refuses to.
    async fn go_on(
        &self,
        run: &RunId,
        way: Way<'_>,
        entries: impl Fn(&State) -> Result<Vec<Entry>, Failure>,
        targets: &RunTargets,
        mut stop: Stop,
    ) -> Result<Report, RunError> {
        let journal = within_limit(JOURNAL, self.runs.open(run)).await.map_err(leased_or_refused)?;
        let state = self.load(journal.as_ref()).await.map_err(RunError::Refused)?;
        entries(&state).map_err(RunError::Refused)?;
        self.require_adapters(state.plan(), targets).map_err(RunError::Refused)?;
        let leased = self.take_leases(run, state.plan(), targets, "goes on with").await?;
        // Read again under the leases: their last holder may have gone on with this run, or ended it, meanwhile.
        let ready = async {
            let state = self.load(journal.as_ref()).await?;
            let entries = entries(&state)?;
            self.require_way(&state, &way, targets, &leased.leases, &mut stop).await?;
            Ok((state, entries))
        };
        match ready.await {
            Ok((state, entries)) => self.go(state, journal, entries, leased, targets, stop).await,
            Err(failure) => {
                leased.release(self).await;
                Err(RunError::Refused(failure))
            }
        }
    }

    /// The loop, under leases. `entries` are the first that are written, with the leases.
    async fn go(
        &self,
        state: State,
        journal: Arc<dyn Journal>,
        mut entries: Vec<Entry>,
        mut leased: Leased,
        targets: &RunTargets,
        stop: Stop,
    ) -> Result<Report, RunError> {
        let begins = entries.iter().take_while(|entry| matches!(entry, Entry::RunStarted { .. })).count();
        entries.splice(begins..begins, leased.leases.iter().map(|lease| Entry::LeaseTaken { lease: lease.clone() }));
        let mut tasks = JoinSet::new();
        let mut run = Running::new(self, state, journal, targets, &mut tasks);
        let result = run.until_the_end(entries, stop, &mut leased.troubles).await;
        let report = Report::of(&run.state);
        // What still runs is ended before the leases go, so that nobody else starts while it does.
        tasks.shutdown().await;
        leased.release(self).await;
        result.map(|()| report)
    }

    /// Everything that the plan names is known here and its target can do it.
    fn require_adapters(&self, plan: &Plan, targets: &RunTargets) -> Result<(), Failure> {
        let require_target = |name: &TargetName| {
            targets.get(name).ok_or_else(|| {
                Failure::new(Kind::Internal, format!("target `{name}` was not opened")).state("nothing was touched")
            })
        };
        for snapshot in &plan.snapshots {
            require_target(&snapshot.target)?;
            self.registry.require_snapshot(&snapshot.kind)?;
        }
        for lane in plan.lanes() {
            let facets = require_target(&lane.target)?.facets();
            for step in &lane.steps {
                let phase = self.registry.require_phase(&step.phase)?;
                if let Some(missing) = phase.needs().iter().find(|need| !facets.contains(need)) {
                    let what = format!("step `{}` cannot run on target `{}`", step.name, lane.target);
                    return Err(Failure::new(Kind::Unsupported, what)
                        .because(format!("phase `{}` needs facet `{missing:?}`", step.phase))
                        .state("nothing was touched")
                        .next("choose another kind of target for this service"));
                }
            }
        }
        Ok(())
    }

    /// Takes all leases, or none, and renews them from then on. The first by name is taken alone: of two that want the same
    /// targets one gets it, and the other disturbs nobody. The others are taken side by side.
    async fn take_leases(
        &self,
        run: &RunId,
        plan: &Plan,
        targets: &RunTargets,
        verb: &str,
    ) -> Result<Leased, RunError> {
        let mut names: Vec<&TargetName> = plan.targets.iter().map(|target| &target.name).collect();
        names.sort();
        let (first, others) = names.split_at(names.len().min(1));
        let mut leased = Leased::new();
        for together in [first, others] {
            let mut taking = JoinSet::new();
            for name in together {
                let request = LeaseRequest {
                    environment: plan.environment.clone(),
                    target: (*name).clone(),
                    run: run.clone(),
                    reason: format!("{verb} run {run}"),
                    lifetime: plan.policy.lease.0,
                };
                let (engine, target) = (self.clone(), targets.get(*name).cloned());
                taking.spawn(async move { (request.target.clone(), engine.take_lease(&request, target).await) });
            }
            let mut refused = BTreeMap::new();
            while let Some(joined) = taking.join_next().await {
                match joined {
                    // From now on: the others may take longer than it lasts.
                    Ok((_, Ok(lease))) => leased.keep(self, lease, plan.policy.lease.0),
                    Ok((name, Err(error))) => drop(refused.insert(Some(name), error)),
                    Err(error) => {
                        let failure = Failure::new(Kind::Internal, "could not take a lease").because(error.to_string());
                        refused.insert(None, RunError::Refused(failure.state("nothing was touched")));
                    }
                }
            }
            if let Some((_, error)) = refused.pop_first() {
                leased.release(self).await;
                return Err(error);
            }
        }
        leased.leases.sort_by(|a, b| a.target.cmp(&b.target));
        Ok(leased)
    }

    async fn take_lease(&self, request: &LeaseRequest, target: Option<Arc<dyn Target>>) -> Result<Lease, RunError> {
        let name = &request.target;
        let lease = within_limit(&of_lease(name), self.leases.acquire(request)).await.map_err(leased_or_refused)?;
        let Some(target) = target else { return Ok(lease) };
        match within_limit(&of_target(name), target.fence(lease.token)).await {
            Ok(()) => Ok(lease),
            Err(failure) => {
                self.release(&lease).await;
                Err(leased_or_refused(failure))
            }
        }
    }

    pub(super) async fn release(&self, lease: &Lease) {
        if let Err(failure) = within_limit(&of_lease(&lease.target), self.leases.release(lease)).await {
            // It expires, and its holder can be seen to be gone.
            self.events.emit(Event::LeaseAtRisk { target: lease.target.clone(), failure });
        }
    }

    /// No lease has passed on. One that cannot be asked for is left to its heartbeat.
    pub(super) async fn require_held(&self, leases: impl Iterator<Item = &Lease>) -> Result<(), Failure> {
        for lease in leases {
            match timeout(RENEW_LIMIT, self.leases.renew(lease)).await {
                Ok(Err(failure)) if failure.kind == Kind::Conflict => return Err(failure),
                _ => {}
            }
        }
        Ok(())
    }

    /// Every target is still as the plan expects it.
    async fn require_expected(&self, plan: &Plan, targets: &RunTargets) -> Result<(), Failure> {
        let all = read_facts(targets).await.map_err(|mut failures| failures.swap_remove(0))?;
        for planned in &plan.targets {
            let Some(facts) = all.get(&planned.name) else { continue };
            let changed = mismatches(planned, facts);
            if !changed.is_empty() {
                let what = format!("plan `{}` is stale: target `{}` has changed", plan.id().short(), planned.name);
                let mut failure = Failure::new(Kind::Conflict, what).state("nothing was touched");
                for mismatch in changed {
                    failure = failure.because(mismatch.to_string());
                }
                return Err(failure.next(format!("make a new plan: `pleach plan {}`", plan.environment)));
            }
        }
        Ok(())
    }
}

pub(super) fn of_target(name: &TargetName) -> String {
    format!("target `{name}`")
}

pub(super) fn of_lease(name: &TargetName) -> String {
    format!("the lease of target `{name}`")
}

fn leased_or_refused(failure: Failure) -> RunError {
    match failure.kind {
        Kind::Conflict => RunError::Leased(failure),
        _ => RunError::Refused(failure),
    }
}

/// Asks something that is no step for an answer.
pub(super) async fn within_limit<T>(what: &str, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(ASK_LIMIT, work).await.unwrap_or_else(|_| {
        Err(Failure::new(Kind::UnknownOutcome, format!("{what} gave no answer"))
            .because(format!("it was asked {} s ago", ASK_LIMIT.as_secs())))
    })
}
