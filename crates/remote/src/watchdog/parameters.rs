//! What plans carry of a watchdog.

use std::path::PathBuf;

use pleach_core::period::Period;
use serde::{Deserialize, Serialize};

use super::instruction::Instruction;
use super::watch::Watchdog;
use crate::guard::Guard;

/// The name of the snapshot in plans.
pub const KIND: &str = "watchdog";

/// The name of the phase that confirms, in plans.
pub const CONFIRM: &str = "watchdog-confirm";

/// Of the snapshot and of the phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WatchdogParameters {
    /// The guard's folder on the target.
    pub folder: PathBuf,
    /// How long it waits for a sign of life.
    pub deadline: Period,
    /// What it does then. A command's word `{run}` stands for the run's id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instructions: Vec<Instruction>,
}

impl WatchdogParameters {
    pub(super) fn watchdog(&self) -> Watchdog {
        Watchdog::new(Guard::new(&self.folder))
    }
}
