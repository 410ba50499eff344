//! Work that can be inspected, applied and undone.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Failure, Kind};
use crate::port::{Call, Containers, FencingToken, Files, Http, LineSink, Shell};
use crate::snapshot::RestorePoint;
use crate::target::{Facet, Target};
use crate::word::{LaneId, PhaseName, PlanId, RunId, ServiceName, SnapshotId, StepName};

/// What was read back from a target to show that something is done. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Evidence(String);

impl Evidence {
    /// What was seen, in words: "`current` points to `0007-ab12cd34`".
    pub fn seen(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing was said; the engine takes that as a defect of the phase.
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a step is taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Reversal {
    /// It changes nothing that lasts.
    Nothing,
    /// [`Phase::undo`].
    Undo,
    /// These snapshots are restored.
    Restore {
        /// Snapshots of the same plan.
        snapshots: Vec<SnapshotId>,
    },
    /// There is no way back: only forward.
    ForwardOnly,
}

/// What an inspection saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Inspection {
    /// The target is as the step wants it.
    Settled {
        /// What was read back.
        evidence: Evidence,
        /// What [`Phase::apply`] would have given, for later steps.
        output: Value,
    },
    /// The step would change this.
    Pending {
        /// One line a change, for people.
        changes: Vec<String>,
    },
}

/// Whether applying a step changed its target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It did.
    Changed,
    /// All was as wanted already; there is nothing to undo.
    Unchanged,
    /// It did, and a person should know this.
    Warned(String),
}

/// What applying a step did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// Whether the target changed.
    pub change: Change,
    /// For later steps of the same service and target, by this step's name. Plain data that may be shown.
    pub output: Value,
    /// What was read back.
    pub evidence: Evidence,
}

impl Applied {
    /// The target changed, and `evidence` was read back.
    pub fn changed(evidence: impl Into<String>) -> Self {
        Self { change: Change::Changed, output: Value::Null, evidence: Evidence::seen(evidence) }
    }

    /// All was as wanted already, as `evidence` shows.
    pub fn unchanged(evidence: impl Into<String>) -> Self {
        Self { change: Change::Unchanged, ..Self::changed(evidence) }
    }

    /// Hands `output` to later steps.
    #[must_use]
    pub fn output(mut self, output: Value) -> Self {
        self.output = output;
        self
    }
}

/// What is known of the step that is to be undone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Leftover {
    /// It was applied and gave this output.
    Completed {
        /// As [`Applied::output`].
        output: Value,
    },
    /// It failed, was interrupted, or nothing is known: anything between untouched and done.
    Unknown,
}

/// The same for every attempt of one step of one plan, and for no other step: what a receiver may use to recognise a
/// repeated request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct IdempotencyKey(pub String);

/// What earlier steps of the same service and target gave, by step name, also those of earlier stages.
pub type Outputs = BTreeMap<StepName, Value>;

/// All that a phase may know while it works on one step.
#[derive(Clone, Copy)]
pub struct StepContext<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The plan.
    pub plan: &'a PlanId,
    /// The lane.
    pub lane: &'a LaneId,
    /// What is deployed.
    pub service: &'a ServiceName,
    /// The step.
    pub step: &'a StepName,
    /// The step's parameters, as planned.
    pub parameters: &'a Value,
    /// 1 for the first.
    pub attempt: u32,
    /// The same for every attempt.
    pub key: &'a IdempotencyKey,
    /// Where.
    pub target: &'a dyn Target,
    /// What earlier steps gave.
    pub outputs: &'a Outputs,
    /// The snapshots that this run took of the target.
    pub restore_point: &'a RestorePoint,
    /// The lease's token, for every write.
    pub token: FencingToken,
    /// Takes lines for people as they come.
    pub lines: &'a dyn LineSink,
    /// Set when the step should stop at the next safe point.
    pub cancel: &'a CancellationToken,
    /// When the engine will stop waiting.
    pub deadline: Instant,
}

impl<'a> StepContext<'a> {
    /// Reads the parameters as `T`. Wrong ones are a defect: planning made them.
    pub fn require_parameters<T: serde::de::DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_value(self.parameters.clone()).map_err(|error| {
            Failure::new(Kind::Internal, format!("could not read the parameters of step `{}`", self.step))
                .because(error.to_string())
        })
    }

    /// Reads what the step `name` gave as `T`; `None` if it has not run.
    pub fn output<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(value) = self.outputs.get(name) else { return Ok(None) };
        serde_json::from_value(value.clone()).map(Some).map_err(|error| {
            Failure::new(Kind::Internal, format!("could not read what step `{name}` gave to step `{}`", self.step))
                .because(error.to_string())
        })
    }

    /// The target's shell.
    pub fn require_shell(&self) -> Result<&'a dyn Shell, Failure> {
        self.target.shell().ok_or_else(|| self.lacks("runs no commands"))
    }

    /// The target's files.
    pub fn require_files(&self) -> Result<&'a dyn Files, Failure> {
        self.target.files().ok_or_else(|| self.lacks("keeps no files"))
    }

    /// The target's view of HTTP.
    pub fn require_http(&self) -> Result<&'a dyn Http, Failure> {
        self.target.http().ok_or_else(|| self.lacks("sends no requests"))
    }

    /// The target's engine of containers.
    pub fn require_containers(&self) -> Result<&'a dyn Containers, Failure> {
        self.target.containers().ok_or_else(|| self.lacks("runs no containers"))
    }

    /// What goes along with a call to a port.
    pub fn call(&self) -> Call<'a> {
        Call { token: Some(self.token), lines: self.lines, cancel: self.cancel }
    }

    /// The time that is left.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn lacks(&self, what: &str) -> Failure {
        Failure::new(Kind::Unsupported, format!("target `{}` {what}", self.target.id()))
    }
}

/// A kind of work that can be inspected, applied and undone.
///
/// A phase is found again by its name after a crash, so all that an attempt needs is in its context. It retries
/// nothing and limits no time: the engine does. Its futures may be dropped at any await.
#[async_trait]
pub trait Phase: Send + Sync {
    /// The key in the registry and in plans.
    fn name(&self) -> &PhaseName;

    /// What a target must be able to do; planning refuses the phase elsewhere.
    fn needs(&self) -> &[Facet];

    /// Looks whether the target is as the step wants it. Changes nothing.
    async fn inspect(&self, cx: &StepContext<'_>) -> Result<Inspection, Failure>;

    /// Makes the target as the step wants it, also where an earlier attempt was interrupted anywhere.
    ///
    /// An error of kind [`Kind::Transient`] says that nothing was changed and a later attempt may succeed;
    /// [`Kind::UnknownOutcome`] makes the engine inspect before it decides.
    async fn apply(&self, cx: &StepContext<'_>) -> Result<Applied, Failure>;

    /// Undoes whatever [`apply`](Self::apply) may have done.
    ///
    /// Called also when the outcome is unknown and more than once, so it succeeds on an untouched target.
    async fn undo(&self, cx: &StepContext<'_>, leftover: &Leftover) -> Result<Evidence, Failure>;
}
