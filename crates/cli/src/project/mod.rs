//! What a command works on: the repository with its state (a [`Workspace`]), and the config on top (a [`Project`]).
//!
//! Commands that go on with what was begun (`resume`, `report`, `runs`, a rollback of a run) need no config: a plan
//! carries all that it needs, and a `pleach.toml` that was broken since must not stand in the way.

mod config;
mod script;
mod workspace;

pub(crate) use config::{Project, Proven, ProvenService, listed};
pub(crate) use script::read_version;
pub(crate) use workspace::{Workspace, untouched};
