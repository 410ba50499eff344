//! One thing that was looked at.

use serde::Serialize;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// Works, and should be looked at.
    Warn,
    /// Something will not work.
    Fail,
}

/// What was looked at, what was seen, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    pub(crate) subject: String,
    pub(crate) seen: String,
    /// A command, or words with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mend: Option<String>,
}

impl Finding {
    /// All is well.
    pub(crate) fn ok(subject: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { level: Level::Ok, subject: subject.into(), seen: seen.into(), mend: None }
    }

    /// Should be looked at.
    pub(crate) fn warn(subject: impl Into<String>, seen: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { level: Level::Warn, subject: subject.into(), seen: seen.into(), mend: Some(mend.into()) }
    }

    /// Will not work.
    pub(crate) fn fail(subject: impl Into<String>, seen: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { level: Level::Fail, subject: subject.into(), seen: seen.into(), mend: Some(mend.into()) }
    }
}
