//! `pleach worktree add`.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use pleach_core::error::{Failure, Kind};
use pleach_git::worktree::{self, Head, Progress, Worktree, WorktreeSpec};
use serde_json::{Value, json};

use super::context::{Context, fields, told_by_the_first};
use super::interrupt::{Again, Signals};
use super::wanted::{Asked, wanted};
use crate::exit::{Ended, Exit};
use crate::print::{Cell, Style, Table, answer, stdout_columns};
use crate::project::untouched;

/// Arguments of `pleach worktree add`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services, branches, or purposes: `deploy`, `staging`, `production`, `hotfix`
    #[arg(value_name = "NAME", required_unless_present_any = ["all", "branch", "new_branch"])]
    names: Vec<String>,
    /// One for each service of `pleach.toml`
    #[arg(long, conflicts_with_all = ["names", "branch", "new_branch", "detach", "path"])]
    all: bool,
    /// Check out this branch
    #[arg(long, value_name = "BRANCH", conflicts_with_all = ["new_branch", "detach"])]
    branch: Option<String>,
    /// Make this branch and check it out
    #[arg(long, value_name = "BRANCH", conflicts_with = "detach")]
    new_branch: Option<String>,
    /// Where the new branch starts; the main branch if absent
    #[arg(long, value_name = "REV", requires = "new_branch")]
    from: Option<String>,
    /// Check out a commit, on no branch
    #[arg(long, value_name = "REV")]
    detach: Option<String>,
    /// Where to make it; below the project's worktrees if absent
    #[arg(long, value_name = "PATH")]
    path: Option<PathBuf>,
    /// What it is for, for its README
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
}

/// What came of one name.
enum Outcome {
    Made(Worktree),
    Present(Worktree),
    /// The branch is checked out elsewhere already, and that is where to work on it.
    Shared(String, PathBuf),
    Failed(Failure),
}

pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, Ended> {
    context.repository.require_commits().map_err(|error| untouched(error.into()))?;
    let (names, asked) = asked(&args, context)?;
    let mut outcomes: Vec<(String, Option<Outcome>)> = Vec::new();
    let mut specs: Vec<WorktreeSpec> = Vec::new();
    let mut branches: BTreeMap<String, String> = BTreeMap::new();
    for name in names {
        let outcome = match wanted(context, &name, &asked) {
            Err(failure) => Some(Outcome::Failed(failure)),
            Ok(mut spec) => {
                spec.path = args.path.as_ref().map_or(spec.path, |path| context.given(path));
                spec.purpose = args.purpose.clone().or(spec.purpose);
                spec.created_by = command_line(&args, &name);
                present(context, &spec, args.all, &mut branches)?.or_else(|| {
                    specs.push(spec);
                    None
                })
            }
        };
        outcomes.push((name, outcome));
    }
    let signals = Signals::watch(Again::Ends)?;
    let progress = Meter::new(specs.len(), context);
    let made = worktree::add_many(&context.repository, &specs, &|step| progress.tell(&step), &signals.raised);
    progress.clear();
    let mut made = made.into_iter();
    for (_, outcome) in outcomes.iter_mut().filter(|(_, outcome)| outcome.is_none()) {
        *outcome = made.next().map(|result| match result {
            Ok(worktree) => Outcome::Made(worktree),
            Err(error) => {
                let mut failure = Failure::from(error);
                failure.state.get_or_insert_with(|| "nothing was made for it".to_owned());
                Outcome::Failed(failure)
            }
        });
    }
    let outcomes: Vec<(String, Outcome)> =
        outcomes.into_iter().filter_map(|(name, outcome)| Some((name, outcome?))).collect();
    tell(context, &outcomes);
    ended(outcomes)
}

fn asked(args: &Args, context: &Context) -> Result<(Vec<String>, Asked), Ended> {
    if args.all {
        let Some(config) = &context.config else { return Err(Ended::wrong(no_config())) };
        return Ok((config.services.keys().map(ToString::to_string).collect(), Asked::ByName));
    }
    let asked = match (&args.branch, &args.new_branch, &args.detach) {
        (Some(branch), _, _) => Asked::Branch(branch.clone()),
        (_, Some(branch), _) => Asked::NewBranch(branch.clone(), args.from.clone()),
        (_, _, Some(revision)) => Asked::Detached(revision.clone()),
        _ => Asked::ByName,
    };
    let mut names = args.names.clone();
    if let (true, Some(branch)) = (names.is_empty(), args.branch.as_ref().or(args.new_branch.as_ref())) {
        names.push(branch.rsplit('/').next().unwrap_or(branch).to_owned());
    }
    let one_for_many = args.path.is_some() || matches!(asked, Asked::Branch(_) | Asked::NewBranch(..));
    if names.len() > 1 && one_for_many {
        let failure =
            Failure::new(Kind::Rejected, format!("one branch or path was given for {} worktrees", names.len()));
        let next = format!("name one worktree at a time: `pleach worktree add {} …`", names[0]);
        return Err(Ended::wrong(failure.state("nothing was made").next(next)));
    }
    Ok((names, asked))
}

fn no_config() -> Failure {
    Failure::new(Kind::Rejected, "`--all` makes one worktree a service, and there is no `pleach.toml`")
        .state("nothing was made")
        .next("`pleach init` proposes one; or name branches: `pleach worktree add NAME`")
}

/// Whether there is nothing to do: it is there already, or its branch is where the user works on it anyway.
fn present(
    context: &Context,
    spec: &WorktreeSpec,
    all: bool,
    branches: &mut BTreeMap<String, String>,
) -> Result<Option<Outcome>, Failure> {
    let branch = match &spec.head {
        Head::Branch(branch) | Head::NewBranch { name: branch, .. } => Some(branch),
        Head::Detached(_) => None,
    };
    let there = worktree::list(&context.repository)?.into_iter().find(|found| found.name == spec.name);
    if let Some(found) = there
        && found.branch.as_ref() == branch
        && found.state == worktree::State::Ok
    {
        return Ok(Some(Outcome::Present(found)));
    }
    let Some(branch) = branch.filter(|_| all) else { return Ok(None) };
    // Several services of one branch share its worktree: git holds a branch in one place only.
    let holder = context.repository.branches()?.into_iter().find(|found| found.name == *branch);
    if let Some(path) = holder.and_then(|found| found.checked_out_in) {
        return Ok(Some(Outcome::Shared(branch.clone(), path)));
    }
    match branches.get(branch) {
        Some(first) => Ok(Some(Outcome::Shared(branch.clone(), context.worktrees().join(first)))),
        None => {
            branches.insert(branch.clone(), spec.name.clone());
            Ok(None)
        }
    }
}

fn command_line(args: &Args, name: &str) -> String {
    let mut line = format!("pleach worktree add {name}");
    for (option, value) in [
        ("--branch", &args.branch),
        ("--new-branch", &args.new_branch),
        ("--from", &args.from),
        ("--detach", &args.detach),
    ] {
        if let Some(value) = value {
            line.push_str(&format!(" {option} {value}"));
        }
    }
    line
}

fn tell(context: &Context, outcomes: &[(String, Outcome)]) {
    if context.json {
        answer(&format!("{}\n", Value::from(outcomes.iter().map(told).collect::<Vec<_>>())));
        return;
    }
    let mut table = Table::new(["WORKTREE", "BRANCH", "PORT", "RESULT", "PATH"]);
    for (name, outcome) in outcomes {
        let (style, result, worktree) = match outcome {
            Outcome::Made(worktree) => (Style::Good, "made", Some(worktree)),
            Outcome::Present(worktree) => (Style::Dim, "was there", Some(worktree)),
            Outcome::Shared(branch, path) => {
                let cells = [name.clone().into(), branch.clone().into(), "".into(), Cell::styled(Style::Dim, "shares")];
                table.row(cells.into_iter().chain([context.shown(path).into()]));
                continue;
            }
            Outcome::Failed(_) => (Style::Bad, "failed", None),
        };
        let branch = worktree.map(|found| found.branch.clone().unwrap_or_else(|| "(no branch)".into()));
        let port = worktree.and_then(Worktree::port).map(|port| port.to_string());
        let path = worktree.map(|found| context.shown(&found.path));
        table.row([
            name.clone().into(),
            branch.unwrap_or_default().into(),
            port.unwrap_or_default().into(),
            Cell::styled(style, result),
            path.unwrap_or_default().into(),
        ]);
    }
    answer(&table.text(context.paint, stdout_columns()));
}

fn told((name, outcome): &(String, Outcome)) -> Value {
    let with = |result: &str, worktree: &Worktree| {
        let mut value = fields(worktree);
        value["result"] = result.into();
        value
    };
    match outcome {
        Outcome::Made(worktree) => with("made", worktree),
        Outcome::Present(worktree) => with("present", worktree),
        Outcome::Shared(branch, path) => json!({"name": name, "branch": branch, "path": path, "result": "shared"}),
        Outcome::Failed(failure) => json!({"name": name, "result": "failed", "failure": failure}),
    }
}

fn ended(outcomes: Vec<(String, Outcome)>) -> Result<Exit, Ended> {
    let failures: Vec<Failure> = outcomes
        .into_iter()
        .filter_map(|(_, outcome)| match outcome {
            Outcome::Failed(failure) => Some(failure),
            _ => None,
        })
        .collect();
    told_by_the_first(failures)
}

/// One line on a terminal while files are written; nothing in a pipe.
struct Meter {
    worktrees: usize,
    shown: bool,
}

impl Meter {
    fn new(worktrees: usize, context: &Context) -> Self {
        Self { worktrees, shown: std::io::stderr().is_terminal() && !context.quiet && !context.json }
    }

    fn tell(&self, step: &Progress) {
        if let (true, Progress::Writing { done, total }) = (self.shown, step) {
            let percent = (done * 100).checked_div(*total).unwrap_or(100);
            let mut stderr = std::io::stderr().lock();
            let _ = write!(stderr, "\r{} worktrees: {done} of {total} files ({percent}%)\u{1b}[K", self.worktrees);
            let _ = stderr.flush();
        }
    }

    fn clear(&self) {
        if self.shown {
            let _ = write!(std::io::stderr().lock(), "\r\u{1b}[K");
        }
    }
}
