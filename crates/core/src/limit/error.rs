//! Refusals, and limits that are none.

use std::time::Duration;

use crate::error::{Explain, Kind};

/// Not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit is reached")]
pub struct Refused {
    /// When to ask again: it is let through then, unless others come first. `None` if no waiting helps: more was asked for
    /// than is ever allowed at once, or, of a [`Concurrency`](super::Concurrency) limit, only a place that is given back
    /// helps.
    pub again: Option<Duration>,
}

/// Why numbers make no limit.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum LimitError {
    /// Not a number above 0, or more than one in a nanosecond, or less than one in 100 years.
    #[error("`{0}` a second is no rate")]
    Rate(f64),
    /// Nothing would ever be let through.
    #[error("a limit of 0 lets nothing through")]
    Nothing,
    /// A window without length.
    #[error("a window of 0 s counts nothing")]
    Window,
    /// More than there is memory or time for.
    #[error("`{0}` is more than a limit can count")]
    TooMany(u32),
}

impl Explain for LimitError {
    fn kind(&self) -> Kind {
        Kind::Rejected
    }

    fn state(&self) -> Option<String> {
        Some("nothing was touched".into())
    }

    fn next(&self) -> Option<String> {
        Some(match self {
            Self::Rate(_) => "write a rate such as `starts-per-second = 5.0`".into(),
            Self::Nothing | Self::TooMany(_) => "write a number from 1 to 1000000".into(),
            Self::Window => "write a length of time such as `1m`".into(),
        })
    }
}
