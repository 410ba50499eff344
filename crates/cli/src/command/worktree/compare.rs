//! `pleach worktree compare`: what differs between two worktrees as they are now, committed or not.

use std::path::{Path, PathBuf};

use pleach_core::error::Failure;
use pleach_core::word::CommitId;
use pleach_git::worktree;
use pleach_git::{DiffEntry, DiffSide, Difference};
use serde_json::{Value, json};

use super::context::Context;
use crate::exit::{Ended, Exit};
use crate::print::{Cell, Style, Table, answer, stdout_columns};

/// Arguments of `pleach worktree compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A worktree, or a branch, tag or commit
    one: String,
    /// The other
    other: String,
    /// Compare only what is below this path of the repository
    #[arg(long, value_name = "PATH")]
    path: Option<PathBuf>,
}

/// One side.
struct Side {
    name: String,
    commit: CommitId,
    files: DiffSide,
    uncommitted: usize,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Ended> {
    let (one, other) = (side(context, &args.one)?, side(context, &args.other)?);
    let below = |entry: &DiffEntry| args.path.as_deref().is_none_or(|path| entry.path.starts_with(path));
    let mut entries = context.repository.diff(&one.files, &other.files).map_err(Failure::from)?;
    entries.retain(below);
    let divergence =
        context.repository.ahead_behind(one.commit.as_str(), other.commit.as_str()).map_err(Failure::from)?;
    if context.json {
        let told = |side: &Side, ahead: usize| json!({"name": side.name, "commit": side.commit, "commits": ahead, "uncommitted": side.uncommitted});
        let value = json!({
            "one": told(&one, divergence.ahead),
            "other": told(&other, divergence.behind),
            "entries": entries.iter().map(entry_value).collect::<Vec<_>>(),
        });
        answer(&format!("{value}\n"));
        return Ok(Exit::DONE);
    }
    let mut text = String::new();
    for (side, ahead) in [(&one, divergence.ahead), (&other, divergence.behind)] {
        let commits = if ahead == 1 { "1 commit".to_owned() } else { format!("{ahead} commits") };
        let uncommitted = match side.uncommitted {
            0 => String::new(),
            1 => ", 1 file not committed".to_owned(),
            count => format!(", {count} files not committed"),
        };
        text.push_str(&format!("{} at {}: {commits} of its own{uncommitted}\n", side.name, side.commit.short()));
    }
    text.push('\n');
    if entries.is_empty() {
        text.push_str("the files are the same\n");
    } else {
        text.push_str(&table(&entries, &one, &other).text(context.paint, stdout_columns()));
    }
    answer(&text);
    Ok(Exit::DONE)
}

fn table(entries: &[DiffEntry], one: &Side, other: &Side) -> Table {
    let mut table = Table::new(["LINES", "WHERE", "FILE"]);
    for entry in entries {
        let (style, place) = match &entry.difference {
            Difference::Added => (Style::Good, format!("only {}", other.name)),
            Difference::Removed => (Style::Bad, format!("only {}", one.name)),
            Difference::Modified | Difference::Renamed { .. } => (Style::Busy, "both".to_owned()),
        };
        let lines = match (entry.added_lines, entry.removed_lines) {
            (Some(added), Some(removed)) => format!("+{added} -{removed}"),
            _ => "binary".to_owned(),
        };
        let file = match &entry.difference {
            Difference::Renamed { from } => format!("{} → {}", from.display(), entry.path.display()),
            _ => entry.path.display().to_string(),
        };
        table.row([lines.into(), Cell::styled(style, place), file.into()]);
    }
    table
}

fn entry_value(entry: &DiffEntry) -> Value {
    let difference = match &entry.difference {
        Difference::Added => "only-other",
        Difference::Removed => "only-one",
        Difference::Modified => "differs",
        Difference::Renamed { .. } => "renamed",
    };
    let from = match &entry.difference {
        Difference::Renamed { from } => Some(from),
        _ => None,
    };
    json!({
        "path": entry.path,
        "from": from,
        "difference": difference,
        "added_lines": entry.added_lines,
        "removed_lines": entry.removed_lines,
    })
}

/// A worktree by name as its files are now, else a revision.
fn side(context: &Context, name: &str) -> Result<Side, Failure> {
    let found = worktree::list(&context.repository)?.into_iter().find(|found| found.name == name);
    let Some(found) = found else {
        let commit = context.repository.resolve(name)?;
        return Ok(Side { name: name.to_owned(), files: DiffSide::Commit(commit.clone()), commit, uncommitted: 0 });
    };
    let dirt = worktree::status(&context.repository, &found)?;
    let commit = context.repository.resolve(&commit_of(&found)?)?;
    let uncommitted = [&dirt.modified, &dirt.staged, &dirt.untracked];
    let mut paths: Vec<&Path> = uncommitted.into_iter().flatten().map(PathBuf::as_path).collect();
    paths.sort_unstable();
    paths.dedup();
    Ok(Side { name: found.name, commit, files: DiffSide::Worktree(found.path), uncommitted: paths.len() })
}

fn commit_of(found: &worktree::Worktree) -> Result<String, Failure> {
    found.commit.as_ref().map(ToString::to_string).ok_or_else(|| {
        Failure::new(pleach_core::error::Kind::Rejected, format!("could not tell where worktree `{}` is", found.name))
            .next("`pleach worktree repair`")
    })
}
