//! The leases of targets, one promise a file.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod clock;
mod conformance;
mod death;
mod passed_on;
mod race;
mod refusal;
#[path = "../support/mod.rs"]
mod support;
