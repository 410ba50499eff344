//! Measuring in turn, and the table that is printed.
//!
//! A figure is a median of several rounds. In every round all variants run once, one after the other, so that a machine
//! that slows down slows all of them; a ratio is the median of the rounds' own ratios.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong, and prints rounded figures"
)]

mod docker;
mod host;
mod machine;
mod measure;
mod relay;
mod repository;
mod scratch;
mod tree;

pub use docker::{build, cable_bytes, docker, fill, print_wire};
pub use host::{Hosts, Peers, Told, own_client, pleach, watched};
pub use machine::{MemoryPeak, describe_machine, peak_memory};
pub use measure::{Figure, Table, Variant, in_turn, median};
pub use relay::Relay;
pub use repository::{BRANCHES, FILES, ensure_large, git};
pub use scratch::scratch;
pub use tree::{TwoTrees, run};
