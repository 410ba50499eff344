//! What hosts over SSH promise, against real `sshd`s with their own keys, on free ports of this machine.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod bed;
mod files;
mod host_keys;
mod limits;
mod login;
mod loss;
mod resident;
mod shell;
mod target;
mod ways;
