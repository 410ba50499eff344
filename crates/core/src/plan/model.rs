//! The shape of a plan.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::policy::{Policy, Retry};
use crate::period::Period;
use crate::phase::Reversal;
use crate::target::Facts;
use crate::word::{
    CommitId, EnvironmentName, LaneId, PhaseName, PlanId, ReleaseId, RunId, ServiceName, SnapshotId, SnapshotKind,
    StageName, StepName, TargetName,
};

/// The version of a plan's form.
pub const FORMAT: u32 = 1;

/// What the plan is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "operation")]
pub enum Operation {
    /// New releases from the services' commits.
    Deploy,
    /// Back to, or forward to, a release that the targets have kept.
    Switch {
        /// Which.
        release: ReleaseId,
    },
    /// Stops the services and keeps their releases.
    Stop,
    /// Starts anew what runs, at the releases that it has.
    Restart {
        /// Only a part of each: a service of its Compose project, or a name that the config gives to some of these.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<String>,
    },
    /// Keeps what the services have beside their releases until it is removed by name: that of the run that makes it.
    Backup,
    /// Puts back what a backup keeps, and the release that was current when it was made.
    Restore {
        /// The run that made it.
        backup: RunId,
    },
    /// Removes a backup.
    Forget {
        /// The run that made it.
        backup: RunId,
    },
}

impl Operation {
    /// Whether what is live, and its data, may be another once it is done. A restart brings back what was.
    pub const fn changes_what_is_live(&self) -> bool {
        match self {
            Self::Deploy | Self::Switch { .. } | Self::Stop | Self::Restore { .. } => true,
            Self::Restart { .. } | Self::Backup | Self::Forget { .. } => false,
        }
    }

    /// What is done, in a word: `deploy`, `switch`, `stop`, `restart`, `backup`, `restore` or `forget`.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Switch { .. } => "switch",
            Self::Stop => "stop",
            Self::Restart { .. } => "restart",
            Self::Backup => "backup",
            Self::Restore { .. } => "restore",
            Self::Forget { .. } => "forget",
        }
    }
}

/// The frozen, complete list of what will be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// The project's name.
    pub project: String,
    /// Where.
    pub environment: EnvironmentName,
    /// What for.
    pub operation: Operation,
    /// When it was made.
    pub made: Timestamp,
    /// How the run behaves.
    pub policy: Policy,
    /// What is deployed.
    pub services: Vec<PlannedService>,
    /// Where to, and what is expected there.
    pub targets: Vec<PlannedTarget>,
    /// What is captured and proven before the first change.
    pub snapshots: Vec<SnapshotPlan>,
    /// What is done, in order.
    pub stages: Vec<Stage>,
}

impl Plan {
    /// The digest of its canonical form.
    pub fn id(&self) -> PlanId {
        super::digest::plan_id(self)
    }

    /// All lanes in order.
    pub fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.stages.iter().flat_map(|stage| &stage.lanes)
    }

    /// Whether nothing would be done.
    pub fn is_empty(&self) -> bool {
        self.lanes().all(|lane| lane.steps.is_empty())
    }
}

/// One service of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedService {
    /// Its name.
    pub name: ServiceName,
    /// The branch that the commit was read from.
    pub branch: String,
    /// What is deployed.
    pub commit: CommitId,
    /// The commit's subject, for people.
    #[serde(default)]
    pub subject: String,
}

/// One target of a plan: all that a later process needs to reach it without the config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedTarget {
    /// Its name.
    pub name: TargetName,
    /// Its kind, as in the config: which adapter it takes.
    pub kind: String,
    /// The adapter's settings, with secrets by name only.
    pub settings: Value,
    /// The facts that the plan relies on. The run is refused if a probe says otherwise.
    pub expects: Facts,
}

/// One snapshot that will be taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SnapshotPlan {
    /// Unique in the plan.
    pub id: SnapshotId,
    /// Which kind.
    pub kind: SnapshotKind,
    /// Of which target.
    pub target: TargetName,
    /// Of which service; `None` for the whole target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// The kind's parameters.
    pub parameters: Value,
    /// The longest that one call may take.
    pub time_limit: Period,
}

/// Lanes that may run side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stage {
    /// Unique in the plan.
    pub name: StageName,
    /// In the order in which they start.
    pub lanes: Vec<Lane>,
}

/// The steps of one service on one target, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lane {
    /// Unique in the plan: `STAGE/SERVICE@TARGET`.
    pub id: LaneId,
    /// What.
    pub service: ServiceName,
    /// Where.
    pub target: TargetName,
    /// The release that it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// In order.
    pub steps: Vec<Step>,
}

/// One phase bound to one service, one target and its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// Unique in the lane, and among all lanes of the same service and target.
    pub name: StepName,
    /// Which phase.
    pub phase: PhaseName,
    /// What it does, in words, for people.
    pub summary: String,
    /// The phase's parameters, with secrets by name only.
    pub parameters: Value,
    /// How it is taken back.
    pub reversal: Reversal,
    /// The longest that one attempt may take, inspection and undo likewise.
    pub time_limit: Period,
    /// How often it is tried.
    pub retry: Retry,
    /// A command that finishes taking it back by hand, shown if the undo fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_by_hand: Option<String>,
}
