//! How a kind of target turns a service into steps: the pure half of an adapter.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::model::{Operation, Step};
use crate::config::{Config, ServiceConfig, TargetConfig};
use crate::error::Failure;
use crate::period::Period;
use crate::port::{ImageId, ProjectImages};
use crate::target::Facts;
use crate::word::{CommitId, EnvironmentName, ReleaseId, ServiceName, SnapshotKind, TargetName};

/// What a recipe is asked for: one service on one target.
#[derive(Clone, Copy)]
pub struct DraftRequest<'a> {
    /// All of the config.
    pub config: &'a Config,
    /// Where.
    pub environment: &'a EnvironmentName,
    /// What for.
    pub operation: &'a Operation,
    /// What.
    pub service: &'a ServiceName,
    /// Its config.
    pub service_config: &'a ServiceConfig,
    /// What is deployed.
    pub commit: &'a CommitId,
    /// The files of that commit that its scripts name, by their paths in the repository.
    pub scripts: &'a BTreeMap<PathBuf, String>,
    /// The images to use as they are, by platform and digest; one is built if there are none.
    pub images: &'a BTreeMap<String, ImageId>,
    /// The same of a Compose project: the images of its services by platform; they are built and pulled if there are none.
    pub project: &'a BTreeMap<String, ProjectImages>,
    /// Which version the commit is, where that was read.
    pub version: Option<&'a str>,
    /// Where to.
    pub target: &'a TargetName,
    /// Its config.
    pub target_config: &'a TargetConfig,
    /// What was read from the target.
    pub facts: &'a Facts,
}

/// When a step has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// With its service.
    Main,
    /// After all services are done and healthy: what makes the way back slower, such as stopping the old release.
    Finish,
}

/// A step and its turn.
#[derive(Clone, Debug, PartialEq)]
pub struct DraftStep {
    /// When.
    pub turn: Turn,
    /// What.
    pub step: Step,
}

/// What a recipe gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// The release that the steps lead to.
    pub release: Option<ReleaseId>,
    /// In order. Empty if the target has all that is wanted already.
    pub steps: Vec<DraftStep>,
    /// The snapshots to take first: kind and parameters.
    pub snapshots: Vec<(SnapshotKind, Value)>,
    /// The facts that the draft relies on.
    pub expects: Facts,
    /// What the target itself does to be as it was before, when nobody is left to do it: see [`Recipe::watch`].
    pub way_back: Vec<Value>,
}

/// What a recipe is asked for once all drafts for one target are there.
#[derive(Clone, Copy)]
pub struct WatchRequest<'a> {
    /// The target.
    pub target: &'a TargetName,
    /// What was read from it.
    pub facts: &'a Facts,
    /// How long it waits for a sign of life.
    pub deadline: Period,
    /// The drafts' ways back, in the order of the services.
    pub way_back: &'a [Value],
}

/// How a target takes itself back unless somebody confirms.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    /// The snapshot that arms it.
    pub snapshot: (SnapshotKind, Value),
    /// The step that confirms: the first of each lane's last stage.
    pub confirm: Step,
}

/// Turns a service into steps for one kind of target. Pure: the same request gives the same draft.
pub trait Recipe: Send + Sync {
    /// The kind of target, as in the config.
    fn kind(&self) -> &str;

    /// The draft, or every reason why there is none.
    fn draft(&self, request: &DraftRequest<'_>) -> Result<Draft, Vec<Failure>>;

    /// How the target takes itself back when nobody gives a sign of life any more; `None` if it cannot.
    fn watch(&self, _: &WatchRequest<'_>) -> Result<Option<Watch>, Failure> {
        Ok(None)
    }
}
