//! Promises of the commands that deploy, kept by the real command: real repositories, processes, ports and signals.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod astray;
mod disk;
mod doctor;
mod help;
mod host;
mod interrupt;
mod life;
mod misfortune;
mod refuse;
mod saved_plan;
mod scene;
mod script;
mod secrets;
mod signals;
mod standing;
mod stuck;
mod sudo;
mod tell;
mod together;
