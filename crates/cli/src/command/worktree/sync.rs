//! `pleach worktree sync`: forwards only, never over work.

use std::collections::BTreeSet;

use pleach_core::error::Failure;
use pleach_git::FetchBackend;
use pleach_git::worktree::{self, Onto, State, Synced, Worktree};
use serde_json::{Value, json};

use super::context::{Context, told_by_the_first};
use super::interrupt::{Again, Signals};
use crate::exit::{Ended, Exit};
use crate::print::{Cell, Style, Table, answer, stdout_columns};

/// Arguments of `pleach worktree sync`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The worktrees; all if absent
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Bring them to this branch or commit instead of to their remote branches
    #[arg(long, value_name = "REV")]
    onto: Option<String>,
    /// Use the remote branches as they were fetched last
    #[arg(long)]
    no_fetch: bool,
}

/// What came of one worktree.
enum Outcome {
    Synced(Synced),
    /// Its branch is on no remote, or it is on no branch: there is nothing to bring it to.
    Alone,
    Failed(Failure),
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Ended> {
    let worktrees = chosen(args, context)?;
    if args.onto.is_none() && !args.no_fetch {
        fetch(context)?;
    }
    let outcomes: Vec<(Worktree, Outcome)> = worktrees
        .into_iter()
        .map(|worktree| {
            let outcome = sync(context, &worktree, args.onto.as_deref()).unwrap_or_else(|mut failure| {
                failure.state.get_or_insert_with(|| format!("`{}` is as it was", worktree.name));
                Outcome::Failed(failure)
            });
            (worktree, outcome)
        })
        .collect();
    tell(context, &outcomes);
    told_by_the_first(outcomes.into_iter().filter_map(|(_, outcome)| failure(outcome)).collect())
}

/// Fetches from every remote that anything was fetched from before.
fn fetch(context: &Context) -> Result<(), Failure> {
    let remotes: BTreeSet<String> =
        context.repository.remote_branches()?.into_iter().map(|branch| branch.remote).collect();
    let signals = Signals::watch(Again::Ends)?;
    for remote in remotes {
        context.repository.fetch(&remote, FetchBackend::Auto, &signals.raised)?;
    }
    Ok(())
}

fn chosen(args: &Args, context: &Context) -> Result<Vec<Worktree>, Failure> {
    if args.names.is_empty() {
        // What is missing or locked was not asked for by name: `list` shows it, and nothing can be brought to it.
        let all = worktree::list(&context.repository)?;
        return Ok(all.into_iter().filter(|found| found.state == State::Ok).collect());
    }
    args.names.iter().map(|name| context.find(name)).collect()
}

fn sync(context: &Context, worktree: &Worktree, onto: Option<&str>) -> Result<Outcome, Failure> {
    let onto = match (onto, &worktree.branch) {
        (Some(revision), _) => Onto::Revision(revision.to_owned()),
        (None, None) => return Ok(Outcome::Alone),
        (None, Some(branch)) if context.repository.require_branch(branch)?.upstream.is_some() => Onto::Upstream,
        (None, Some(branch)) => {
            // A branch that follows nothing by its configuration still has a namesake to follow.
            let remote = context.repository.remote_branches()?.into_iter().find(|found| found.name == *branch);
            match remote {
                Some(remote) => Onto::Revision(remote.commit.to_string()),
                None => return Ok(Outcome::Alone),
            }
        }
    };
    Ok(Outcome::Synced(worktree::sync(&context.repository, &worktree.name, &onto)?))
}

fn failure(outcome: Outcome) -> Option<Failure> {
    match outcome {
        Outcome::Failed(failure) => Some(failure),
        Outcome::Synced(_) | Outcome::Alone => None,
    }
}

fn tell(context: &Context, outcomes: &[(Worktree, Outcome)]) {
    if context.json {
        answer(&format!("{}\n", Value::from(outcomes.iter().map(told).collect::<Vec<_>>())));
        return;
    }
    let mut table = Table::new(["WORKTREE", "BRANCH", "RESULT"]);
    for (worktree, outcome) in outcomes {
        let (style, text) = match outcome {
            Outcome::Synced(Synced::Forwarded { from, to }) => {
                (Style::Good, format!("forwarded {} to {}", from.short(), to.short()))
            }
            Outcome::Synced(Synced::UpToDate { ahead: 0, .. }) => (Style::Dim, "up to date".to_owned()),
            Outcome::Synced(Synced::UpToDate { ahead, .. }) => (Style::Dim, format!("up to date, {ahead} ahead")),
            Outcome::Alone => (Style::Dim, "on no remote".to_owned()),
            Outcome::Failed(_) => (Style::Bad, "failed".to_owned()),
        };
        let branch = worktree.branch.clone().unwrap_or_else(|| "(no branch)".into());
        table.row([worktree.name.clone().into(), branch.into(), Cell::styled(style, text)]);
    }
    answer(&table.text(context.paint, stdout_columns()));
}

fn told((worktree, outcome): &(Worktree, Outcome)) -> Value {
    let base = |result: &str| json!({"name": worktree.name, "branch": worktree.branch, "result": result});
    let mut value = match outcome {
        Outcome::Synced(Synced::Forwarded { .. }) => base("forwarded"),
        Outcome::Synced(Synced::UpToDate { .. }) => base("up-to-date"),
        Outcome::Alone => base("alone"),
        Outcome::Failed(_) => base("failed"),
    };
    match outcome {
        Outcome::Synced(Synced::Forwarded { from, to }) => {
            value["from"] = from.as_str().into();
            value["to"] = to.as_str().into();
        }
        Outcome::Synced(Synced::UpToDate { at, ahead }) => {
            value["at"] = at.as_str().into();
            value["ahead"] = (*ahead).into();
        }
        Outcome::Failed(failure) => value["failure"] = json!(failure),
        Outcome::Alone => {}
    }
    value
}
