//! `pleach worktree`: worktrees by name, many at once.
//!
//! | file | what it does |
//! |---|---|
//! | `dispatch` | arguments, and from them to a command |
//! | `context` | the repository and, if there is one, its config |
//! | `wanted` | from a name to branch, path, port and purpose |
//! | `add`, `list`, `sync`, `keep`, `compare`, `remove`, `mend` | the commands |
//!
//! All of them work without a `pleach.toml`; with one, services are known by name.

mod add;
mod compare;
mod context;
mod dispatch;
mod interrupt;
mod keep;
mod list;
mod mend;
mod remove;
mod sync;
mod wanted;

pub(crate) use dispatch::{Args, run};
pub(crate) use interrupt::{Again, Signals};
