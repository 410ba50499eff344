//! Where everything stands now: what each service runs on each target, which runs are not at their end, who holds leases.
//!
//! All of it is read without locks, from the targets and the journals; a target that does not answer is a row that says
//! so, and keeps no other row waiting.

mod gather;
mod model;
mod read;
mod text;
mod watchdog;

pub(crate) use gather::{TargetReader, open_runs, readers, runs_and_leases, stand, superseded, within, within_limit};
pub(crate) use model::{Health, LeaseStanding, Life, RunStanding, ServiceStanding, Standing, WatchdogStanding};
pub(crate) use read::{CUT_OFF, ServiceOutput, check_place, is_cut_off, outputs, read_statuses};
pub(crate) use text::{extras, life_style, life_word, table};
pub(crate) use watchdog::{Watched, watched_targets};
