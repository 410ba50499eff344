//! The journal of one run: lines, their check, reading and appending.

mod append;
mod error;
mod line;
mod read;

pub use append::{FileJournal, Sync};
pub use error::JournalError;
pub use read::{JournalReader, read_records};

pub(crate) use line::Journaled;
pub(crate) use read::{Summary, summary_lines};
