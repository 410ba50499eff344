//! The commands, one file each.

pub(crate) mod approve;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod confirm;
pub(crate) mod demo;
pub(crate) mod deploy;
mod dispatch;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod images;
pub(crate) mod init;
pub(crate) mod lease;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod merge;
mod operation;
pub(crate) mod plan;
pub(crate) mod promote;
pub(crate) mod proxy;
pub(crate) mod ps;
pub(crate) mod report;
pub(crate) mod restart;
pub(crate) mod restore;
pub(crate) mod resume;
pub(crate) mod rollback;
pub(crate) mod route;
pub(crate) mod runs;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod supervise;
pub(crate) mod verify;
pub(crate) mod version;
pub(crate) mod worktree;

pub(crate) use dispatch::run;
