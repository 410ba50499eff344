//! Journals, leases, a clock and events in memory, which fail, crash and jump when they are told to.

mod clock;
mod event;
mod journal;
mod lease;

pub use clock::FixedClock;
pub use event::RecordingEvents;
pub use journal::{Fate, MemoryJournal, MemoryRuns, Watcher};
pub use lease::{MemoryLeases, Renewal};
