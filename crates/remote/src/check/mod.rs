//! Checks: asking a service, and believing it only when it is right often enough.
//!
//! [`Streak`] is the pure half: answers in, verdict out. [`watch`] is the loop with the waiting. [`Asker`] asks once, over
//! the `http` and `shell` ports. [`verify_service`] makes all checks of a service once and lists what was seen.

mod ask;
mod service;
mod streak;
mod watch;

pub use ask::{Answer, Asker, CheckPlace};
pub use service::{CheckResult, CheckStage, verify_service};
pub use streak::{Streak, Verdict};
pub use watch::{Watched, watch};
