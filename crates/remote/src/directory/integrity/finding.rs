//! What is found to be different.

use serde::Serialize;

/// What was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckedPart {
    /// The current release: that there is one, and its files.
    Release,
    /// Its image, or those of its Compose project.
    Image,
    /// What runs of it on an engine.
    Container,
    /// What a deployment can be taken back to.
    RestorePoint,
    /// What the target's proxy runs.
    Proxy,
}

/// One difference between what is on a target and what was deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What was compared.
    pub part: CheckedPart,
    /// What is different.
    pub what: String,
    /// What shows it.
    pub because: String,
    /// What to look at, or how to mend it; commands in backticks.
    pub next: String,
}
