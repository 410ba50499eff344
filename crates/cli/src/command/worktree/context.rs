//! What every worktree command starts from.

use std::path::{Path, PathBuf};

use pleach_core::config::{Config, FILE_NAME};
use pleach_core::error::Failure;
use pleach_git::Repository;
use pleach_git::worktree::{self, Worktree};
use serde_json::{Value, json};

use crate::args::Globals;
use crate::exit::{Ended, Exit};
use crate::print::Paint;
use crate::project::untouched;

/// The repository, its config if there is one, and how to answer.
pub(crate) struct Context {
    pub(crate) repository: Repository,
    pub(crate) config: Option<Config>,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) paint: Paint,
    directory: PathBuf,
}

impl Context {
    /// Finds the repository and reads `pleach.toml`; a missing one is none, a wrong one ends the command.
    pub(crate) fn open(globals: &Globals) -> Result<Self, Ended> {
        let directory = globals.directory.clone().unwrap_or_else(|| ".".into());
        let repository = Repository::discover(&directory).map_err(|error| untouched(error.into()))?;
        Ok(Self {
            config: load_config(globals, &repository)?,
            repository,
            json: globals.json,
            quiet: globals.quiet,
            paint: Paint::of_stdout(globals.color),
            directory,
        })
    }

    /// The project's name: the config's, or that of the repository's directory.
    pub(crate) fn project(&self) -> String {
        let named = self.config.as_ref().map(|config| config.project.name.clone());
        named.unwrap_or_else(|| {
            let name = self.repository.root().file_name().unwrap_or_default().to_string_lossy();
            name.trim_end_matches(".git").to_owned()
        })
    }

    /// The directory that worktrees are made in.
    pub(crate) fn worktrees(&self) -> PathBuf {
        let pattern = self.config.as_ref().map(|config| config.project.worktrees.to_string_lossy().into_owned());
        let pattern = pattern.unwrap_or_else(|| "../{project}-worktrees".into());
        clean(&self.repository.root().join(pattern.replace("{project}", &self.project())))
    }

    /// A path that the user gave, from where they are.
    pub(crate) fn given(&self, path: &Path) -> PathBuf {
        let base = std::path::absolute(&self.directory).unwrap_or_else(|_| self.directory.clone());
        clean(&base.join(path))
    }

    /// The branch that others are merged into.
    pub(crate) fn main_branch(&self) -> Option<String> {
        let named = self.config.as_ref().map(|config| config.project.main.clone());
        named.or_else(|| self.repository.default_branch().ok().map(|branch| branch.name))
    }

    /// The worktree of that name or path.
    pub(crate) fn find(&self, name: &str) -> Result<Worktree, Failure> {
        Ok(worktree::find(&self.repository, name)?)
    }

    /// A path as short as it can be pasted: from where the user is if it lies beside or below it.
    pub(crate) fn shown(&self, path: &Path) -> String {
        let Ok(here) = std::env::current_dir() else { return path.display().to_string() };
        if let Ok(below) = path.strip_prefix(&here) {
            return if below.as_os_str().is_empty() { ".".to_owned() } else { below.display().to_string() };
        }
        match here.parent().filter(|parent| parent.parent().is_some()).map(|parent| path.strip_prefix(parent)) {
            Some(Ok(beside)) => format!("../{}", beside.display()),
            _ => path.display().to_string(),
        }
    }
}

/// What programs are told of a worktree.
pub(super) fn fields(worktree: &Worktree) -> Value {
    json!({
        "name": worktree.name,
        "path": worktree.path,
        "branch": worktree.branch,
        "commit": worktree.commit,
        "port": worktree.port(),
        "purpose": worktree.purpose,
        "owner": worktree.owner,
        "locked": worktree.locked,
        "created_by": worktree.created_by,
        "created_at": worktree.created_at,
    })
}

/// Done, or all failures with the exit code that the first one stands for.
pub(super) fn told_by_the_first(failures: Vec<Failure>) -> Result<Exit, Ended> {
    let Some(first) = failures.first().cloned() else { return Ok(Exit::DONE) };
    let mut ended = Ended::from(failures);
    ended.exit = Ended::from(first).exit;
    Err(ended)
}

fn load_config(globals: &Globals, repository: &Repository) -> Result<Option<Config>, Ended> {
    let path = globals.config.clone().unwrap_or_else(|| repository.current_worktree().join(FILE_NAME));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && globals.config.is_none() => return Ok(None),
        Err(error) => {
            let failure =
                Failure::new(pleach_core::error::Kind::Rejected, format!("could not read `{}`", path.display()));
            return Err(Ended::wrong(failure.because(error.to_string()).state("nothing was touched")));
        }
    };
    let name = path.display().to_string();
    let config = pleach_core::config::parse(&name, &text).map_err(|problems| Ended::wrong(problems.into()))?;
    Ok(Some(config))
}

/// Takes `a/../` out without asking the disk, since the end of the path may not exist yet.
fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}
