//! Capturing, proving and restoring one kind of state.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Failure, Kind};
use crate::phase::Evidence;
use crate::port::{Call, FencingToken, LineSink};
use crate::target::{Facet, Target};
use crate::word::{RunId, ServiceName, SnapshotId, SnapshotKind};

/// What a snapshot left behind so that it can be found, proven and restored: plain data, never a secret.
pub type SnapshotRecord = Value;

/// All snapshots that one run took of one target, by id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RestorePoint {
    records: BTreeMap<SnapshotId, SnapshotRecord>,
}

impl RestorePoint {
    /// Adds what a snapshot left behind.
    pub fn insert(&mut self, id: SnapshotId, record: SnapshotRecord) {
        self.records.insert(id, record);
    }

    /// What the snapshot left behind; an error if it was not taken.
    pub fn require_record(&self, id: &SnapshotId) -> Result<&SnapshotRecord, Failure> {
        let missing = || Failure::new(Kind::Internal, format!("no snapshot `{id}` belongs to this restore point"));
        self.records.get(id).ok_or_else(missing)
    }

    /// All records, by id.
    pub fn records(&self) -> impl Iterator<Item = (&SnapshotId, &SnapshotRecord)> {
        self.records.iter()
    }
}

/// All that a snapshot may know while it works.
#[derive(Clone, Copy)]
pub struct SnapshotContext<'a> {
    /// The run.
    pub run: &'a RunId,
    /// Which snapshot of the plan.
    pub id: &'a SnapshotId,
    /// The service that it covers; `None` for the whole target.
    pub service: Option<&'a ServiceName>,
    /// As planned.
    pub parameters: &'a Value,
    /// Where.
    pub target: &'a dyn Target,
    /// The lease's token, for every write.
    pub token: FencingToken,
    /// Takes lines for people as they come.
    pub lines: &'a dyn LineSink,
    /// Set when it should stop at the next safe point.
    pub cancel: &'a CancellationToken,
    /// When the engine will stop waiting.
    pub deadline: Instant,
}

impl<'a> SnapshotContext<'a> {
    /// Reads the parameters as `T`. Wrong ones are a defect: planning made them.
    pub fn require_parameters<T: serde::de::DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_value(self.parameters.clone()).map_err(|error| {
            Failure::new(Kind::Internal, format!("could not read the parameters of snapshot `{}`", self.id))
                .because(error.to_string())
        })
    }

    /// What goes along with a call to a port.
    pub fn call(&self) -> Call<'a> {
        Call { token: Some(self.token), lines: self.lines, cancel: self.cancel }
    }
}

/// How to capture, prove, restore and discard one kind of state.
///
/// Like a phase it is found again by name, retries nothing, limits no time, and each call may be repeated.
#[async_trait]
pub trait Snapshot: Send + Sync {
    /// The key in the registry and in plans.
    fn kind(&self) -> &SnapshotKind;

    /// What a target must be able to do.
    fn needs(&self) -> &[Facet];

    /// Captures the state. An earlier capture of the same id that was interrupted is replaced.
    async fn capture(&self, cx: &SnapshotContext<'_>) -> Result<SnapshotRecord, Failure>;

    /// Reads the capture back and shows that it can be restored.
    async fn prove(&self, cx: &SnapshotContext<'_>, record: &SnapshotRecord) -> Result<Evidence, Failure>;

    /// Brings the state back. Succeeds on a target that still has it.
    async fn restore(&self, cx: &SnapshotContext<'_>, record: &SnapshotRecord) -> Result<Evidence, Failure>;

    /// Refuses where another run has changed since what this one left: what it would do now, on or back, is no longer right.
    /// Asked before a run that has stopped is gone on with, and of what it had captured. Changes nothing.
    async fn require_own(&self, _: &SnapshotContext<'_>, _: &SnapshotRecord) -> Result<(), Failure> {
        Ok(())
    }

    /// Refuses where the capture can no longer be restored. Asked before a run that has come to its end is taken back.
    /// Changes nothing.
    async fn require_restorable(&self, cx: &SnapshotContext<'_>, record: &SnapshotRecord) -> Result<(), Failure> {
        self.prove(cx, record).await.map(drop)
    }

    /// Gives up what the capture holds. Succeeds where nothing is left. The record is null if the capture was
    /// interrupted: then whatever it left for this id is given up.
    async fn discard(&self, cx: &SnapshotContext<'_>, record: &SnapshotRecord) -> Result<Evidence, Failure>;
}
