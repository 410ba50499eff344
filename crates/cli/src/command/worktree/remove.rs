//! `pleach worktree remove`.

use pleach_core::error::Failure;
use pleach_git::worktree::{self, Removal, Removed};
use serde_json::{Value, json};

use super::context::{Context, told_by_the_first};
use crate::exit::{Ended, Exit};
use crate::print::answer;

/// Arguments of `pleach worktree remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The worktrees
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Remove also what has uncommitted, unpushed or precious files; `undo` still brings it back
    #[arg(long)]
    discard: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Ended> {
    let removal = if args.discard { Removal::Discard } else { Removal::Careful };
    let mut removed = Vec::new();
    let mut failures = Vec::new();
    for name in &args.names {
        match worktree::remove(&context.repository, name, removal) {
            Ok(gone) => removed.push(gone),
            Err(error) => {
                let mut failure = Failure::from(error);
                failure.state.get_or_insert_with(|| format!("`{name}` is as it was"));
                failures.push(failure);
            }
        }
    }
    tell(context, &removed);
    told_by_the_first(failures)
}

fn tell(context: &Context, removed: &[Removed]) {
    if context.json {
        let told = |gone: &Removed| json!({"name": gone.name, "path": gone.path, "branch": gone.branch});
        answer(&format!("{}\n", Value::from(removed.iter().map(told).collect::<Vec<_>>())));
        return;
    }
    let mut text = String::new();
    for gone in removed {
        let branch = gone.branch.as_ref().map(|branch| format!("; branch `{branch}` stays")).unwrap_or_default();
        text.push_str(&format!("removed `{}` from {}{branch}\n", gone.name, context.shown(&gone.path)));
    }
    if !removed.is_empty() {
        text.push_str("`pleach worktree undo` brings the last one back\n");
    }
    answer(&text);
}
