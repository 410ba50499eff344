//! The plan: all that will be done, frozen.
//!
//! `plan` is a pure function of config, facts, commits and selection. It returns all problems at once or a [`Plan`] that
//! names everything: commits by hash, steps with their parameters and limits, snapshots, retries, policy, and what it
//! expects to find on each target. The engine adds no choice to it.

mod approve;
pub(crate) mod digest;
mod expect;
mod make;
mod model;
mod order;
mod policy;
mod recipe;
mod render;
mod select;
mod sound;
mod version;

pub use approve::{ApproveError, ApprovedPlan, Consent, approve};
pub use expect::{Mismatch, mismatches};
pub use make::{PlanInput, ServiceSource, TargetDescription, plan};
pub use model::{FORMAT, Lane, Operation, Plan, PlannedService, PlannedTarget, SnapshotPlan, Stage, Step};
pub use order::{Cycle, levels};
pub use policy::{BatchSize, Limits, OnFailure, Policy, Retry};
pub use recipe::{Draft, DraftRequest, DraftStep, Recipe, Turn, Watch, WatchRequest};
pub use render::{Detail, render};
pub use version::version_of;
