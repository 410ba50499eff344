//! `pleach status --watch`: the full-screen view.
//!
//! | part | what it is |
//! |---|---|
//! | [`screen`] | what stands on the screen, and what a key does to it: pure |
//! | `draw` | a screen as a picture, at any size from 40×10: pure |
//! | `feed` | one task for each target, so that a slow one keeps nobody waiting; one that tails the log |
//! | `terminal` | raw mode and the alternate screen, given back on every way out |

mod draw;
mod feed;
mod screen;
mod terminal;

pub(crate) use terminal::watch;
