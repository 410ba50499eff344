//! The engine alone: time a step and memory a lane with targets that answer at once, and replay.
//!
//! `cargo bench -p pleach-bench --bench engine`

#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong, and prints rounded figures"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use jiff::Timestamp;
use pleach_bench::{Table, describe_machine, median, peak_memory};
use pleach_core::engine::{Engine, RunTargets, State, cancel_channel};
use pleach_core::error::{Failure, Kind};
use pleach_core::event::NoEvents;
use pleach_core::journal::Record;
use pleach_core::period::Period;
use pleach_core::phase::{Applied, Evidence, Inspection, Leftover, Phase, Reversal, StepContext};
use pleach_core::plan::{
    ApprovedPlan, Consent, FORMAT, Lane, Limits, Operation, Plan, PlannedTarget, Policy, Retry, Stage, Step, approve,
};
use pleach_core::port::{Clock, FencingToken, Holder, Journal, Lease, LeaseRequest, Leases, Replay, RunEntry, Runs};
use pleach_core::registry::Registry;
use pleach_core::target::{Facet, Facts, Target};
use pleach_core::word::{EnvironmentName, LaneId, PhaseName, PlanId, RunId, TargetName};

const STEPS: usize = 7;
const ROUNDS: usize = 5;

/// Set in the child that runs one plan for its peak memory.
const MEMORY_OF: &str = "PLEACH_BENCH_MEMORY_OF";

fn main() {
    if let Some(lanes) = std::env::var(MEMORY_OF).ok().and_then(|lanes| lanes.parse().ok()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(execute(plan(lanes), Arc::new(Memory { keep: false, ..Memory::default() })));
        println!("{}", peak_memory());
        return;
    }
    println!("{}", describe_machine());
    let smallest = memory_of(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut table = Table::new(
        format!("Engine: lanes of {STEPS} steps on scripted targets, median of {ROUNDS}"),
        &["lanes", "run", "a step", "a lane's memory", "replay of all records", "a record"],
    );
    for lanes in [100, 1_000, 10_000] {
        let plan = plan(lanes);
        let (mut runs, mut replays, mut records) = (Vec::new(), Vec::new(), 0);
        for _ in 0..ROUNDS {
            let journal = Arc::new(Memory { keep: true, ..Memory::default() });
            let begin = Instant::now();
            runtime.block_on(execute(plan.clone(), journal.clone()));
            runs.push(begin.elapsed());
            let written = journal.records.lock().expect("unpoisoned").clone();
            records = written.len();
            let begin = Instant::now();
            let state = State::replay(&written).expect("a journal of this engine");
            replays.push(begin.elapsed());
            assert!(state.outcome().is_some());
        }
        let grown = memory_of(lanes).saturating_sub(smallest);
        let (run, replay) = (median(&runs), median(&replays));
        table.row(vec![
            lanes.to_string(),
            format!("{:.3} s", run.as_secs_f64()),
            format!("{:.2} µs", run.as_secs_f64() * 1e6 / (lanes * STEPS) as f64),
            format!("{:.1} KiB", grown as f64 / 1024.0 / lanes as f64),
            format!("{:.1} ms ({records})", replay.as_secs_f64() * 1e3),
            format!("{:.2} µs", replay.as_secs_f64() * 1e6 / records as f64),
        ]);
    }
    table.print();
}

fn plan(lanes: usize) -> ApprovedPlan {
    let targets = (lanes / 10).max(1);
    let target = |at: usize| TargetName::new(format!("host-{at}")).expect("a name");
    let step = |at: usize| Step {
        name: format!("step-{at}").parse().expect("a name"),
        phase: "instant".parse().expect("a name"),
        summary: "answers at once".into(),
        parameters: serde_json::Value::Null,
        reversal: Reversal::Undo,
        time_limit: Period::seconds(60),
        retry: Retry::default(),
        undo_by_hand: None,
    };
    let lane = |at: usize| Lane {
        id: LaneId::new(format!("deploy/service-{at}@host-{}", at % targets)).expect("an id"),
        service: format!("service-{at}").parse().expect("a name"),
        target: target(at % targets),
        release: None,
        steps: (0..STEPS).map(step).collect(),
    };
    let planned = |at: usize| PlannedTarget {
        name: target(at),
        kind: "scripted".into(),
        settings: serde_json::Value::Null,
        expects: Facts::new(),
    };
    let plan = Plan {
        format: FORMAT,
        project: "bench".into(),
        environment: EnvironmentName::new("bench").expect("a name"),
        operation: Operation::Deploy,
        made: Timestamp::UNIX_EPOCH,
        policy: Policy { limits: Limits { parallel: 64, per_target: 8, starts_per_second: None }, ..Policy::default() },
        services: Vec::new(),
        targets: (0..targets).map(planned).collect(),
        snapshots: Vec::new(),
        stages: vec![Stage { name: "deploy".parse().expect("a name"), lanes: (0..lanes).map(lane).collect() }],
    };
    let consent = Consent {
        plan: plan.id(),
        by: "bench".into(),
        at: Timestamp::UNIX_EPOCH,
        how: "bench".into(),
        answers: BTreeMap::new(),
    };
    approve(plan, consent).expect("consent to this plan")
}

async fn execute(plan: ApprovedPlan, journal: Arc<Memory>) {
    let mut registry = Registry::new();
    registry.add_phase(Arc::new(Instantly { name: "instant".parse().expect("a name") }));
    let open = |planned: &PlannedTarget| -> (TargetName, Arc<dyn Target>) {
        (
            planned.name.clone(),
            Arc::new(Scripted { name: planned.name.clone(), environment: "bench".parse().expect("a name") }),
        )
    };
    let targets: RunTargets = plan.plan().targets.iter().map(open).collect();
    let engine = Engine {
        registry: Arc::new(registry),
        leases: Arc::new(Free),
        runs: Arc::new(One(journal)),
        events: Arc::new(NoEvents),
        clock: Arc::new(Still),
    };
    let (_sender, stop) = cancel_channel();
    let report = engine.execute("run-1".parse().expect("a name"), plan, &targets, stop).await.expect("a report");
    assert_eq!(report.exit_code(), 0);
}

struct Instantly {
    name: PhaseName,
}

#[async_trait]
impl Phase for Instantly {
    fn name(&self) -> &PhaseName {
        &self.name
    }
    fn needs(&self) -> &[Facet] {
        &[]
    }
    async fn inspect(&self, _: &StepContext<'_>) -> Result<Inspection, Failure> {
        Ok(Inspection::Settled { evidence: Evidence::seen("seen"), output: serde_json::Value::Null })
    }
    async fn apply(&self, _: &StepContext<'_>) -> Result<Applied, Failure> {
        Ok(Applied::changed("seen"))
    }
    async fn undo(&self, _: &StepContext<'_>, _: &Leftover) -> Result<Evidence, Failure> {
        Ok(Evidence::seen("seen"))
    }
}

struct Scripted {
    name: TargetName,
    environment: EnvironmentName,
}

#[async_trait]
impl Target for Scripted {
    fn id(&self) -> &TargetName {
        &self.name
    }
    fn environment(&self) -> &EnvironmentName {
        &self.environment
    }
    async fn probe(&self) -> Result<Facts, Failure> {
        Ok(Facts::new())
    }
    async fn fence(&self, _: FencingToken) -> Result<(), Failure> {
        Ok(())
    }
}

/// The peak memory of a process that makes and executes one plan, without what its journal holds.
fn memory_of(lanes: usize) -> u64 {
    let program = std::env::current_exe().expect("this program has a path");
    let output = std::process::Command::new(program).env(MEMORY_OF, lanes.to_string()).output().expect("it starts");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of bytes")
}

#[derive(Default)]
struct Memory {
    keep: bool,
    records: Mutex<Vec<Record>>,
}

#[async_trait]
impl Journal for Memory {
    async fn append(&self, records: Vec<Record>) -> Result<(), Failure> {
        if self.keep {
            self.records.lock().expect("unpoisoned").extend(records);
        }
        Ok(())
    }
    async fn replay(&self) -> Result<Replay, Failure> {
        Ok(Replay { records: self.records.lock().expect("unpoisoned").clone(), torn: None })
    }
}

struct One(Arc<Memory>);

#[async_trait]
impl Runs for One {
    async fn create(&self, _: &RunId, _: &PlanId) -> Result<Arc<dyn Journal>, Failure> {
        Ok(self.0.clone())
    }
    async fn open(&self, run: &RunId) -> Result<Arc<dyn Journal>, Failure> {
        Err(Failure::new(Kind::Unsupported, format!("could not open `{run}`")))
    }
    async fn list(&self) -> Result<Vec<RunEntry>, Failure> {
        Ok(Vec::new())
    }
}

struct Free;

#[async_trait]
impl Leases for Free {
    async fn acquire(&self, request: &LeaseRequest) -> Result<Lease, Failure> {
        let holder =
            Holder { user: "bench".into(), host: "here".into(), boot: String::new(), process: 1, process_start: 1 };
        Ok(Lease {
            environment: request.environment.clone(),
            target: request.target.clone(),
            run: request.run.clone(),
            holder,
            reason: request.reason.clone(),
            started: Timestamp::UNIX_EPOCH,
            expires: Timestamp::UNIX_EPOCH,
            token: FencingToken(1),
        })
    }
    async fn renew(&self, lease: &Lease) -> Result<Lease, Failure> {
        Ok(lease.clone())
    }
    async fn release(&self, _: &Lease) -> Result<(), Failure> {
        Ok(())
    }
    async fn list(&self) -> Result<Vec<Lease>, Failure> {
        Ok(Vec::new())
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}
