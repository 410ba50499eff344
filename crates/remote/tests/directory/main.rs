//! Releases in a directory, with real processes, real ports and real files.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod asked;
mod backups;
mod built;
mod composed;
mod contained;
mod faults;
mod files;
mod folders;
mod full;
mod health;
mod kept;
mod killed;
mod machine;
mod phase;
mod platform;
mod project;
mod proxied;
mod restart;
mod scripts;
mod snapshot;
mod stage;
mod taken;
mod tree;
