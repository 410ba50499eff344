//! Writing the files of commits into empty directories, many at once.
//!
//! Two thirds of what `git worktree add` costs is inflating blobs, and five worktrees of one repository inflate nearly
//! the same blobs five times. Here each blob is decoded once and written everywhere it belongs:
//!
//! ```text
//! commits ─listing▶ one Listing a distinct tree ─plan▶ groups in path order ─write▶ files, then stats ─index▶ index files
//! ```
//!
//! * [`listing`] flattens a tree into paths in index order, checks every name, and serialises the index's `TREE`
//!   extension, which makes the first `git status` twice as fast.
//! * [`convert`] says what attributes make of a path. Without attributes, content is written as it is stored. Otherwise
//!   a buffer is shared only between worktrees in which the same attributes hold for the path.
//! * [`write`] creates files relative to directory descriptors, exclusively: whatever is there already is a collision,
//!   never overwritten. Symbolic links come last, so nothing is ever written through one.
//! * [`template`] clones blocks from the main worktree where the file system can share them and the file is provably
//!   unchanged.
//! * [`index`] writes the index of version 2.

pub(crate) mod convert;
mod ident;
pub(crate) mod index;
pub(crate) mod listing;
pub(crate) mod plan;
pub(crate) mod template;
mod wide;
pub(crate) mod write;
