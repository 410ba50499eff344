//! What the git side promises, one file a promise, against the system's `git` as the judge.

#![allow(clippy::expect_used, clippy::panic, reason = "a sample that cannot be made ends the test")]

mod add;
mod convert;
mod crash;
mod diff;
mod discover;
mod export;
mod form;
mod merge;
mod push;
mod refuse;
mod remove;
mod sample;
mod sync;
