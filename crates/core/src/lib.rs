//! The pure heart of Pleach: words, plan, engine and ports.
//!
//! ```text
//! text ─parse▶ Config ─plan▶ Plan ─approve▶ ApprovedPlan ─execute▶ Journal ─fold▶ Report
//!                     ▲ facts read from targets first                └─▶ Events
//! ```
//!
//! | stop | type | arrow to it |
//! |---|---|---|
//! | config | [`config::Config`] | [`config::parse`](config) |
//! | plan | [`plan::Plan`] | [`plan::plan`] |
//! | consent | [`plan::ApprovedPlan`] | [`plan::approve`] |
//! | journal | [`journal::Record`] | [`engine::Engine::execute`] |
//! | report | [`report::Report`] | [`report::Report::fold`] |
//!
//! Nothing here opens a file or a socket, starts a process, reads the environment or the wall clock, or writes to a
//! terminal: adapters do, behind the traits in [`port`]. `tokio` is used for time and tasks only.

pub mod config;
pub mod engine;
pub mod error;
pub mod event;
pub mod journal;
pub mod limit;
pub mod percent;
pub mod period;
pub mod phase;
pub mod plan;
pub mod port;
pub mod registry;
pub mod report;
pub mod size;
pub mod snapshot;
pub mod target;
#[cfg(feature = "testing")]
pub mod testing;
pub mod word;
