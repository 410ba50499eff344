//! What is promised of Docker, against real engines of the tests' own.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod bad_luck;
mod bed;
mod bring;
mod build;
mod container;
mod name;
mod volume;
mod way;
