//! What follows a run while it works: the terminal, the log files and `status.json`.
//!
//! The engine's events must not block, so they go through a channel to one thread that does all the writing. What it
//! writes are copies for people and programs; the truth is the journal. A full disk therefore costs a log line and is
//! told once; it never fails the run.

mod log;
mod observer;
mod status_file;

pub(crate) use log::{log_dir, log_file};
pub(crate) use observer::{Observer, ObserverOptions, Speaker};
