//! A run as people look at it: one row for each service and target, folded from the engine's state.
//!
//! A plan may have two lanes of the same service and target (one does the work, one finishes it after all others); for
//! people they are one.

mod row;

pub(crate) use row::{Row, rows, status_word};
