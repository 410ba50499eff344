//! Measuring in turn, and the table that is printed.
//!
//! A figure is a median of several rounds. In every round all variants run once, one after the other, so that a machine
//! that slows down slows all of them; a ratio is the median of the rounds' own ratios.

#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong, and prints rounded figures"
)]

mod machine;
mod measure;
mod repository;
mod scratch;

pub use machine::{MemoryPeak, describe_machine, peak_memory};
pub use measure::{Figure, Table, Variant, in_turn, median};
pub use repository::{BRANCHES, FILES, ensure_large, git};
pub use scratch::scratch;
