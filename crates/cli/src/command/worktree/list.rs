//! `pleach worktree list`.

use pleach_core::error::Failure;
use pleach_git::worktree::{self, Dirt, State, Worktree};
use pleach_git::{Divergence, Head, Layout};
use serde_json::{Value, json};

use super::context::{Context, fields};
use crate::exit::{Ended, Exit};
use crate::print::{Cell, Style, Table, answer, stdout_columns};

/// A worktree and what was read from it.
struct Row {
    worktree: Worktree,
    dirt: Option<Dirt>,
    divergence: Option<Divergence>,
}

pub(crate) fn run(context: &Context) -> Result<Exit, Ended> {
    let rows = rows(context)?;
    if context.json {
        let all: Vec<Value> = rows.iter().map(told).collect();
        answer(&format!("{}\n", Value::from(all)));
        return Ok(Exit::DONE);
    }
    let mut table = Table::new(["WORKTREE", "BRANCH", "COMMIT", "STATE", "PORT", "PATH"]);
    if context.repository.layout() == Layout::Checkout {
        table.row(main_row(context));
    }
    for row in &rows {
        let (style, state) = state_text(row);
        table.row([
            row.worktree.name.clone().into(),
            row.worktree.branch.clone().unwrap_or_else(|| "(no branch)".into()).into(),
            Cell::styled(Style::Dim, row.worktree.commit.as_ref().map(|id| id.short().to_owned()).unwrap_or_default()),
            Cell::styled(style, state),
            row.worktree.port().map(|port| port.to_string()).unwrap_or_default().into(),
            context.shown(&row.worktree.path).into(),
        ]);
    }
    answer(&table.text(context.paint, stdout_columns()));
    Ok(Exit::DONE)
}

fn rows(context: &Context) -> Result<Vec<Row>, Failure> {
    let worktrees = worktree::list(&context.repository)?;
    let main = context.main_branch();
    // Each status walks a tree of its own: side by side they take the time of the largest.
    let read = |worktree: Worktree| {
        let dirt =
            (worktree.state == State::Ok).then(|| worktree::status(&context.repository, &worktree).ok()).flatten();
        let divergence = worktree.commit.as_ref().zip(main.as_deref());
        let divergence =
            divergence.and_then(|(commit, main)| context.repository.ahead_behind(commit.as_str(), main).ok());
        Row { worktree, dirt, divergence }
    };
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get()).min(8);
    let share = worktrees.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let tasks: Vec<_> = worktrees
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().cloned().map(read).collect::<Vec<_>>()))
            .collect();
        Ok(tasks.into_iter().flat_map(|task| task.join().unwrap_or_default()).collect())
    })
}

fn main_row(context: &Context) -> [Cell; 6] {
    let (branch, commit) = match context.repository.head() {
        Ok(Head::Branch(branch, commit)) => (branch, commit.short().to_owned()),
        Ok(Head::Unborn(branch)) => (branch, String::new()),
        Ok(Head::Detached(commit)) => ("(no branch)".to_owned(), commit.short().to_owned()),
        Err(_) => Default::default(),
    };
    let path = context.shown(context.repository.root());
    let name = Cell::styled(Style::Bold, "(main)");
    [name, branch.into(), Cell::styled(Style::Dim, commit), "".into(), "".into(), path.into()]
}

fn state_text(row: &Row) -> (Style, String) {
    if let Some(reason) = &row.worktree.locked {
        let why = if reason.is_empty() { "locked".to_owned() } else { format!("locked: {reason}") };
        return (Style::Busy, why);
    }
    match (&row.worktree.state, &row.dirt) {
        (State::Missing, _) => (Style::Bad, "missing".into()),
        (State::Corrupt(_), _) => (Style::Bad, "damaged: `pleach worktree repair`".into()),
        (State::HalfMade, _) => (Style::Busy, "being made".into()),
        (State::Ok, Some(dirt)) => {
            let changed = dirt.modified.len() + dirt.staged.len() + dirt.untracked.len();
            let moved = row.divergence.map(divergence_text).unwrap_or_default();
            match (&dirt.unfinished, changed) {
                (Some(what), _) => (Style::Busy, format!("{what} under way")),
                (None, 0) => (Style::Good, format!("clean{moved}")),
                (None, count) => (Style::Busy, format!("{count} changed{moved}")),
            }
        }
        (State::Ok, None) => (Style::Busy, "unreadable".into()),
    }
}

/// Commits that the worktree has and main has not, and the other way round.
fn divergence_text(divergence: Divergence) -> String {
    match (divergence.ahead, divergence.behind) {
        (0, 0) => String::new(),
        (ahead, 0) => format!(" +{ahead}"),
        (0, behind) => format!(" -{behind}"),
        (ahead, behind) => format!(" +{ahead} -{behind}"),
    }
}

fn told(row: &Row) -> Value {
    let mut value = fields(&row.worktree);
    value["state"] = match &row.worktree.state {
        State::Ok => "ok",
        State::Missing => "missing",
        State::Corrupt(_) => "damaged",
        State::HalfMade => "half-made",
    }
    .into();
    if let State::Corrupt(why) = &row.worktree.state {
        value["damage"] = why.as_str().into();
    }
    if let Some(dirt) = &row.dirt {
        value["changes"] = json!({
            "modified": dirt.modified,
            "staged": dirt.staged,
            "untracked": dirt.untracked,
            "precious": dirt.precious,
            "unfinished": dirt.unfinished,
        });
    }
    if let Some(Divergence { ahead, behind }) = row.divergence {
        value["main"] = json!({"ahead": ahead, "behind": behind});
    }
    value
}
