//! How a run behaves when there is much to do and when something fails.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::period::Period;

/// What a failed lane means for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Every lane goes back: for groups that belong together.
    #[default]
    UnwindRun,
    /// Only the failed lane goes back.
    UnwindLane,
    /// Everything stops where it is and waits for a person.
    Hold,
}

/// How many lanes may work at once, and how fast they may start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Limits {
    /// Lanes at work in all.
    #[schemars(range(min = 1), example = 8)]
    pub parallel: u32,
    /// Lanes at work on one target.
    #[schemars(range(min = 1), example = 4)]
    pub per_target: u32,
    /// Lanes that may start in one second; no limit if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0), example = 2.5)]
    pub starts_per_second: Option<f64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { parallel: 8, per_target: 8, starts_per_second: None }
    }
}

/// How many lanes the next batch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// So many.
    Lanes(u32),
    /// So much of the stage's lanes, rounded up, at least one.
    Percent(u8),
}

impl BatchSize {
    /// The lanes of this batch, of `all` in the stage.
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Lanes(lanes) => usize::try_from(lanes).unwrap_or(usize::MAX).max(1),
            Self::Percent(percent) => (all * usize::from(percent)).div_ceil(100).max(1),
        }
    }
}

impl fmt::Display for BatchSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lanes(lanes) => write!(f, "{lanes}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Why a text is not the size of a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the size of a batch: a number of lanes from 1, or a percentage from `1%` to `100%`")]
pub struct BatchSizeError(String);

impl FromStr for BatchSize {
    type Err = BatchSizeError;
    fn from_str(text: &str) -> Result<Self, BatchSizeError> {
        let refuse = || BatchSizeError(text.to_owned());
        match text.strip_suffix('%') {
            Some(percent) => match percent.parse() {
                Ok(percent @ 1..=100) => Ok(Self::Percent(percent)),
                _ => Err(refuse()),
            },
            None => match text.parse() {
                Ok(lanes @ 1..) => Ok(Self::Lanes(lanes)),
                _ => Err(refuse()),
            },
        }
    }
}

impl Serialize for BatchSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Lanes(lanes) => serializer.serialize_u32(*lanes),
            Self::Percent(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for BatchSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for BatchSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BatchSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of lanes, or a percentage of the stage's lanes.",
            "anyOf": [
                { "type": "integer", "format": "uint32", "minimum": 1 },
                { "type": "string", "format": "batch-size" },
            ],
            "examples": [1, "25%"],
        })
    }
}

/// How often a step is tried again after a transient failure. Nothing else is ever tried again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all, the first included.
    #[schemars(range(min = 1), example = 3)]
    pub attempts: u32,
    /// The wait before the second attempt; each later one is twice as long.
    #[schemars(example = &"500ms")]
    pub backoff: Period,
    /// The longest wait.
    #[schemars(example = &"30s")]
    pub longest: Period,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, backoff: Period::millis(500), longest: Period::seconds(30) }
    }
}

/// All of it, as a plan carries it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// What a failed lane means for the others.
    pub on_failure: OnFailure,
    /// Concurrency and start rate.
    pub limits: Limits,
    /// The sizes of a stage's batches in order; the last one repeats. Empty: one batch.
    #[serde(default)]
    pub batch: Vec<BatchSize>,
    /// Lanes that may fail before `on_failure` applies to the whole run, or before `unwind-lane` starts no new batch.
    /// `None` with `unwind-lane` means any number.
    #[serde(default)]
    pub failure_budget: Option<u32>,
    /// The wait between two batches.
    #[serde(default)]
    pub pause: Period,
    /// How long a lease lasts without a renewal.
    pub lease: Period,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            on_failure: OnFailure::default(),
            limits: Limits::default(),
            batch: Vec::new(),
            failure_budget: None,
            pause: Period::ZERO,
            lease: Period::seconds(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_at_least_one_lane_and_percentages_round_up() {
        assert_eq!(BatchSize::Percent(25).of(5), 2);
        assert_eq!(BatchSize::Percent(1).of(3), 1);
        assert_eq!(BatchSize::Lanes(3).of(100), 3);
        for bad in ["0", "0%", "101%", "-1", "x"] {
            assert!(bad.parse::<BatchSize>().is_err(), "{bad}");
        }
    }
}
