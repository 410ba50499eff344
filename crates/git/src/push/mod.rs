//! Pushing, as compare-and-swap: each ref moves only from the commit that the caller saw, and all of them or none.
//!
//! | way | needs | good for |
//! |---|---|---|
//! | [`PushBackend::Git`] | `git`, and `ssh` for such remotes | everything that the user's git can reach: helpers, hooks, LFS |
//! | [`PushBackend::Native`] | nothing; `ssh` for such remotes | machines without git |
//!
//! `Auto` takes git where it is installed. The native way sends whole objects, without deltas against what the other
//! side has: good for commits of a deployment, wasteful for a first push of a long history. It runs no `pre-push` hook.

mod native;
mod pack;
mod request;
mod system;

pub use request::{PushBackend, PushError, PushRequest, PushUpdate, Pushed};
