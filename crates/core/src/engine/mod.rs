//! The engine: what happens next, and making it happen.
//!
//! Two halves. [`decide`] is pure: a [`State`] in, the next [`Action`]s out. [`Engine`] is the one loop that takes leases,
//! writes entries, calls phases and emits events. A state is nothing but the fold of journal entries, through the one
//! function [`State::apply`], live and on replay; so after a crash the same loop goes on from the same state.
//!
//! # A step
//!
//! | from | entry | to |
//! |---|---|---|
//! | untouched, failed (retry), unknown (pending) | `step-started` | applying |
//! | applying | `step-withdrawn` | as it was before: no further attempt may begin |
//! | applying | `step-finished` | done |
//! | applying | `step-failed` | failed: tried again if transient and attempts are left, else the lane fails |
//! | applying | `step-unknown` | unknown |
//! | unknown | `inspect-started` | inspecting |
//! | inspecting | `inspected` settled | done |
//! | inspecting | `inspected` pending | failed, as transient |
//! | inspecting | `inspect-failed` | unknown: looked at again while attempts are left, else the lane fails |
//! | done, failed, unknown, undo failed (retry) | `undo-started` | undoing |
//! | undoing | `undo-finished` | undone |
//! | undoing | `undo-failed` | undo failed: tried again if transient or unknown and attempts are left, else the lane is stuck |
//! | applying, inspecting | `resumed` | unknown |
//! | undoing | `resumed` | undo failed, to be tried again |
//!
//! # A snapshot
//!
//! | state | entry | next |
//! |---|---|---|
//! | waiting | `capture-started` | capturing, proving, proven; `snapshot-failed` turns the run back |
//! | proven, failed | `resumed`, going forward | captured: proven once, and perhaps lost since |
//! | captured | `proof-started` | proving, proven; `snapshot-failed` turns the run back, under `hold` it is held |
//! | any that was begun | `discard-started`, once all is taken back | given up |
//!
//! # A lane
//!
//! | state | meaning | next |
//! |---|---|---|
//! | waiting | its batch or stage is not released | ready, skipped |
//! | ready | waits for a place under the limits; under `hold` also one that had begun | working, going back |
//! | working | has a place; its steps are applied in order | done, failed, returning |
//! | failed | stopped at a step and kept as it is under `hold` | going back, ready (after `resumed`) |
//! | done | all steps are done | going back |
//! | going back | waits for its turn and a place | returning |
//! | returning | its steps are undone from the last touched one | taken back, stuck |
//! | taken back, stuck, skipped | settled | stuck: returning (after `resumed`) |
//!
//! Within a lane a step is undone only after all behind it are: a lane stops going back at the first undo that fails,
//! because what lies before was built to be undone in that order (a release is not deleted under a running process). All
//! other lanes go on.

mod decide;
mod drive;
mod errand;
mod facts;
mod lease;
mod pace;
mod running;
mod state;
mod transition;
mod way;
mod work;

pub use decide::{Action, decide};
pub use drive::{CancelRequest, Engine, RollbackRequest, RunError, RunTargets, Stop, cancel_channel};
pub use errand::run_errand;
pub use facts::read_facts;
pub use state::{Condition, Course, LaneState, LaneStatus, SnapshotStatus, State, StepState};
pub use transition::Illegal;
pub use way::overtaken;
