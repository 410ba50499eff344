//! Arguments of `pleach worktree`, and the way from them to a command.

use std::path::PathBuf;

use clap::Subcommand;

use super::context::Context;
use super::{add, compare, keep, list, mend, remove, sync};
use crate::args::Globals;
use crate::exit::{Ended, Exit};

/// Arguments of `pleach worktree`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

/// What is done with worktrees.
#[derive(Debug, Subcommand)]
enum Action {
    /// Make worktrees: of services, of branches, or by purpose (`deploy`, `staging`, `production`, `hotfix`)
    Add(add::Args),
    /// Show all worktrees: branch, state, changes, port, path
    List,
    /// Bring worktrees up to their remote branches, by fast-forward only
    Sync(sync::Args),
    /// Keep a worktree from being removed, moved or pruned
    Lock {
        /// The worktree
        name: String,
        /// Shown to whoever tries
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Take a lock away
    Unlock {
        /// The worktree
        name: String,
    },
    /// Move a worktree's directory
    Move {
        /// The worktree
        name: String,
        /// Where to; nothing may be there
        path: PathBuf,
    },
    /// Show what differs between two worktrees
    Compare(compare::Args),
    /// Remove worktrees; their branches stay, and `undo` brings them back
    Remove(remove::Args),
    /// Forget worktrees whose directory is gone, and empty the trash of old ones
    Prune {
        /// Delete removed worktrees for good that were removed so many days ago
        #[arg(long, value_name = "DAYS", default_value_t = 14)]
        days: u32,
    },
    /// Link worktrees again that were moved by hand, or whose repository was moved
    Repair {
        /// Directories that were moved by hand
        paths: Vec<PathBuf>,
    },
    /// Bring the worktree back that was removed last
    Undo,
}

/// Runs the command that the arguments name.
pub(crate) fn run(args: Args, globals: &Globals) -> Result<Exit, Ended> {
    let context = Context::open(globals)?;
    match args.action {
        Action::Add(args) => add::run(args, &context),
        Action::List => list::run(&context),
        Action::Sync(args) => sync::run(&args, &context),
        Action::Lock { name, reason } => keep::lock(&name, &reason, &context),
        Action::Unlock { name } => keep::unlock(&name, &context),
        Action::Move { name, path } => keep::move_to(&name, &path, &context),
        Action::Compare(args) => compare::run(&args, &context),
        Action::Remove(args) => remove::run(&args, &context),
        Action::Prune { days } => mend::prune(days, &context),
        Action::Repair { paths } => mend::repair(&paths, &context),
        Action::Undo => mend::undo(&context),
    }
}
