//! A config with adapters made of data, from which plans can be made.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use pleach_core::config::{self, Config};
use pleach_core::error::Failure;
use pleach_core::period::Period;
use pleach_core::phase::{Applied, Evidence, Inspection, Leftover, Phase, Reversal, StepContext};
use pleach_core::plan::{
    Draft, DraftRequest, DraftStep, Operation, Plan, PlanInput, Recipe, Retry, ServiceSource, Step, TargetDescription,
    Turn, Watch, WatchRequest, plan,
};
use pleach_core::registry::Registry;
use pleach_core::snapshot::{Snapshot, SnapshotContext, SnapshotRecord};
use pleach_core::target::{Facet, Facts};
use pleach_core::word::{
    CommitId, EnvironmentName, PhaseName, ReleaseId, ServiceName, SnapshotId, SnapshotKind, StepName, TargetName,
};
use serde_json::{Value, json};

pub(crate) fn service(name: &str) -> ServiceName {
    ServiceName::new(name).expect("a name")
}

pub(crate) fn target(name: &str) -> TargetName {
    TargetName::new(name).expect("a name")
}

pub(crate) fn commit(digit: char) -> CommitId {
    CommitId::new(digit.to_string().repeat(40)).expect("40 digits")
}

/// Planning asks a phase for its needs only.
struct Planned(PhaseName, Vec<Facet>);

#[async_trait]
impl Phase for Planned {
    fn name(&self) -> &PhaseName {
        &self.0
    }
    fn needs(&self) -> &[Facet] {
        &self.1
    }
    async fn inspect(&self, _: &StepContext<'_>) -> Result<Inspection, Failure> {
        unreachable!("planning inspects nothing")
    }
    async fn apply(&self, _: &StepContext<'_>) -> Result<Applied, Failure> {
        unreachable!("planning applies nothing")
    }
    async fn undo(&self, _: &StepContext<'_>, _: &Leftover) -> Result<Evidence, Failure> {
        unreachable!("planning undoes nothing")
    }
}

struct Kept(SnapshotKind);

#[async_trait]
impl Snapshot for Kept {
    fn kind(&self) -> &SnapshotKind {
        &self.0
    }
    fn needs(&self) -> &[Facet] {
        &[Facet::Files]
    }
    async fn capture(&self, _: &SnapshotContext<'_>) -> Result<SnapshotRecord, Failure> {
        unreachable!("planning captures nothing")
    }
    async fn prove(&self, _: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        unreachable!("planning proves nothing")
    }
    async fn restore(&self, _: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        unreachable!("planning restores nothing")
    }
    async fn discard(&self, _: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<Evidence, Failure> {
        unreachable!("planning discards nothing")
    }
}

pub(crate) fn step(name: &str, phase: &str, turn: Turn, reversal: Reversal) -> DraftStep {
    let step = Step {
        name: StepName::new(name).expect("a name"),
        phase: PhaseName::new(phase).expect("a name"),
        summary: format!("does `{phase}` so that the release is as it is wanted, and reads it back"),
        parameters: json!({}),
        reversal,
        time_limit: Period::seconds(600),
        retry: Retry { attempts: 1, ..Retry::default() },
        undo_by_hand: None,
    };
    DraftStep { turn, step }
}

/// What the recipe gives unless a test changes it: the service's release in three steps, with a snapshot of its data.
pub(crate) fn usual(request: &DraftRequest<'_>) -> Draft {
    let place = format!("{}@{}", request.service, request.target);
    let id = SnapshotId::new(format!("data/{place}")).expect("an id");
    let current = request.facts.get(request.service.as_str()).cloned().unwrap_or(Value::Null);
    if current == request.commit.short() {
        return Draft::default();
    }
    Draft {
        release: ReleaseId::new(format!("0007-{}", request.commit.short())).ok(),
        steps: vec![
            step("build", "build", Turn::Main, Reversal::Nothing),
            step("switch", "switch", Turn::Main, Reversal::Undo),
            step("migrate", "switch", Turn::Main, Reversal::Restore { snapshots: vec![id] }),
            step("stop-old", "stop", Turn::Finish, Reversal::ForwardOnly),
        ],
        snapshots: vec![(SnapshotKind::new("data").expect("a name"), json!({}))],
        expects: [(request.service.to_string(), current)].into(),
        ..Draft::default()
    }
}

type Change = dyn Fn(&DraftRequest<'_>, Draft) -> Draft + Send + Sync;

struct Scripted(Arc<Change>);

impl Recipe for Scripted {
    fn kind(&self) -> &str {
        "directory"
    }
    fn draft(&self, request: &DraftRequest<'_>) -> Result<Draft, Vec<Failure>> {
        Ok((self.0)(request, usual(request)))
    }
    fn watch(&self, request: &WatchRequest<'_>) -> Result<Option<Watch>, Failure> {
        let parameters = json!({ "within": request.deadline, "way-back": request.way_back });
        let confirm = step("confirm", "switch", Turn::Finish, Reversal::Nothing).step;
        Ok(Some(Watch { snapshot: (SnapshotKind::new("data").expect("a name"), parameters), confirm }))
    }
}

/// All that a plan is made from, to be changed by a test before it asks for the plan.
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) environment: EnvironmentName,
    pub(crate) operation: Operation,
    pub(crate) only: Vec<ServiceName>,
    pub(crate) sources: BTreeMap<ServiceName, ServiceSource>,
    pub(crate) targets: BTreeMap<TargetName, TargetDescription>,
    pub(crate) facts: BTreeMap<TargetName, Facts>,
    pub(crate) registry: Registry,
}

impl World {
    pub(crate) fn of(text: &str) -> Self {
        let config = config::parse("pleach.toml", text).expect("a config");
        let environment = EnvironmentName::new("local").expect("a name");
        let source = |digit| ServiceSource {
            commit: commit(digit),
            subject: "Answer faster".into(),
            scripts: BTreeMap::new(),
            images: BTreeMap::new(),
            project: BTreeMap::new(),
            version: None,
        };
        let sources = config.services.keys().cloned().zip("abcdef0123456789".chars().map(source)).collect();
        let description = TargetDescription {
            kind: "directory".into(),
            settings: json!({ "path": "/srv" }),
            facets: vec![Facet::Shell, Facet::Files],
        };
        let names: Vec<TargetName> = config.environments[&environment].targets.keys().cloned().collect();
        let mut world = Self {
            targets: names.iter().map(|name| (name.clone(), description.clone())).collect(),
            facts: names.into_iter().map(|name| (name, Facts::new())).collect(),
            config,
            environment,
            operation: Operation::Deploy,
            only: Vec::new(),
            sources,
            registry: Registry::new(),
        };
        for (name, needs) in
            [("build", vec![Facet::Shell, Facet::Files]), ("switch", vec![Facet::Files]), ("stop", vec![Facet::Shell])]
        {
            world.registry.add_phase(Arc::new(Planned(PhaseName::new(name).expect("a name"), needs)));
        }
        world.registry.add_snapshot(Arc::new(Kept(SnapshotKind::new("data").expect("a name"))));
        world.drafts(|_, draft| draft);
        world
    }

    pub(crate) fn drafts(&mut self, change: impl Fn(&DraftRequest<'_>, Draft) -> Draft + Send + Sync + 'static) {
        self.registry.add_recipe(Arc::new(Scripted(Arc::new(change))));
    }

    pub(crate) fn plan(&self) -> Result<Plan, Vec<Failure>> {
        plan(&PlanInput {
            config: &self.config,
            environment: &self.environment,
            operation: self.operation.clone(),
            only: &self.only,
            sources: &self.sources,
            targets: &self.targets,
            facts: &self.facts,
            registry: &self.registry,
            now: Timestamp::from_second(1_761_057_322).expect("a time"),
        })
    }

    pub(crate) fn require_plan(&self) -> Plan {
        self.plan().expect("a plan")
    }

    /// Each failure in one line.
    pub(crate) fn refusals(&self) -> Vec<String> {
        let failures = self.plan().expect_err("no plan");
        let line = |failure: &Failure| {
            let mut parts = vec![failure.what.clone()];
            parts.extend(failure.because.clone());
            parts.extend(failure.next.clone());
            parts.join(" | ")
        };
        failures.iter().map(line).collect()
    }
}

/// `stage: service@target service@target`, one a stage.
pub(crate) fn outline(plan: &Plan) -> Vec<String> {
    let stage = |stage: &pleach_core::plan::Stage| {
        let lanes: Vec<String> = stage.lanes.iter().map(|lane| format!("{}@{}", lane.service, lane.target)).collect();
        format!("{}: {}", stage.name, lanes.join(" "))
    };
    plan.stages.iter().map(stage).collect()
}

pub(crate) const THREE: &str = r#"
[project]
name = "odoobo"
[services.api]
branch = "api"
after = ["db"]
[services.db]
branch = "db"
targets = ["here"]
[services.web]
branch = "feature/web"
after = ["api", "db"]
[environments.local]
failure-budget = 1
batch = [1, "50%"]
pause = "30s"
retry = { attempts = 4, backoff = "1s" }
[environments.local.targets.here]
kind = "directory"
path = "../here"
[environments.local.targets.there]
kind = "directory"
path = "../there"
[environments.empty.targets.nowhere]
kind = "directory"
path = "../nowhere"
"#;
