//! Plans in short: stages of lanes of steps, without the words that only people read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::period::Period;
use crate::phase::Reversal;
use crate::plan::{
    ApprovedPlan, Consent, FORMAT, Lane, OnFailure, Operation, Plan, PlannedService, PlannedTarget, Policy, Retry,
    SnapshotPlan, Stage, Step, approve,
};
use crate::word::{
    CommitId, EnvironmentName, LaneId, PhaseName, ServiceName, SnapshotId, SnapshotKind, StageName, StepName,
    TargetName,
};

/// The phase that all scripted steps use.
pub(super) const PHASE: &str = "scripted";

/// How a step is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It changes nothing that lasts.
    Nothing,
    /// By undoing it.
    Undo,
    /// By a snapshot of its own, which the plan takes first.
    Restore,
    /// Not at all.
    ForwardOnly,
}

/// One step in short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepShape {
    /// How it is taken back.
    pub way: Way,
    /// The longest that one call may take.
    pub time_limit: Period,
    /// How often it is tried.
    pub retry: Retry,
}

impl Default for StepShape {
    fn default() -> Self {
        let retry = Retry { attempts: 3, backoff: Period::millis(50), longest: Period::millis(400) };
        Self { way: Way::Undo, time_limit: Period::seconds(5), retry }
    }
}

impl StepShape {
    /// A step that is taken back in this way.
    pub fn by(way: Way) -> Self {
        Self { way, ..Self::default() }
    }

    /// Tried so often in all.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.retry.attempts = attempts;
        self
    }
}

/// One lane in short.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneShape {
    /// The service's number.
    pub service: usize,
    /// The target's number.
    pub target: usize,
    /// In order.
    pub steps: Vec<StepShape>,
}

/// A snapshot of a whole target that no step restores: it must be proven all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotShape {
    /// The target's number.
    pub target: usize,
}

/// A plan in short. Lane ids are `STAGE/SERVICE@TARGET` with stages `a`, `b`, …, services `s0`, `s1`, … and targets `t0`,
/// `t1`, …; the steps of stage `a` are `a0`, `a1`, …; a step's own snapshot is `dump-a0/s0@t0`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanShape {
    /// In order. Two lanes of one stage must not have the same service and target.
    pub stages: Vec<Vec<LaneShape>>,
    /// Snapshots of whole targets.
    pub snapshots: Vec<SnapshotShape>,
    /// How the run behaves.
    pub policy: Policy,
}

impl PlanShape {
    /// One stage of `lanes` services, each alone on a target of its own, with `steps` steps that can be undone.
    pub fn wide(lanes: usize, steps: usize) -> Self {
        let lane = |number| LaneShape { service: number, target: number, steps: vec![StepShape::default(); steps] };
        Self { stages: vec![(0..lanes).map(lane).collect()], ..Self::default() }
    }

    /// Another stage with the same services on the same targets, with `steps` steps that can be undone.
    #[must_use]
    pub fn then(mut self, steps: usize) -> Self {
        let Some(last) = self.stages.last() else { return self };
        let again = |lane: &LaneShape| LaneShape { steps: vec![StepShape::default(); steps], ..lane.clone() };
        self.stages.push(last.iter().map(again).collect());
        self
    }

    /// With this policy for failures.
    #[must_use]
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.policy.on_failure = on_failure;
        self
    }

    /// With another policy.
    #[must_use]
    pub fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.policy);
        self
    }

    /// Every step is taken back in this way.
    #[must_use]
    pub fn by(mut self, way: Way) -> Self {
        self.stages.iter_mut().flatten().flat_map(|lane| &mut lane.steps).for_each(|step| step.way = way);
        self
    }

    /// The plan.
    pub fn plan(&self) -> Plan {
        let mut targets: Vec<usize> = self.stages.iter().flatten().map(|lane| lane.target).collect();
        targets.extend(self.snapshots.iter().map(|snapshot| snapshot.target));
        let mut services: Vec<usize> = self.stages.iter().flatten().map(|lane| lane.service).collect();
        for numbers in [&mut targets, &mut services] {
            numbers.sort_unstable();
            numbers.dedup();
        }
        let mut snapshots: Vec<SnapshotPlan> = self.snapshots.iter().map(|snapshot| whole(snapshot.target)).collect();
        snapshots.dedup_by(|a, b| a.id == b.id);
        let stages = self.stages.iter().enumerate().map(|(at, lanes)| Stage {
            name: stage_name(at),
            lanes: lanes.iter().map(|lane| self.lane(at, lane, &mut snapshots)).collect(),
        });
        let stages = stages.collect();
        Plan {
            format: FORMAT,
            project: "trial".into(),
            environment: environment(),
            operation: Operation::Deploy,
            made: Timestamp::UNIX_EPOCH,
            policy: self.policy.clone(),
            services: services.into_iter().map(planned_service).collect(),
            targets: targets.into_iter().map(planned_target).collect(),
            snapshots,
            stages,
        }
    }

    /// The plan with consent to it.
    pub fn approved(&self) -> ApprovedPlan {
        approved(self.plan())
    }

    fn lane(&self, stage: usize, shape: &LaneShape, snapshots: &mut Vec<SnapshotPlan>) -> Lane {
        let stage = stage_name(stage);
        let (service, target) = (service_name(shape.service), target_name(shape.target));
        let step = |(at, shape): (usize, &StepShape)| {
            let name = format!("{stage}{at}");
            let reversal = match shape.way {
                Way::Nothing => Reversal::Nothing,
                Way::Undo => Reversal::Undo,
                Way::ForwardOnly => Reversal::ForwardOnly,
                Way::Restore => {
                    let id = SnapshotId::new(format!("dump-{name}/{service}@{target}")).expect("an id");
                    snapshots.push(SnapshotPlan { service: Some(service.clone()), ..snapshot(id.clone(), &target) });
                    Reversal::Restore { snapshots: vec![id] }
                }
            };
            Step {
                phase: PhaseName::new(PHASE).expect("a name"),
                summary: format!("do {name}"),
                parameters: json!({ "step": name }),
                reversal,
                time_limit: shape.time_limit,
                retry: shape.retry,
                undo_by_hand: Some(format!("`undo {name} of {service} on {target}`")),
                name: StepName::new(name).expect("a name"),
            }
        };
        let steps = shape.steps.iter().enumerate().map(step).collect();
        let id = LaneId::new(format!("{stage}/{service}@{target}")).expect("an id");
        Lane { id, service, target, release: None, steps }
    }
}

pub(super) fn approved(plan: Plan) -> ApprovedPlan {
    let consent = Consent {
        plan: plan.id(),
        by: "ada".into(),
        at: Timestamp::UNIX_EPOCH,
        how: "typed".into(),
        answers: BTreeMap::new(),
    };
    approve(plan, consent).expect("the consent is to this plan")
}

pub(super) fn environment() -> EnvironmentName {
    EnvironmentName::new("trial").expect("a name")
}

fn stage_name(at: usize) -> StageName {
    let letter = char::from(b'a' + u8::try_from(at % 26).unwrap_or_default());
    StageName::new(String::from(letter)).expect("a name")
}

fn service_name(number: usize) -> ServiceName {
    ServiceName::new(format!("s{number}")).expect("a name")
}

fn target_name(number: usize) -> TargetName {
    TargetName::new(format!("t{number}")).expect("a name")
}

fn whole(target: usize) -> SnapshotPlan {
    let target = target_name(target);
    snapshot(SnapshotId::new(format!("whole@{target}")).expect("an id"), &target)
}

fn snapshot(id: SnapshotId, target: &TargetName) -> SnapshotPlan {
    SnapshotPlan {
        id,
        kind: SnapshotKind::new(PHASE).expect("a name"),
        target: target.clone(),
        service: None,
        parameters: Value::Null,
        time_limit: Period::seconds(5),
    }
}

fn planned_service(number: usize) -> PlannedService {
    PlannedService {
        name: service_name(number),
        branch: format!("skill/s{number}"),
        commit: CommitId::new("a".repeat(40)).expect("a commit"),
        subject: String::new(),
    }
}

fn planned_target(number: usize) -> PlannedTarget {
    PlannedTarget {
        name: target_name(number),
        kind: PHASE.into(),
        settings: Value::Null,
        expects: [("state".to_owned(), json!("old"))].into(),
    }
}
