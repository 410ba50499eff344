//! The phases: one struct that knows its name, and a file for each kind of work.

mod analysis;
mod backup;
mod build_here;
mod canary;
mod channel;
mod command;
mod compose;
mod dispatch;
mod files;
mod health;
mod image;
mod install;
mod lead;
mod process;
mod prune;
mod push;
mod renew;
mod route;
mod script;
mod switch;
mod tag;
mod upload;
mod volumes;

pub(super) use dispatch::DirectoryPhase;
pub(super) use install::ensure_program;
