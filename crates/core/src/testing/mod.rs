//! The test kit: scripted targets, a journal in memory, crashes at every entry, faults around every port.
//!
//! | to test | use |
//! |---|---|
//! | the engine, or a policy of one's own | [`Trial`]: one plan against a scripted [`World`] that notes every broken law |
//! | any plan, any fault, any crash | [`check_laws`] with the strategies of [`schedule`] |
//! | a phase or snapshot of one's own | [`exercise_phase`], [`exercise_snapshot`] |
//! | an adapter's way with trouble | the wrappers of [`faulty`] |
//! | that an adapter keeps what its port promises | the suites of [`conformance`] |
//! | code that calls a port | the mocks of [`mock`] |
//!
//! A test kit ends where it finds something wrong, so it panics; nothing here is for production.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test kit ends where it finds something wrong"
)]

mod check;
pub mod conformance;
mod exercise;
pub mod faulty;
mod memory;
pub mod mock;
pub mod schedule;
mod script;
mod scripted;
mod shape;
mod trial;
mod witness;
mod world;

pub use exercise::{Scene, cut_after, exercise_phase, exercise_snapshot};
pub use memory::{Fate, FixedClock, MemoryJournal, MemoryLeases, MemoryRuns, RecordingEvents, Renewal, Watcher};
pub use schedule::{Faults, check_every_crash, check_laws};
pub use script::{Act, CaptureAct, LookAct, Pace, Script, SnapshotScript, StepScript, Turns, UndoAct};
pub use scripted::{ScriptedPhase, ScriptedSnapshot, ScriptedTarget, scripted_registry, scripted_targets};
pub use shape::{LaneShape, PlanShape, SnapshotShape, StepShape, Way};
pub use trial::{Ending, Interruption, Life, Trial};
pub use world::{Effect, Meanwhile, Violation, World};
