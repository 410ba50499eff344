//! All runs of a project.

mod error;
mod files;

pub use error::RunsError;
pub use files::FileRuns;
