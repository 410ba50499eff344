//! Leases in local files.

mod error;
mod files;
mod place;

pub use error::{HeldBy, LeaseError};
pub use files::FileLeases;
