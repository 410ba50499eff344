//! The durable journal and the leases of one project, in local files.
//!
//! ```text
//! STATE/runs/RUN/journal.jsonl        one JSON object a line: `jq`, `grep` and `tail` read it
//! STATE/runs/RUN/journal.jsonl.torn-N what was cut from offset N after an interrupted write
//! STATE/runs/RUN/writer.json          the process that appends, or was the last to
//! STATE/runs/RUN/number               the how manieth run it is: clocks may be set back
//! STATE/plans-used/PLAN               the run that used this plan
//! STATE/leases/ENVIRONMENT/TARGET.json    who may change this target now
//! STATE/leases/ENVIRONMENT/TARGET.token   the greatest fencing token ever given; it outlives leases
//! DIRECTORY/.pleach/lease.json        who may change a directory target, whichever repository asks; beside it its token
//! ```
//!
//! | crate item | port of core |
//! |---|---|
//! | [`FileRuns`] | [`Runs`](pleach_core::port::Runs) |
//! | [`FileJournal`] | [`Journal`](pleach_core::port::Journal) |
//! | [`FileLeases`] | [`Leases`](pleach_core::port::Leases) |
//! | [`SystemClock`] | [`Clock`](pleach_core::port::Clock) |
//!
//! Appends are durable before the call returns; concurrent appends share one flush. What cannot be written ends the
//! journal: an error of a flush is never tried again, because the kernel may have dropped the pages. The clock is told to
//! people and decides nothing: who holds a lease is decided by whether its process lives.

mod clock;
mod file;
mod journal;
mod lease;
mod process;
mod runs;

pub use clock::SystemClock;
pub use file::FileError;
pub use journal::{Closed, Damage, FileJournal, Flush, JournalError, JournalReader, read_records};
pub use lease::{FileLeases, HeldBy, LeaseError};
pub use process::{Life, ProcessIdentity, holder};
pub use runs::{FileRuns, RunsError};
