//! What can go wrong with a repository, its branches and its objects.
//!
//! [`Error`] serves all modules that read or write history; [`crate::worktree::WorktreeError`],
//! [`crate::MergeError`] and [`crate::PushError`] add what only those can meet. [`Cause`] carries the chain that `gix`
//! or the operating system told, as plain text, so that no type of `gix` is part of this crate's interface.

use std::fmt;
use std::path::{Path, PathBuf};

use pleach_core::error::{Explain, Kind};

use crate::system_git::quote;

/// What this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something below failed: a chain of texts, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    text: String,
    source: Option<Box<Cause>>,
    /// The operating system's error number, where there is one.
    code: Option<i32>,
}

impl Cause {
    /// A cause that nothing lies below.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), source: None, code: None }
    }

    fn chain(texts: impl DoubleEndedIterator<Item = String>, code: Option<i32>) -> Self {
        let mut source = None;
        for text in texts.rev() {
            source = Some(Box::new(Self { text, source, code }));
        }
        source.map_or_else(|| Self::new("no reason was told"), |cause| *cause)
    }

    /// Whether the disk or the quota was full.
    pub fn is_full(&self) -> bool {
        self.code.is_some_and(|code| {
            [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT, rustix::io::Errno::FBIG]
                .iter()
                .any(|errno| errno.raw_os_error() == code)
        })
    }

    /// Whether the file system is read-only, or the user may not write there.
    pub fn is_forbidden(&self) -> bool {
        self.code.is_some_and(|code| {
            [rustix::io::Errno::ROFS, rustix::io::Errno::ACCESS, rustix::io::Errno::PERM]
                .iter()
                .any(|errno| errno.raw_os_error() == code)
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}

impl From<std::io::Error> for Cause {
    fn from(error: std::io::Error) -> Self {
        Self { text: error.to_string(), source: None, code: error.raw_os_error() }
    }
}

impl From<rustix::io::Errno> for Cause {
    fn from(error: rustix::io::Errno) -> Self {
        std::io::Error::from(error).into()
    }
}

impl From<gix::Error> for Cause {
    fn from(error: gix::Error) -> Self {
        let mut texts: Vec<String> = Vec::new();
        let mut code = None;
        for error in error.iter_errors() {
            if let Some(io) = error.downcast_ref::<std::io::Error>() {
                code = code.or(io.raw_os_error());
            }
            let text = format!("{error:#}");
            if !text.is_empty() && texts.last() != Some(&text) {
                texts.push(text);
            }
        }
        Self::chain(texts.into_iter(), code)
    }
}

/// What a caller could do differently about a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither the directory nor one above it is a git repository.
    #[error("`{}` is not in a git repository", .0.display())]
    NotARepository(PathBuf),
    /// Something that looks like a repository, in a form that cannot be read.
    #[error("could not open the git repository at `{}`", .0.display())]
    Unreadable(PathBuf, #[source] Cause),
    /// A repository in a format that is not read here; the last part is what brings it into one that is.
    #[error("could not open the git repository at `{}`", .0.display())]
    Format(PathBuf, #[source] Cause, String),
    /// A worktree that does not lead to its repository: one of the two was moved, or the link was deleted.
    #[error("worktree `{}` does not lead to its repository", .0.display())]
    Unlinked(PathBuf, #[source] Cause),
    /// It belongs to another user, and `safe.directory` does not name it.
    #[error("the git repository at `{}` belongs to another user", .0.display())]
    Untrusted(PathBuf),
    /// It has no working tree, and the operation needs one.
    #[error("`{}` is a bare repository, without files to work on", .0.display())]
    Bare(PathBuf),
    /// Nothing was committed yet.
    #[error("`{}` has no commits", .0.display())]
    NoCommits(PathBuf),
    /// The branch is on a remote, as it was fetched last, and not here.
    #[error("there is no local branch `{name}`")]
    OnlyRemote {
        /// The branch.
        name: String,
        /// The remote that has it.
        remote: String,
    },
    /// There are commits, and no branch that holds them.
    #[error("`{}` has no local branch", .0.display())]
    NoBranches(PathBuf),
    /// No branch, tag or commit has this name; the nearest branch, if one is near.
    #[error("`{0}` names no commit")]
    UnknownRevision(String, Option<String>),
    /// A branch or tag that should have been new.
    #[error("`{0}` exists already")]
    Exists(String),
    /// Not what git allows as the name of a branch or tag.
    #[error("`{0}` cannot be the name of a branch or tag")]
    BadName(String),
    /// The branch does not exist.
    #[error("there is no branch `{0}`")]
    NoBranch(String, Option<String>),
    /// The branch is not where it was expected to be: somebody else moved it.
    #[error("`{name}` is at {actual}, not at {expected}")]
    Moved {
        /// The branch.
        name: String,
        /// Where it was expected.
        expected: String,
        /// Where it is.
        actual: String,
    },
    /// The branch is checked out, so it may not be moved or deleted behind that worktree's back.
    #[error("branch `{}` is checked out in `{}`", .0, .1.display())]
    CheckedOut(String, PathBuf),
    /// The new commit does not follow from the old one.
    #[error("`{0}` cannot be fast-forwarded to {1}")]
    NotFastForward(String, String),
    /// No name and mail address to sign commits with.
    #[error("there is no name and mail address to sign a commit with")]
    NoIdentity,
    /// No such remote.
    #[error("there is no remote `{0}`")]
    NoRemote(String),
    /// The path is not in the commit.
    #[error("`{}` is not in commit {}", .0.display(), .1)]
    NoPath(PathBuf, String),
    /// The path is in the commit, and is a file, a link or a submodule.
    #[error("`{}` is not a directory in commit {}", .0.display(), .1)]
    NotADirectory(PathBuf, String),
    /// An object was left out when the repository was cloned, and only git itself fetches it; what was being done, and
    /// the remote that has it.
    #[error("could not {what}")]
    LeftOut {
        /// What was being done.
        what: String,
        /// The remote that has the object.
        remote: String,
        /// Why it is not here.
        #[source]
        cause: Cause,
    },
    /// The caller asked to stop.
    #[error("{0} was interrupted")]
    Interrupted(&'static str),
    /// Reading or writing inside the repository failed.
    #[error("could not {0}")]
    Failed(String, #[source] Cause),
    /// A file outside of git's own formats could not be read or written.
    #[error("could not {} `{}`", .0, .1.display())]
    File(&'static str, PathBuf, #[source] Cause),
}

impl Error {
    pub(crate) fn failed(what: impl Into<String>) -> impl FnOnce(gix::Error) -> Self {
        move |error| Self::Failed(what.into(), error.into())
    }

    /// Like [`failed`](Self::failed), for reading objects: one that a partial clone left out is told as that.
    pub(crate) fn reading(local: &gix::Repository, what: impl Into<String>) -> impl FnOnce(gix::Error) -> Self {
        let what = what.into();
        move |error| match promisor(local).filter(|_| error.is_not_found()) {
            Some(remote) => Self::left_out(what, remote),
            None => Self::Failed(what, error.into()),
        }
    }

    pub(crate) fn left_out(what: String, remote: String) -> Self {
        let cause = Cause::new(format!("this is a partial clone, and `{remote}` was not asked for all of it"));
        Self::LeftOut { what, remote, cause }
    }

    pub(crate) fn file<E: Into<Cause>>(verb: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |error| Self::File(verb, path.to_owned(), error.into())
    }
}

/// The remote that a partial clone leaves its objects at.
pub(crate) fn promisor(local: &gix::Repository) -> Option<String> {
    let config = local.config_snapshot();
    let named = config.string("extensions.partialClone").map(|name| name.to_string());
    named.or_else(|| {
        let names: Vec<String> = local.remote_names().iter().map(|name| name.to_string()).collect();
        names.into_iter().find(|name| config.boolean(format!("remote.{name}.promisor").as_str()) == Some(true))
    })
}

impl Explain for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::NotARepository(_)
            | Self::Untrusted(_)
            | Self::Bare(_)
            | Self::NoCommits(_)
            | Self::UnknownRevision(..)
            | Self::BadName(_)
            | Self::NoBranch(..)
            | Self::NoIdentity
            | Self::NoRemote(_)
            | Self::Unlinked(..)
            | Self::OnlyRemote { .. }
            | Self::NoBranches(_)
            | Self::NotADirectory(..)
            | Self::LeftOut { .. }
            | Self::NoPath(..) => Kind::Rejected,
            Self::Unreadable(..) | Self::Format(..) => Kind::Unsupported,
            Self::Exists(_) | Self::Moved { .. } | Self::CheckedOut(..) | Self::NotFastForward(..) => Kind::Conflict,
            Self::Interrupted(_) => Kind::Cancelled,
            Self::Failed(_, cause) | Self::File(_, _, cause) if cause.is_full() || cause.is_forbidden() => {
                Kind::Rejected
            }
            Self::Failed(..) | Self::File(..) => Kind::Transient,
        }
    }

    fn next(&self) -> Option<String> {
        let near = |near: &Option<String>| match near {
            Some(near) => format!("did you mean `{near}`? `git branch --all` lists what there is"),
            None => "`git branch --all` lists what there is".to_owned(),
        };
        Some(match self {
            Self::Format(_, _, next) => next.clone(),
            Self::Unlinked(path, _) => format!(
                "in the repository: `pleach worktree repair`, or `pleach worktree repair {}` if the worktree was moved",
                quote(path)
            ),
            Self::OnlyRemote { name, remote } => {
                let from = format!("{remote}/{name}");
                format!("`git branch {} {}`", quote(Path::new(name)), quote(Path::new(&from)))
            }
            Self::NoBranches(_) => "make one where you are: `git switch -c main`".to_owned(),
            Self::NoPath(_, commit) | Self::NotADirectory(_, commit) => {
                format!("`git ls-tree -r -d --name-only {commit}` lists the directories that there are")
            }
            Self::LeftOut { remote, .. } => {
                let remote = quote(Path::new(remote));
                format!("`git config --unset-all remote.{remote}.partialclonefilter; git fetch --refetch {remote}`")
            }
            Self::NotARepository(_) => "go to a repository, or make one here with `git init`".to_owned(),
            Self::Untrusted(path) => {
                format!("if you trust it: `git config --global --add safe.directory {}`", quote(path))
            }
            Self::Bare(path) => {
                format!("make a working tree: `git -C {} worktree add ../main`", quote(path))
            }
            Self::NoCommits(_) => "make the first one: `git commit --allow-empty -m 'First commit'`".to_owned(),
            Self::UnknownRevision(_, nearest) | Self::NoBranch(_, nearest) => near(nearest),
            Self::Moved { name, .. } => format!("look at what changed with `git log {name}`, then try again"),
            Self::CheckedOut(_, at) => format!("work there: `cd {}`", quote(at)),
            Self::NotFastForward(name, to) => format!("merge instead: `git merge {to}` on `{name}`"),
            Self::NoIdentity => {
                "`git config user.name 'Your Name'` and `git config user.email you@example.com`".to_owned()
            }
            Self::NoRemote(name) => format!("`git remote add {name} URL`; `git remote -v` lists what there is"),
            Self::Failed(_, cause) | Self::File(_, _, cause) if cause.is_full() => {
                "free some space (`df -h .`), then try again".to_owned()
            }
            Self::Failed(_, cause) | Self::File(_, _, cause) if cause.is_forbidden() => {
                "make the directory writable, or run as the user who owns it (`ls -ld .`)".to_owned()
            }
            Self::Exists(_)
            | Self::BadName(_)
            | Self::Unreadable(..)
            | Self::Interrupted(_)
            | Self::Failed(..)
            | Self::File(..) => return None,
        })
    }
}
