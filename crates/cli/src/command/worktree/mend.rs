//! `pleach worktree prune`, `repair` and `undo`.

use std::path::PathBuf;
use std::time::Duration;

use pleach_core::error::Failure;
use pleach_git::worktree;
use serde_json::json;

use super::context::{Context, fields};
use crate::exit::{Ended, Exit};
use crate::print::answer;
use crate::project::untouched;

/// Of several, some may have been done before one failed.
fn in_part(mut failure: Failure) -> Failure {
    failure.state.get_or_insert_with(|| "what was done before this stays done".to_owned());
    failure
}

pub(crate) fn prune(days: u32, context: &Context) -> Result<Exit, Ended> {
    let age = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    let pruned = worktree::prune(&context.repository, age).map_err(|error| in_part(error.into()))?;
    if context.json {
        answer(&format!("{}\n", json!({"missing": pruned.missing, "deleted": pruned.deleted})));
        return Ok(Exit::DONE);
    }
    let mut text = String::new();
    for name in &pruned.missing {
        text.push_str(&format!("forgot `{name}`: its directory is gone\n"));
    }
    for name in &pruned.deleted {
        text.push_str(&format!("deleted `{name}` for good: it was removed {days} days ago or earlier\n"));
    }
    answer(if text.is_empty() { "nothing to prune\n" } else { &text });
    Ok(Exit::DONE)
}

pub(crate) fn repair(paths: &[PathBuf], context: &Context) -> Result<Exit, Ended> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| context.given(path)).collect();
    let repaired = worktree::repair(&context.repository, &paths).map_err(|error| in_part(error.into()))?;
    if context.json {
        answer(&format!("{}\n", json!({"repaired": repaired})));
        return Ok(Exit::DONE);
    }
    let text: String = repaired.iter().map(|name| format!("linked `{name}` again\n")).collect();
    answer(if text.is_empty() { "nothing to repair; name directories that were moved by hand\n" } else { &text });
    Ok(Exit::DONE)
}

pub(crate) fn undo(context: &Context) -> Result<Exit, Ended> {
    let before = context.repository.branches().map_err(|error| untouched(error.into()))?;
    let back = worktree::undo(&context.repository).map_err(|error| untouched(error.into()))?;
    let mut text = format!("brought `{}` back to {}\n", back.name, context.shown(&back.path));
    if let (Some(branch), Some(commit)) = (&back.branch, &back.commit)
        && !before.iter().any(|found| found.name == *branch)
    {
        text.push_str(&format!("branch `{branch}` was gone and is at {} again\n", commit.short()));
    }
    answer(&if context.json { format!("{}\n", fields(&back)) } else { text });
    Ok(Exit::DONE)
}
