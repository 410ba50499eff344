//! Leases in local files.

mod error;
mod files;

pub use error::LeaseError;
pub use files::FileLeases;
