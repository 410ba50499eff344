//! The journal, one promise a file.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod cut_points;
mod failed_write;
mod flipped_bits;
mod follow;
mod format;
mod group_commit;
mod killed;
mod one_writer;
mod power_cut;
mod replay;
#[path = "../support/mod.rs"]
mod support;
