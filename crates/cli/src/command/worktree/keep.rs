//! `pleach worktree lock`, `unlock` and `move`.

use std::path::Path;

use pleach_git::worktree::{self, Unlocked};

use super::context::{Context, fields};
use crate::exit::{Ended, Exit};
use crate::print::answer;
use crate::project::untouched;

pub(crate) fn lock(name: &str, reason: &str, context: &Context) -> Result<Exit, Ended> {
    worktree::lock(&context.repository, name, reason).map_err(|error| untouched(error.into()))?;
    told(name, context, &format!("locked `{name}`: it is not removed, moved or pruned until it is unlocked\n"))
}

pub(crate) fn unlock(name: &str, context: &Context) -> Result<Exit, Ended> {
    let text = match worktree::unlock(&context.repository, name).map_err(|error| untouched(error.into()))? {
        Unlocked::TakenAway => format!("unlocked `{name}`\n"),
        Unlocked::WasFree => format!("`{name}` was not locked\n"),
    };
    told(name, context, &text)
}

pub(crate) fn move_to(name: &str, path: &Path, context: &Context) -> Result<Exit, Ended> {
    let moved =
        worktree::move_to(&context.repository, name, &context.given(path)).map_err(|error| untouched(error.into()))?;
    told(name, context, &format!("moved `{name}` to {}\n", context.shown(&moved.path)))
}

/// Reads back what is there now, and says it.
fn told(name: &str, context: &Context, text: &str) -> Result<Exit, Ended> {
    let worktree = context.find(name)?;
    answer(&if context.json { format!("{}\n", fields(&worktree)) } else { text.to_owned() });
    Ok(Exit::DONE)
}
