//! Worktrees, branches, merges and push, on `gix`.

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
mod system_git;
mod tree;
mod update;
pub mod worktree;

pub use branch::{Branch, Divergence, Head, RemoteBranch};
pub use commit::{CommitInfo, FileChange, FileMode, Identity};
pub use diff::{DiffEntry, DiffSide, Difference};
pub use error::{Cause, Error, Result};
pub use export::ExportSummary;
pub use fetch::FetchBackend;
pub use merge::{MergeError, MergeOutcome, MergeRequest};
pub use push::{PushBackend, PushError, PushRequest, PushUpdate, Pushed};
pub use repository::{Layout, Repository};
pub use tree::{Mode, TreeEntry, TreeSource};
