//! Limits: how fast, how many in a stretch of time, how many at once.
//!
//! | limit | what it allows | for |
//! |---|---|---|
//! | [`TokenBucket`] | `burst` at once, then one every `1 / rate` seconds | starting connections and commands |
//! | [`SlidingWindow`] | `count` in every stretch of `window`, wherever it begins | providers that count that way |
//! | [`Concurrency`] | `count` at once | work that occupies something |
//!
//! All three are plain values without a clock, a lock or a task: the time is given in, so that the same calls give the same
//! answers under paused time and on replay. Time is a [`Duration`](std::time::Duration) since any one moment that the caller
//! chose, and only its order matters: a time before the latest one that was given counts as that one, so a clock that jumps
//! back gives nobody more than is allowed. A refusal says when to ask again, and asking costs nothing: only what is let
//! through is counted. Checks take constant time and allocate nothing, but for the sliding window, whose memory is made at
//! once and is 16 bytes for each of its `count`.
//!
//! Several callers share one by putting it behind a mutex, and sleep outside of it:
//!
//! ```
//! use std::time::Duration;
//!
//! use pleach_core::limit::TokenBucket;
//!
//! let mut starts = TokenBucket::new(10.0, 2).expect("a rate and a burst");
//! let at = Duration::from_millis;
//! assert_eq!(starts.check(at(0)), Ok(()));
//! assert_eq!(starts.check(at(0)), Ok(()));
//! let refused = starts.check(at(0)).expect_err("the burst is used up");
//! assert_eq!(refused.again, Some(at(100)));
//! assert_eq!(starts.check(at(100)), Ok(()));
//! ```
//!
//! [`TokenBucket`] is the generic cell rate algorithm of ITU-T I.371 (virtual scheduling), counted in whole nanoseconds: no
//! sum of fractions drifts, and one number is all its state.

mod bucket;
mod concurrency;
mod error;
mod window;

pub use bucket::TokenBucket;
pub use concurrency::Concurrency;
pub use error::{LimitError, Refused};
pub use window::SlidingWindow;
