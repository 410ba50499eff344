//! Why an engine cannot be asked, and what its host needs for that.

use serde::{Deserialize, Serialize};

/// What is missing, as facts `docker/missing` and `docker/builder-missing` of a target say it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingEngine {
    /// Nothing listens at the socket.
    Absent,
    /// The user may not use the socket.
    Rights,
    /// It is there, and its API lacks what is needed.
    Old {
        /// What it speaks: `1.26`.
        api: String,
    },
}

impl MissingEngine {
    /// What to do about it; `typed` says how somebody types a command that the host is to run.
    pub fn advice(&self, typed: impl Fn(&str) -> String) -> String {
        match self {
            Self::Absent => format!(
                "start it with {}, or install it with {}",
                typed("sudo systemctl start docker"),
                typed("sudo apt-get install docker.io")
            ),
            Self::Rights => format!("{}, then log in anew", typed("sudo usermod -aG docker \"$(id -un)\"")),
            Self::Old { .. } => {
                format!("bring it to 19.03 or newer with {}", typed("sudo apt-get install --only-upgrade docker.io"))
            }
        }
    }
}
