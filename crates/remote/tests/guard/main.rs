//! The guard and the watchdog on a target: real shells, real processes, really killed.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod bad_luck;
mod bench;
mod fence;
mod holder;
mod killed;
mod lease;
mod restore;
mod script;
mod site;
mod systemd;
mod wake;
mod watch;
