//! Generated plans, scripts and faults, and the check that no law breaks under them.
//!
//! A schedule is one plan, one script and the faults of one or more processes, up to an end. [`check_laws`] runs one and
//! compares every claim of the report with what is true on the targets; the laws that hold at every moment are noted by
//! the [`World`](super::World) while it runs.

mod judge;
mod law;
mod strategy;

pub use judge::judge;
pub use law::{Broken, Checked, Depth, Faults, TakenBack, check_every_crash, check_laws};
pub use strategy::{Schedule, schedules};
