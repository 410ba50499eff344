//! Targets of Pleach and the phases made of them.
//!
//! | module | what |
//! |---|---|
//! | [`local`] | this machine: shell, files, secrets, and the target `directory` |
//! | [`guard`] | leases that lie on the target and that the target enforces, over any shell |
//! | [`http`] | asking services |
//! | [`check`] | believing a service only when it is right often enough; the five-stage service test |
//! | [`directory`] | releases in a directory: phases, snapshot, recipe, status; over ports only |
//! | [`docker`] | Docker engines: images brought without a registry, builds, containers |
//! | [`supervise`] | keeping a release's process running, beyond the end of Pleach |
//! | [`route`] | one address for all releases of a service |
//! | [`proxy`] | the same by a HAProxy that is there, which loses no request and shares them out by weight |
//! | [`ssh`] | hosts over SSH: config, host keys, connection, shell, files, and the target `ssh` |
//! | [`mask`] | keeping secrets out of what is shown and kept of output |
//! | [`process`] | which process is meant, and whether it lives |
//! | [`watchdog`] | taking a target back when nobody says in time that all is well, by the target itself |
//!
//! A program that embeds this calls [`register`] once, makes targets with [`open_target`], and hands its own hidden
//! commands `supervise`, `route` and `proxy` to [`supervise::main`], [`route::main`] and [`proxy::main`]: they are started on
//! the target, the first two as children of nobody.

mod daemon;

pub mod check;
pub mod directory;
pub mod docker;
pub mod guard;
pub mod http;
pub mod kept;
pub mod local;
pub mod mask;
mod open;
pub mod process;
mod program;
pub mod proxy;
pub mod route;
pub mod ssh;
pub mod supervise;
mod volume;
pub mod watchdog;

pub use check::{CheckResult, CheckStage, verify_service};
pub use directory::{ServiceStatus, register, service_statuses};
pub use local::{DirectoryTarget, LocalSecrets};
pub use open::{describe, open_ssh_target, open_target};
pub use program::own_digest;
