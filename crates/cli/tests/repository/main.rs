//! Promises of the commands that work on a repository, kept by the real command on real repositories.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod completions;
mod config;
mod demo;
mod doctor;
mod embed;
mod init;
mod merge;
mod place;
mod sample;
mod worktree;
