//! The durable journal and the leases of one project, in local files.
//!
//! ```text
//! STATE/runs/RUN/journal.jsonl        one JSON object a line: `jq`, `grep` and `tail` read it
//! STATE/runs/RUN/journal.jsonl.torn-N what was cut from offset N after an interrupted write
//! STATE/runs/RUN/writer.json          the process that appends
//! STATE/plans-used/PLAN               the run that used this plan
//! STATE/leases/ENVIRONMENT/TARGET.json    who may change this target now
//! STATE/leases/ENVIRONMENT/TARGET.token   the greatest fencing token ever given; it outlives leases
//! ```
//!
//! Appends are durable before the call returns; concurrent appends share one flush. What cannot be written ends the
//! journal: an error of a flush is never tried again, because the kernel may have dropped the pages.

mod file;
mod journal;
mod lease;
mod process;
mod runs;

pub use file::FileError;
pub use journal::{FileJournal, JournalError, JournalReader, Sync, read_records};
pub use lease::{FileLeases, LeaseError};
pub use process::ProcessIdentity;
pub use runs::{FileRuns, RunsError};
