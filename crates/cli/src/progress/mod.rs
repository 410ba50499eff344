//! Live progress on standard error.
//!
//! | where | what is written |
//! |---|---|
//! | a terminal | a block of lines, one for each service and target, redrawn in place |
//! | a pipe, a file, a CI log | a line when a step begins, ends, fails or is taken back |
//! | `--json` | nothing here: each event is a line on standard output |
//! | `--quiet` | nothing but warnings |
//!
//! The block is drawn by a hundred lines of our own on crossterm. A library of progress bars draws each bar when it
//! changes; here a frame is made from one state, at most ten times a second, cut to the terminal's size of that moment,
//! and written with one system call inside a synchronized update, so that it neither flickers nor tears. The cursor is
//! never hidden and the terminal's mode never changed: whatever ends the process, there is nothing to restore.

mod face;
mod frame;
mod live;
mod plain;
mod usual;

pub(crate) use face::Face;
pub(crate) use frame::{Picture, frame};
pub(crate) use plain::{entry_line, outcome_word};
pub(crate) use usual::UsualTimes;
