//! The runs of a project, one promise a file.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod conformance;
mod list;
mod no_place;
mod plan_once;
#[path = "../support/mod.rs"]
mod support;
