//! The nouns that name things: validated once, then passed around by type.
//!
//! Names become file names, environment variables, branch and container names, so all of them share one alphabet:
//! ASCII letters, digits, `-`, `_` and `.`, starting with a letter or digit, at most 63 bytes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest name in bytes: what a DNS label and a container name can hold.
pub const NAME_LIMIT: usize = 63;

/// The alphabet, length and first character of names, as a regular expression for the JSON Schema.
pub const NAME_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$";
const COMMIT_PATTERN: &str = "^([0-9a-f]{40}|[0-9a-f]{64})$";
const ANY_PATTERN: &str = "^(.|\\n)+$";

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name needs at least one character")]
    Empty,
    /// More than [`NAME_LIMIT`] bytes.
    #[error("`{0}` is longer than {NAME_LIMIT} bytes")]
    TooLong(String),
    /// A character outside the alphabet, or a first one that is not a letter or digit.
    #[error("`{0}` has `{1}`; a name is ASCII letters, digits, `-`, `_`, `.` and starts with a letter or digit")]
    Character(String, char),
    /// Not a full hexadecimal object id.
    #[error("`{0}` is not a commit id of 40 or 64 hexadecimal digits")]
    NotACommit(String),
}

fn check_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_LIMIT {
        return Err(NameError::TooLong(text.to_owned()));
    }
    let foreign = |(at, c): &(usize, char)| !(c.is_ascii_alphanumeric() || (*at > 0 && matches!(c, '-' | '_' | '.')));
    match text.char_indices().find(foreign) {
        Some((_, c)) => Err(NameError::Character(text.to_owned(), c)),
        None => Ok(()),
    }
}

fn check_commit(text: &str) -> Result<(), NameError> {
    let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if hex && matches!(text.len(), 40 | 64) { Ok(()) } else { Err(NameError::NotACommit(text.to_owned())) }
}

// One macro, because the standard traits of fourteen newtypes are the same forty lines each.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $check:expr, $pattern:expr, $example:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String", extend("pattern" = $pattern, "examples" = [$example]))]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and keeps it.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(text.as_ref()).map(|()| Self(text.as_ref().into()))
            }

            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> String {
                word.0.as_ref().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

/// Anything but nothing: for ids that are made by joining names.
fn check_any(text: &str) -> Result<(), NameError> {
    if text.is_empty() { Err(NameError::Empty) } else { Ok(()) }
}

word!(/// What is deployed, by name.
    ServiceName, check_name, NAME_PATTERN, "pr-review");
word!(/// A place to deploy to, by name; unique in its environment.
    TargetName, check_name, NAME_PATTERN, "here");
word!(/// A named set of targets with a policy: `local`, `uat`, `prod`.
    EnvironmentName, check_name, NAME_PATTERN, "local");
word!(/// A line of images that is kept apart from others, by name: `uat` in `NAME:uat-v1.2.3`.
    ChannelName, check_name, NAME_PATTERN, "uat");
word!(/// A kind of work, by name: the key under which a resumed run finds it again.
    PhaseName, check_name, NAME_PATTERN, "local-build");
word!(/// A kind of snapshot, by name.
    SnapshotKind, check_name, NAME_PATTERN, "pg-dump");
word!(/// One step, by name; unique in its lane. Usually the name of its phase.
    StepName, check_name, NAME_PATTERN, "build");
word!(/// One script of a service, by name; its step is `script-NAME`.
    ScriptName, check_name, NAME_PATTERN, "migrate");
word!(/// One stage, by name; unique in its plan.
    StageName, check_name, NAME_PATTERN, "deploy");
word!(/// One lane: `STAGE/SERVICE@TARGET`.
    LaneId, check_any, ANY_PATTERN, "deploy/pr-review@here");
word!(/// One snapshot of one plan: `KIND/SERVICE@TARGET` or `KIND@TARGET`.
    SnapshotId, check_any, ANY_PATTERN, "pg-dump/pr-review@here");
word!(/// One execution of a plan: time and a part of the plan's digest, so that names sort by age.
    RunId, check_name, NAME_PATTERN, "20251021T143522-ab12cd34");
word!(/// What a target runs: a number that grows and the short commit, `0007-ab12cd34`.
    ReleaseId, check_name, NAME_PATTERN, "0007-ab12cd34");
word!(/// The SHA-256 of a plan's canonical form, in hexadecimal.
    PlanId, check_commit, COMMIT_PATTERN, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
word!(/// A full object id of git.
    CommitId, check_commit, COMMIT_PATTERN, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");

impl CommitId {
    /// The first eight digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

impl PlanId {
    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_be_paths_or_options_are_refused() {
        for bad in ["", "-x", ".x", "a/b", "a b", "ä", "..", &"x".repeat(64)] {
            assert!(ServiceName::new(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "pr-review", "v1.2_3", "0007-ab12cd34"] {
            assert!(ServiceName::new(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_commit_is_a_full_id() {
        assert!(CommitId::new("ab12").is_err());
        assert_eq!(CommitId::new("a".repeat(40)).expect("40 digits").short(), "aaaaaaaa");
    }
}
