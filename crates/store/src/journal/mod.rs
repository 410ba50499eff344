//! The journal of one run: lines, their check, reading, following and appending.

mod append;
mod error;
mod follow;
mod line;
mod read;
mod summary;
mod write;

pub use append::{FileJournal, Flush};
pub use error::{Closed, Damage, JournalError};
pub use follow::JournalReader;
pub use read::read_records;
pub(crate) use summary::{Begin, Summary, load_summary};
