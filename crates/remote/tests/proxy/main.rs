//! A real HAProxy, real services, real clients: nothing is lost, whatever happens in between.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod asked;
mod bad_luck;
mod bed;
mod by_hand;
mod drain;
mod killed;
mod load;
mod promises;
mod service;
mod side_by_side;
mod switch;
