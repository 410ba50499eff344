//! How a failure is told: what, because, state, next.
//!
//! Each module has its own error enum with one variant per thing that a caller could do differently. Where an error
//! crosses a port it becomes a [`Failure`]: the same four parts as plain data, so that it can be journaled, sent as an
//! event and printed by one printer, also in another process and a week later.

use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a failure means for whoever has to decide what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Might succeed when tried again; nothing was changed.
    Transient,
    /// The other side understood and said no; trying again gives the same answer.
    Rejected,
    /// It is not known whether the change happened: a time limit passed or a link was lost.
    UnknownOutcome,
    /// Something else changed, holds or occupies what is needed.
    Conflict,
    /// Stopped because somebody asked for it.
    Cancelled,
    /// The target or adapter has no way to do this.
    Unsupported,
    /// A defect in Pleach itself.
    Internal,
}

/// A path as one word of a command that is to be pasted into a shell.
pub fn quote_path(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// An error that can tell its four parts.
///
/// `Display` is *what* was being done to what (lower case, no full stop, names in backticks) and never contains its
/// source; the source chain is *because*.
pub trait Explain: std::error::Error {
    /// What the failure means for retry and unwinding.
    fn kind(&self) -> Kind;
    /// The state that the target or file is in now.
    fn state(&self) -> Option<String> {
        None
    }
    /// A command or an action that mends it; commands in backticks.
    fn next(&self) -> Option<String> {
        None
    }
    /// The last lines that a failed command printed, oldest first.
    fn output(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A failure as plain data: the four parts, its kind, and the last output of a failed command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Drives retry and unwinding.
    pub kind: Kind,
    /// What was being done to what.
    pub what: String,
    /// The chain of causes, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// The state that the target is in now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// A command that can be pasted, or what to do before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The last lines that the failed command printed, at most [`OUTPUT_LINES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
}

/// How many of a failed command's last lines are kept.
pub const OUTPUT_LINES: usize = 20;

impl Failure {
    /// A failure that is told by `what` alone; add the other parts with the `because`, `state` and `next` methods.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), because: Vec::new(), state: None, next: None, output: Vec::new() }
    }

    /// What it is in a larger failure: causes of that, `what` first.
    pub fn causes(&self) -> Vec<String> {
        std::iter::once(&self.what).chain(&self.because).cloned().collect()
    }

    /// Adds a cause, behind those that are there.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.because.push(cause.into());
        self
    }

    /// Says what state things are in now.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// Says what to do next; commands in backticks.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Keeps the last [`OUTPUT_LINES`] of `lines`.
    #[must_use]
    pub fn output(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.output = lines.into_iter().collect();
        let surplus = self.output.len().saturating_sub(OUTPUT_LINES);
        self.output.drain(..surplus);
        self
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut because = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            because.push(cause.to_string());
            // A failure holds its own causes as text.
            let failure =
                cause.downcast_ref::<Failure>().or_else(|| Some(cause.downcast_ref::<Box<Failure>>()?.as_ref()));
            because.extend(failure.into_iter().flat_map(|failure| failure.because.iter().cloned()));
            source = cause.source();
        }
        let mut failure = Self::new(error.kind(), error.to_string()).output(error.output());
        failure.because = because;
        failure.state = error.state();
        failure.next = error.next();
        failure
    }
}

/// *What* alone; the printer adds the rest.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not write `{0}`")]
    struct Outer(&'static str, #[source] std::io::Error);

    impl Explain for Outer {
        fn kind(&self) -> Kind {
            Kind::Rejected
        }
        fn next(&self) -> Option<String> {
            Some("free some space".into())
        }
    }

    #[test]
    fn the_source_chain_is_told_once_and_not_in_what() {
        let failure = Failure::from(Outer("x", std::io::Error::other("no space left")));
        assert_eq!(failure.what, "could not write `x`");
        assert_eq!(failure.because, ["no space left"]);
        assert_eq!(failure.next.as_deref(), Some("free some space"));
    }

    #[derive(Debug, thiserror::Error)]
    #[error("could not ask the target")]
    struct Around(#[source] Box<Failure>);

    impl Explain for Around {
        fn kind(&self) -> Kind {
            self.0.kind
        }
    }

    #[test]
    fn the_causes_of_a_failure_that_is_a_cause_are_told_as_well() {
        let inner = Failure::new(Kind::Transient, "could not connect").because("the name has no address");
        let failure = Failure::from(Around(Box::new(inner)));
        assert_eq!(failure.because, ["could not connect", "the name has no address"]);
    }

    #[test]
    fn only_the_last_lines_of_output_are_kept() {
        let failure = Failure::new(Kind::Internal, "x").output((0..30).map(|n| n.to_string()));
        assert_eq!(failure.output.len(), OUTPUT_LINES);
        assert_eq!(failure.output.last().map(String::as_str), Some("29"));
    }
}
