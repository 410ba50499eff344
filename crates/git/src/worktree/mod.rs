//! Worktrees by name: made many at once, listed, moved, repaired, removed and brought back.
//!
//! Everything is stored the way git stores it, so `git worktree list`, `lock`, `move`, `remove` and `prune` keep working on
//! what is made here; what git does not know (purpose, owner, environment) lies beside its own files in
//! `.git/worktrees/NAME/pleach.json`.
//!
//! # How one comes into being
//!
//! | step | under the lock | after a kill here, the next call |
//! |---|---|---|
//! | 1. write the creation record, durably | yes | drops the record |
//! | 2. make the branch, if a new one is asked for | yes | deletes it, if it has not moved |
//! | 3. make `.git/worktrees/NAME` aside, locked as `initializing`, and rename it into place | yes | moves it to the trash |
//! | 4. make the directory and its `.git` | yes | moves it to the trash |
//! | 5. write the files | no | moves it to the trash |
//! | 6. write README and environment, then the index by rename | no | moves it to the trash |
//! | 7. take `initializing` away, delete the record | no | finishes both |
//!
//! The lock is an advisory lock (`flock`) on `.git/pleach/worktrees.lock`; it is held while a path and a branch are chosen
//! and registered, so that two processes never take the same. The record is locked by its maker for as long as it
//! lives: the kernel lets go when the process dies, however it dies, and then the next call of any operation cleans up.
//! Stock git sees a half-made worktree as locked and leaves it alone.
//!
//! # How one goes
//!
//! Removing renames the directory and its registration into a trash on the same file system: it takes no time and
//! [`undo`] takes it back. [`prune`] empties the trash after some days.

mod add;
mod change;
mod error;
mod exclude;
pub(crate) mod hand;
mod list;
mod note;
pub(crate) mod record;
pub(crate) mod registry;
mod remove;
pub(crate) mod status;
mod sync;
mod trash;

pub use add::{Head, Progress, WorktreeSpec, add_many};
pub use change::{Unlocked, lock, move_to, repair, unlock};
pub use error::WorktreeError;
pub use list::{State, Worktree, find, list};
pub use note::{ENVIRONMENT_FILE, README_FILE};
pub use remove::{Pruned, Removal, Removed, prune, remove, undo};
pub use status::{Dirt, status, status_at};
pub use sync::{Onto, Synced, sync};
