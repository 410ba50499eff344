//! The git side of Pleach: worktrees, branches, commits, merges, fetch and push, on [`gix`](https://docs.rs/gix).
//!
//! All calls block; a caller in an async program runs them on a thread for blocking work. [`Repository`] is found once
//! and shared; every operation takes its own view of it.
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::atomic::AtomicBool;
//!
//! use pleach_git::Repository;
//! use pleach_git::worktree::{self, Head, WorktreeSpec};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let repository = Repository::discover(Path::new("."))?;
//! let wanted = WorktreeSpec {
//!     name: "staging".into(),
//!     path: "../project-staging".into(),
//!     head: Head::Branch("staging".into()),
//!     purpose: Some("what goes live next".into()),
//!     owner: None,
//!     created_by: "pleach worktree add staging".into(),
//!     environment: [("PORT".to_owned(), "8101".to_owned())].into(),
//! };
//! for made in worktree::add_many(&repository, &[wanted], &|_| {}, &AtomicBool::new(false)) {
//!     println!("{}", made?.path.display());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! * **Stock git understands everything** that is made here, and the files are those that it would have written.
//! * **Whole or not at all**, also after a kill, a full disk or beside other processes: see [`worktree`].
//! * **Compare and swap**: a branch, tag or remote ref moves only from where the caller saw it. Nothing is forced.
//! * **Nothing of the user's is lost**: dirty worktrees are refused with a list; a removal can be undone.
//! * **Durable**: objects, refs and records are synced before a call says that they exist. The files of a worktree are
//!   not, as with git; their commits are.
//! * **Interruptible**: calls that take long look at an `AtomicBool`. No signal handler is installed here: a program sets
//!   the flag in its own, and locks and half-made files are gone when the call returns.
//!
//! # Where the system's `git` is run
//!
//! Only exit codes and porcelain output are read, with `LC_ALL=C` and `GIT_TERMINAL_PROMPT=0`.
//!
//! | command | when | why not `gix` |
//! |---|---|---|
//! | `git push --porcelain --atomic --force-with-lease=…` | [`PushBackend::Git`], and `Auto` where git is installed | `gix` has no push; [`PushBackend::Native`] is ours, without hooks, deltas and named credential helpers |
//! | `git fetch --quiet` | [`FetchBackend::Git`], and `Auto` where git is installed | named credential helpers are git's own programs |
//! | `git --version` | `Auto` | to know whether it is installed |
//!
//! Besides, `gix` itself starts `ssh` for ssh remotes, `git-upload-pack` and `git-receive-pack` for remotes on this
//! machine, and the filter drivers that attributes name. No hook is run but those that `git push` runs.
//!
//! # What is not supported
//!
//! Repositories in SHA-256 or reftable format are refused ([`Error::Format`]); objects that a partial clone left out are
//! not fetched ([`Error::LeftOut`]). Submodules are left as empty directories, as
//! `git worktree add` leaves them.

mod branch;
mod checkout;
mod commit;
mod diff;
mod durable;
mod error;
mod export;
mod fetch;
mod merge;
mod push;
mod repository;
mod source;
mod system_git;
mod tree;
mod update;
pub mod worktree;

pub use branch::{Branch, Divergence, Head, RemoteBranch, nearest_branch};
pub use commit::{CommitInfo, FileChange, FileMode, Identity};
pub use diff::{DiffEntry, DiffSide, Difference};
pub use error::{Cause, Error, Result};
pub use export::ExportSummary;
pub use fetch::FetchBackend;
pub use merge::{MergeError, MergeOutcome, MergeRequest};
pub use push::{PushBackend, PushError, PushRequest, PushUpdate, Pushed};
pub use repository::{Layout, Repository};
pub use source::GitSource;
pub use tree::{Mode, TreeEntry, TreeReader, TreeSource};
