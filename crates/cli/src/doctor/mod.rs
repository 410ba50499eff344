//! `pleach doctor`: what is missing, and how to get it.
//!
//! A finding is a fact that was just looked at, with a command that mends it; no finding changes anything but for one
//! file that is written into the state directory and removed again.

mod builder;
mod config;
mod finding;
mod host;
mod machine;
mod state;

pub(crate) use builder::builder_finding;
pub(crate) use config::{config_findings, port_findings, secret_findings};
pub(crate) use finding::{Finding, Level};
pub(crate) use host::host_findings;
pub(crate) use machine::machine_findings;
pub(crate) use state::{clock_findings, place_findings, run_findings, worktree_findings};
