//! Faults around every port: the adapter is real, the trouble is planned.
//!
//! Each wrapper counts its calls and does at the n-th what its [`FaultPlan`] says: fails, hangs, *does it and then reports
//! a time-out*, is cut in the middle, is slow, does it twice. Time limits are the engine's, so a call that hangs does so
//! until somebody drops it.

mod container;
mod fault;
mod file;
mod http;
mod journal;
mod lease;
mod secret;
mod shell;
mod source;
mod target;

pub use container::FaultyContainers;
pub use fault::{Fault, FaultPlan};
pub use file::FaultyFiles;
pub use http::FaultyHttp;
pub use journal::{FaultyJournal, FaultyRuns};
pub use lease::FaultyLeases;
pub use secret::FaultySecrets;
pub use shell::FaultyShell;
pub use source::FaultySource;
pub use target::FaultyTarget;
