//! Leases that lie on the target, and that the target itself enforces.
//!
//! A small POSIX shell script, the *guard*, is put on the target once and then called for every change of a lease and in
//! front of every command that changes something. Nothing here knows how commands get there: everything goes through
//! [`Shell`](pleach_core::port::Shell).
//!
//! **Places.** `FOLDER/guard-DIGEST` is the script; `FOLDER/lease/ENVIRONMENT/TARGET/` is the place of one lease. In a place
//! lie `state.N`, plain lines of a word and a value; the greatest `N` counts, and nothing is ever changed in place.
//! `pass.TOKEN.PROCESS.START` stands for each guarded command, from before its token is compared until it has ended.
//!
//! **No lock.** A state is written beside and then linked to its name, which fails where the name is taken. Of all who
//! change the same state one gets through and the others look again. Whoever is killed, at whatever line, leaves the old
//! state or the new one.
//!
//! **Proof of death.** A lease is taken over from a holder whose process is seen on the target to be gone (same boot, same
//! space of process ids), or is proven gone by [`ProvenDead`] where the new holder runs, or whose lease has expired by the
//! target's own clock: the time since its boot, and its wall clock only after a reboot. No other machine's clock is asked.
//! A process that is seen on the target to run keeps its lease, expired or not; a stopped one keeps it until it expires.
//!
//! **Fencing.** A token is one more than the newest that the target has seen. `run TOKEN COMMAND` compares and then becomes
//! the command. Its process can be stopped in between, so a newer token waits until every older one is refused or has
//! started its command, and ends what stays in between for two seconds: once a lease is given, nothing starts any more under
//! an older one. A command that has started goes on: a build of an hour must not keep a successor out.
//! [`LeaseState::running`] names those; targets end what was begun below them when their fence is raised.
//!
//! **Needs.** `sh` (dash, bash, busybox), a file system with hard links, and `ln`, `rm`, `mkdir`, `date`, `sync`, `sleep`,
//! `readlink` as GNU and busybox have them. Without `/proc` only expiry is proof, and the gap between comparison and start
//! is not watched.

mod error;
mod install;
mod leases;
mod shared;
mod shell;
mod state;
mod text;

pub use error::{GuardError, HeldOnTarget};
pub use install::Guard;
pub use leases::{ProvenDead, TargetLeases};
pub use shared::SharedLeases;
pub use shell::GuardedShell;
pub use state::{HolderLife, LeaseState, RunningCommand, StateError};

pub(crate) use install::{Script, text};
pub(crate) use state::hundredths;
pub(crate) use text::{escape, unescape};
