//! The processes of releases, as their records tell.

use pleach_core::port::ExitStatus;
use serde::{Deserialize, Serialize};

/// What a record and `/proc` say together about a release's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Supervised and running.
    Running,
    /// Supervised and, after a crash, about to be started again.
    Restarting,
    /// Supervised and asked to end.
    Ending,
    /// Running, but its supervisor is gone: nobody starts it again after a crash.
    Orphaned,
    /// Neither.
    Stopped,
}

impl InstanceState {
    /// Whether something runs or will.
    pub fn is_up(self) -> bool {
        self != Self::Stopped
    }

    /// Whether something runs and nobody has asked it to end.
    pub fn stays(self) -> bool {
        self.is_up() && self != Self::Ending
    }
}

/// How a command ended, in words.
pub fn told_status(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("exited with {code}"),
        ExitStatus::Signal(signal) => format!("was ended by signal {signal}"),
    }
}
