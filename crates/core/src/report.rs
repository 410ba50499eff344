//! What came of a run: the fold of its journal, for people and programs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::{Condition, Illegal, LaneState, LaneStatus, State, StepState};
use crate::error::Failure;
use crate::journal::{Outcome, Record};
use crate::phase::{Change, Evidence};
use crate::plan::{Lane, Operation, Step};
use crate::word::{EnvironmentName, LaneId, PlanId, ReleaseId, RunId, ServiceName, SnapshotId, StepName, TargetName};

/// Why a run went back, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Nothing made it go back.
    None,
    /// Something failed.
    Failure,
    /// Somebody interrupted it.
    Interrupt,
    /// Somebody asked for a rollback.
    Request,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// Its plan.
    pub plan: PlanId,
    /// Where.
    pub environment: EnvironmentName,
    /// What for.
    pub operation: Operation,
    /// Who agreed to it.
    pub by: String,
    /// When.
    pub agreed: Timestamp,
    /// How: `--yes`, `answered`, `typed`, or an embedder's own word.
    pub how: String,
    /// What was answered to the questions of the environment, by question.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, String>,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it ended; `None` while it has not.
    pub outcome: Option<Outcome>,
    /// Why it went back, if it did.
    pub cause: Cause,
    /// All lanes in the plan's order.
    pub lanes: Vec<LaneReport>,
    /// Snapshots that could not be captured or proven.
    pub unproven: Vec<UnprovenSnapshot>,
}

/// What came of one lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LaneReport {
    /// The lane.
    pub id: LaneId,
    /// What.
    pub service: ServiceName,
    /// Where.
    pub target: TargetName,
    /// The release that it led to.
    pub release: Option<ReleaseId>,
    /// Where it is.
    pub status: LaneStatus,
    /// Its steps in the plan's order.
    pub steps: Vec<StepReport>,
}

impl LaneReport {
    /// Why it failed: the failure of its first step that has one.
    pub fn failure(&self) -> Option<&Failure> {
        self.steps.iter().find_map(|step| step.failure.as_ref())
    }

    /// The step that could not be taken back, and why.
    pub fn left(&self) -> Option<(&StepReport, &Failure)> {
        self.all_left().next()
    }

    /// All steps that are still there though they were to be taken back, the last one first: the order in which to
    /// finish it. The first could not be taken back, those after it had to wait for it.
    pub fn all_left(&self) -> impl Iterator<Item = (&StepReport, &Failure)> {
        self.steps.iter().rev().filter_map(|step| step.undo_failure.as_ref().map(|failure| (step, failure)))
    }
}

/// What came of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepReport {
    /// The step.
    pub name: StepName,
    /// What it does, for people.
    pub summary: String,
    /// What is known of it.
    pub condition: Condition,
    /// Attempts in all.
    pub attempts: u32,
    /// When the first attempt began.
    pub started: Option<Timestamp>,
    /// When the last attempt ended.
    pub ended: Option<Timestamp>,
    /// Whether it changed something.
    pub change: Option<Change>,
    /// What was read back.
    pub evidence: Option<Evidence>,
    /// Why it failed or is unknown.
    pub failure: Option<Failure>,
    /// Why it could not be taken back.
    pub undo_failure: Option<Failure>,
}

/// A snapshot that could not be captured or proven.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UnprovenSnapshot {
    /// Which.
    pub id: SnapshotId,
    /// Why.
    pub failure: Failure,
}

impl Report {
    /// Folds a journal.
    pub fn fold(records: &[Record]) -> Result<Self, Illegal> {
        State::replay(records).map(|state| Self::of(&state))
    }

    /// What a state has come to.
    pub fn of(state: &State) -> Self {
        let plan = state.plan();
        let consent = state.approved().consent();
        Self {
            run: state.run().clone(),
            plan: state.approved().id().clone(),
            environment: plan.environment.clone(),
            operation: plan.operation.clone(),
            by: consent.by.clone(),
            agreed: consent.at,
            how: consent.how.clone(),
            answers: consent.answers.clone(),
            started: state.started(),
            ended: state.ended(),
            outcome: state.outcome(),
            cause: state.cause(),
            lanes: state.lanes().map(|(plan, lane)| lane_report(plan, lane)).collect(),
            // By its failure and not its status: it is discarded on the way back.
            unproven: state
                .snapshots()
                .filter_map(|(plan, _, failure)| {
                    failure.map(|failure| UnprovenSnapshot { id: plan.id.clone(), failure: failure.clone() })
                })
                .collect(),
        }
    }

    /// The exit code that a program ends with: see the table in the design.
    ///
    /// 0 done · 110 taken back · 111 held · 112 something could not be taken back · 113 not ended · 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match (self.outcome, self.cause) {
            (Some(Outcome::Succeeded), _) | (Some(Outcome::RolledBack), Cause::Request) => 0,
            (Some(Outcome::RolledBack), Cause::Interrupt) => 130,
            (Some(Outcome::RolledBack), _) => 110,
            (Some(Outcome::Held), _) => 111,
            (Some(Outcome::Stuck), _) => 112,
            (None, _) => 113,
        }
    }
}

fn lane_report(plan: &Lane, state: &LaneState) -> LaneReport {
    LaneReport {
        id: plan.id.clone(),
        service: plan.service.clone(),
        target: plan.target.clone(),
        release: plan.release.clone(),
        status: state.status,
        steps: plan.steps.iter().zip(&state.steps).map(|(plan, state)| step_report(plan, state)).collect(),
    }
}

fn step_report(plan: &Step, state: &StepState) -> StepReport {
    StepReport {
        name: plan.name.clone(),
        summary: plan.summary.clone(),
        condition: state.condition,
        attempts: state.attempts,
        started: state.started,
        ended: state.ended,
        change: state.change.clone(),
        evidence: state.evidence.clone(),
        failure: state.failure.clone(),
        undo_failure: state.undo_failure.clone(),
    }
}
