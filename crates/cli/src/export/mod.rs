//! An archive of all that tells of an environment or a run, for those who are asked for help and were not there.
//!
//! ```text
//! runs/RUN/report.txt, report.json      what came of it
//! runs/RUN/events.jsonl                 every entry of its journal, one a line
//! runs/RUN/incident.md                  of a run that waits for a person
//! runs/RUN/run.log                      what happened when
//! runs/RUN/targets/TARGET/SERVICE.log   what its steps and scripts printed
//! status.json, version.json             as `pleach status` and `pleach version` answer them now
//! services/TARGET/SERVICE.log           what the service itself printed, as `pleach logs SERVICE --service` shows it
//! MISSING.txt                           what could not be had, and why; not there where nothing is missing
//! CONTENTS.txt                          all of these, their sizes, and which were cut
//! ```
//!
//! Logs are masked when they are written; what a service prints is not. All that goes into the archive is masked with the
//! secrets of the environment's services, and where those of a release cannot be fetched its output is left out: then it is
//! not known what must not be shown.
//!
//! Nothing in the archive tells when or by whom it was made, so the same content gives the same bytes.

mod archive;
mod gather;
mod journal;
mod secret;
mod write;

pub(crate) use write::{Scope, Wanted, export};

/// How much of each log is taken, in bytes: its end.
const LOG_LIMIT: u64 = 4 << 20;

/// How many runs of an environment are taken: the newest.
const RUNS: usize = 10;
