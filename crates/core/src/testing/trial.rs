//! One plan, one scripted world, and as many processes as it takes to come to an end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{sleep, timeout};

use super::memory::{Fate, FixedClock, MemoryLeases, MemoryRuns, RecordingEvents, Renewal, Watcher};
use super::script::Script;
use super::scripted::{scripted_registry, scripted_targets};
use super::world::{Violation, World};
use crate::engine::{CancelRequest, Engine, RollbackRequest, RunError, RunTargets, Stop, cancel_channel};
use crate::journal::Record;
use crate::plan::ApprovedPlan;
use crate::report::Report;
use crate::word::{RunId, TargetName};

/// No run of a test takes longer in the test's own time.
const ENDLESS: Duration = Duration::from_secs(24 * 3600);

/// Something that happens while a run is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// Somebody asks to stop.
    Stop(CancelRequest),
    /// Another takes the lease of a target over and tells the target so.
    LosesLease(TargetName),
    /// Renewing leases does this from now on.
    Renewals(Renewal),
    /// The wall clock jumps.
    ClockJumps(SignedDuration),
}

/// What becomes of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// What becomes of its journal, and when it is killed with it.
    pub fate: Fate,
    /// What happens once so many of its records are durable.
    pub interruptions: Vec<(usize, Interruption)>,
    /// Killed after so long.
    pub killed_after: Option<Duration>,
}

impl Life {
    /// Nothing happens.
    pub fn quiet() -> Self {
        Self::default()
    }

    /// Killed once so many of its records are durable.
    pub fn killed_after(records: usize) -> Self {
        Self { fate: Fate::KilledAfter(records), ..Self::default() }
    }

    /// Asked to stop once so many of its records are durable.
    pub fn stopped_after(records: usize, request: CancelRequest) -> Self {
        Self { interruptions: vec![(records, Interruption::Stop(request))], ..Self::default() }
    }
}

/// How a process ended.
#[derive(Debug)]
pub enum Ending {
    /// With a report.
    Reported(Report),
    /// With an error.
    Failed(RunError),
    /// It was killed.
    Killed,
    /// It did not end.
    Endless,
}

impl Ending {
    /// The report; anything else ends the test.
    #[track_caller]
    pub fn require_report(self) -> Report {
        match self {
            Self::Reported(report) => report,
            other => panic!("no report but {other:?}"),
        }
    }

    /// The error; anything else ends the test.
    #[track_caller]
    pub fn require_error(self) -> RunError {
        match self {
            Self::Failed(error) => error,
            other => panic!("no error but {other:?}"),
        }
    }
}

/// One plan against a scripted world, over several processes.
pub struct Trial {
    /// What is true on the targets.
    pub world: Arc<World>,
    /// Who may change them.
    pub leases: Arc<MemoryLeases>,
    /// The journals.
    pub runs: Arc<MemoryRuns>,
    /// The wall clock.
    pub clock: Arc<FixedClock>,
    /// What was told.
    pub events: Arc<RecordingEvents>,
    /// The engine, wired to all of these.
    pub engine: Engine,
    /// The targets.
    pub targets: RunTargets,
    /// The run.
    pub run: RunId,
    approved: Arc<ApprovedPlan>,
    watch: Arc<Watch>,
}

struct Watch {
    world: Arc<World>,
    leases: Arc<MemoryLeases>,
    clock: Arc<FixedClock>,
    due: Mutex<Due>,
}

#[derive(Default)]
struct Due {
    records: usize,
    interruptions: Vec<(usize, Interruption)>,
    stop: Option<UnboundedSender<CancelRequest>>,
}

impl Watch {
    fn interrupt(&self) {
        let mut due = self.due.lock().unwrap();
        let records = due.records;
        let (now, later) = std::mem::take(&mut due.interruptions).into_iter().partition(|(at, _)| *at <= records);
        due.interruptions = later;
        let now: Vec<(usize, Interruption)> = now;
        for (_, interruption) in now {
            match interruption {
                Interruption::Stop(request) => {
                    if let Some(stop) = &due.stop {
                        let _ = stop.send(request);
                    }
                }
                Interruption::LosesLease(target) => {
                    if let Some(token) = self.leases.pass_on(&target) {
                        let _ = self.world.fence(&target, token);
                    }
                }
                Interruption::Renewals(renewal) => self.leases.renewal(renewal),
                Interruption::ClockJumps(by) => self.clock.jump(by),
            }
        }
    }
}

impl Watcher for Watch {
    fn durable(&self, record: &Record) {
        self.world.witness(record);
        self.due.lock().unwrap().records += 1;
        self.interrupt();
    }

    fn broken(&self) {
        self.world.journal_broke();
    }
}

impl Trial {
    /// A plan that was not executed yet.
    pub fn new(approved: ApprovedPlan, script: &Script) -> Self {
        let approved = Arc::new(approved);
        let (leases, clock) = (Arc::new(MemoryLeases::default()), Arc::new(FixedClock::default()));
        let world = Arc::new(World::new(approved.clone(), script, leases.clone()));
        let watch = Watch { world: world.clone(), leases: leases.clone(), clock: clock.clone(), due: Mutex::default() };
        let watch = Arc::new(watch);
        let runs = Arc::new(MemoryRuns::watched(watch.clone()));
        let events = Arc::new(RecordingEvents::default());
        let engine = Engine {
            registry: Arc::new(scripted_registry(&world)),
            leases: leases.clone(),
            runs: runs.clone(),
            events: events.clone(),
            clock: clock.clone(),
        };
        let targets = scripted_targets(&world, approved.plan());
        let run = RunId::new("run-1").expect("a name");
        Self { world, leases, runs, clock, events, engine, targets, run, approved, watch }
    }

    /// A process executes the plan.
    pub fn execute(&self, life: Life) -> Ending {
        let plan = (*self.approved).clone();
        self.live(life, async |stop| self.engine.execute(self.run.clone(), plan, &self.targets, stop).await)
    }

    /// A new process goes on with the run.
    pub fn resume(&self, life: Life) -> Ending {
        self.live(life, async |stop| self.engine.resume(&self.run, &self.targets, stop).await)
    }

    /// A new process takes lanes back; all if none is named.
    pub fn roll_back(&self, lanes: &[&str], life: Life) -> Ending {
        let lanes = lanes.iter().map(|lane| crate::word::LaneId::new(lane).expect("a lane id")).collect();
        let request = RollbackRequest { lanes, by: "ada".into() };
        self.live(life, async |stop| self.engine.roll_back(&self.run, request, &self.targets, stop).await)
    }

    /// The plan.
    pub fn approved(&self) -> &ApprovedPlan {
        &self.approved
    }

    /// What is durable.
    pub fn records(&self) -> Vec<Record> {
        self.runs.journal(&self.run).map(|journal| journal.records()).unwrap_or_default()
    }

    /// The laws that were broken so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.world.violations()
    }

    /// Ends the test if a law was broken.
    #[track_caller]
    pub fn require_laws(&self) {
        let violations = self.violations();
        assert!(violations.is_empty(), "{violations:#?}\n{}", self.told());
    }

    /// The journal, one entry a line, for whoever reads a failed test.
    pub fn told(&self) -> String {
        let line = |record: &Record| {
            let mut told = serde_json::to_value(&record.entry).unwrap_or_default();
            if let Some(fields) = told.as_object_mut() {
                fields.remove("plan");
                fields.remove("lease");
            }
            told.to_string()
        };
        self.records().iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// One process: its own runtime with its own paused time, which is dropped with all that runs in it.
    fn live(&self, life: Life, work: impl AsyncFnOnce(Stop) -> Result<Report, RunError>) -> Ending {
        let (sender, stop) = cancel_channel();
        self.leases.kill_holders();
        self.leases.renewal(Renewal::Succeed);
        self.world.begin_life();
        self.runs.begin_life(life.fate);
        *self.watch.due.lock().unwrap() = Due { records: 0, interruptions: life.interruptions, stop: Some(sender) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime needs only memory");
        self.watch.interrupt();
        let ending = runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.runs.killed() => Ending::Killed,
                () = sleep(life.killed_after.unwrap_or(2 * ENDLESS)) => Ending::Killed,
                result = timeout(ENDLESS, work(stop)) => match result {
                    Ok(Ok(report)) => Ending::Reported(report),
                    Ok(Err(error)) => Ending::Failed(error),
                    Err(_) => Ending::Endless,
                },
            }
        });
        drop(runtime);
        if matches!(ending, Ending::Killed) {
            self.leases.kill_holders();
        }
        ending
    }
}
