//! A target in the state before one step of a deployment, for the test kit.

use std::fmt::Write as _;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pleach_core::error::Failure;
use pleach_core::phase::{Applied, IdempotencyKey, Outputs, Reversal, StepContext};
use pleach_core::plan::{Operation, Step};
use pleach_core::port::{FencingToken, NoLines};
use pleach_core::snapshot::RestorePoint;
use pleach_core::target::Target;
use pleach_core::testing::{Scene, Way};
use pleach_core::word::{LaneId, PlanId, RunId, ServiceName};
use pleach_remote::local::tree_digest;
use pleach_remote::process::Identity;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::project::{Form, Project, names, until};

/// The run of the kit.
pub(crate) const EXERCISE: &str = "exercise";

/// The run before.
pub(crate) const EARLIER: &str = "earlier";

/// A process is up by the first question mostly, and the fewer questions the fewer awaits to be cut.
pub(crate) const QUICK: &str = "health = { http = { path = \"/\" }, initial-delay = \"30ms\", period = \"50ms\", success = 1, within = \"20s\" }\n";

/// A project whose next step is `step`.
pub(crate) struct Stage {
    pub(crate) project: Project,
    target: Arc<dyn Target>,
    parameters: Value,
    way: Way,
    step: Step,
}

/// One thread for blocking work: what a dropped call has left to be done there is over when the next one's begins.
pub(crate) fn exercise(work: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(1).max_blocking_threads(1).enable_all();
    runtime.build().unwrap().block_on(work);
}

impl Stage {
    /// Version 1 is there as far as `old` says; version 2 comes next, and `before` has been applied of it.
    pub(crate) async fn new(form: Form, lines: &str, old: &[&str], before: &[&str], step: &str) -> Self {
        let quick = if form == Form::Supervised { QUICK } else { "" };
        Self::of(Project::with(form, &format!("{lines}{quick}")), Operation::Deploy, old, before, step).await
    }

    pub(crate) async fn of(project: Project, operation: Operation, old: &[&str], before: &[&str], step: &str) -> Self {
        let target = project.target();
        if !old.is_empty() {
            put(&project, 1, old).await;
        }
        let steps = steps(&project, operation, 2).await;
        let mut wanted = None;
        for each in &steps {
            if each.name.as_str() == step {
                wanted = Some(each.clone());
                break;
            }
            if before.contains(&each.name.as_str()) {
                apply(&project, target.as_ref(), each, EXERCISE).await;
            }
        }
        let wanted = wanted.unwrap_or_else(|| panic!("no step `{step}` in {steps:#?}"));
        let way = if wanted.reversal == Reversal::Undo { Way::Undo } else { Way::Nothing };
        Self { project, target, parameters: wanted.parameters.clone(), way, step: wanted }
    }

    /// Applies the step.
    pub(crate) async fn go_on(&self) -> Result<Applied, Failure> {
        try_apply(&self.project, self.target.as_ref(), &self.step, EXERCISE).await
    }

    /// For the snapshot of version 2's deployment.
    pub(crate) async fn snapshot(form: Form, old: &[&str], new: &[&str]) -> Self {
        let mut stage = Self::new(form, "", old, new, "switch").await;
        let plan = stage.project.plan_apart(Operation::Deploy, 2).await;
        stage.parameters = plan.snapshots[0].parameters.clone();
        stage
    }
}

/// Applies these steps of a version's deployment, by an earlier run.
pub(crate) async fn put(project: &Project, version: u32, wanted: &[&str]) {
    for step in steps(project, Operation::Deploy, version).await {
        if wanted.contains(&step.name.as_str()) {
            apply(project, project.target().as_ref(), &step, EARLIER).await;
        }
    }
}

/// Does all that an operation does, by an earlier run.
pub(crate) async fn put_all(project: &Project, operation: Operation) {
    for step in steps(project, operation, 1).await {
        apply(project, project.target().as_ref(), &step, EARLIER).await;
    }
}

/// The steps of a plan in order.
async fn steps(project: &Project, operation: Operation, version: u32) -> Vec<Step> {
    let plan = project.plan_apart(operation, version).await;
    plan.lanes().flat_map(|lane| lane.steps.clone()).collect()
}

async fn apply(project: &Project, target: &dyn Target, step: &Step, run: &str) {
    let applied = try_apply(project, target, step, run).await;
    applied.unwrap_or_else(|failure| panic!("`{}` failed: {failure:#?}", step.name));
}

async fn try_apply(project: &Project, target: &dyn Target, step: &Step, run: &str) -> Result<Applied, Failure> {
    let (parameters, outputs, restore_point) = (&step.parameters, Outputs::new(), RestorePoint::default());
    let cancel = CancellationToken::new();
    let cx = StepContext {
        run: &RunId::new(run).unwrap(),
        plan: &PlanId::new("0".repeat(64)).unwrap(),
        lane: &LaneId::new("main/api@here").unwrap(),
        service: &ServiceName::new("api").unwrap(),
        step: &step.name,
        parameters,
        attempt: 1,
        key: &IdempotencyKey("key".into()),
        target,
        outputs: &outputs,
        restore_point: &restore_point,
        token: FencingToken(1),
        lines: &NoLines,
        cancel: &cancel,
        deadline: Instant::now() + Duration::from_secs(60),
    };
    let phase = project.registry.require_phase(&step.phase).unwrap();
    phase.apply(&cx).await
}

#[async_trait]
impl Scene for Stage {
    fn target(&self) -> &dyn Target {
        self.target.as_ref()
    }

    fn parameters(&self) -> Value {
        self.parameters.clone()
    }

    fn way(&self) -> Way {
        self.way
    }

    /// Releases, records, what runs and what is routed; no process ids and no times.
    async fn state(&self) -> String {
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        let folder = self.project.service();
        let mut told = format!("current {:?}\n", self.project.current());
        for release in self.project.releases() {
            let digest = tree_digest(&folder.join("releases").join(&release)).unwrap();
            writeln!(told, "release {release} {} {}", digest.files, digest.sha256).unwrap();
        }
        for name in names(&folder.join(".pleach/releases")) {
            let bytes = std::fs::read(folder.join(".pleach/releases").join(&name)).unwrap();
            let record: Value = serde_json::from_slice(&bytes).unwrap();
            writeln!(told, "record {name} {} {}", record["state"], record["run"]).unwrap();
        }
        for name in names(&folder.join("run")) {
            if let Some(name) = name.strip_suffix(".lock") {
                // A lock file without a process says nothing, and every stage has a port of its own.
                if self.settled(name) == "up" {
                    writeln!(told, "{} runs", name.split_once("router-").map_or(name, |_| "router")).unwrap();
                }
            }
        }
        let serving = std::fs::read_to_string(folder.join("serving")).unwrap_or_default();
        write!(told, "serving {serving}").unwrap();
        told
    }

    async fn disturb(&self) {
        let current = self.project.service().join("current");
        let _ = std::fs::remove_file(&current);
        std::os::unix::fs::symlink(format!("releases/{}", self.project.releases().last().unwrap()), current).unwrap();
        self.project.end();
    }
}

impl Stage {
    /// Waits until whoever starts or ends something has done so: the lock is free, or its holder's record is there.
    fn settled(&self, name: &str) -> &'static str {
        let run = self.project.service().join("run");
        until(&format!("the end of what is done to `{name}`"), || {
            let lock = File::open(run.join(format!("{name}.lock"))).unwrap();
            if lock.try_lock().is_ok() {
                return Some("down");
            }
            let bytes = std::fs::read(run.join(format!("{name}.json"))).ok()?;
            let record: Value = serde_json::from_slice(&bytes).ok()?;
            let holder = if name.starts_with("router-") { &record["router"] } else { &record["supervisor"] };
            let holder: Identity = serde_json::from_value(holder.clone()).ok()?;
            let runs = name.starts_with("router-") || record["activity"] == "running";
            (runs && holder.is_alive()).then_some("up")
        })
    }
}
