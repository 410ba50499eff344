//! One repository, seen from one of its worktrees.
//!
//! Opening reads the configuration and nothing else. The handle can be cloned and shared between threads; each
//! operation takes its own thread-local view, so no two of them share a cache or a lock.

use std::fs;
use std::path::{Path, PathBuf};

use gix::refs::FullName;
use gix::sec::trust::DefaultForLevel as _;
use pleach_core::word::CommitId;

use crate::branch::nearest_branch;
use crate::error::{Cause, Error, Result};
use crate::worktree::registry;

/// Whether there are files beside the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A main worktree and its `.git`.
    Checkout,
    /// History alone; worktrees can still be added to it.
    Bare,
}

/// An opened repository. Cheap to clone, `Send` and `Sync`.
#[derive(Clone)]
pub struct Repository {
    inner: gix::ThreadSafeRepository,
    layout: Layout,
    root: PathBuf,
    current: PathBuf,
    common: PathBuf,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("root", &self.root).field("current", &self.current).finish_non_exhaustive()
    }
}

impl Repository {
    /// Finds the repository that `path` lies in, looking upwards.
    ///
    /// A repository without commits, or a bare one, is found as well: what needs more says so. A repository of a format
    /// that cannot be read (reftable, SHA-256) is [`Error::Format`]; one of another user is [`Error::Untrusted`], as
    /// with git, unless `safe.directory` names it.
    pub fn discover(path: &Path) -> Result<Self> {
        let place = fs::canonicalize(path).map_err(|_| Error::NotARepository(path.to_owned()))?;
        let found = gix::discover::upwards(&place);
        let (git_dir, trust) = found.map_err(|_| not_found(path, &place))?;
        let (git_dir, _) = git_dir.into_repository_and_work_tree_directories();
        require_format(&git_dir, &place)?;
        let options = gix::open::Options::default_for_level(trust)
            .with(trust)
            .open_path_as_is(true)
            .bail_if_untrusted(true)
            .strict_config(false);
        let inner = gix::ThreadSafeRepository::open_opts(&git_dir, options).map_err(|error| {
            // Without trust its filters would be left out, and files written that differ from git's.
            if trust == gix::sec::Trust::Reduced {
                Error::Untrusted(place.clone())
            } else {
                Error::Unreadable(place.clone(), error.into())
            }
        })?;
        Self::new(inner, &place)
    }

    fn new(inner: gix::ThreadSafeRepository, place: &Path) -> Result<Self> {
        let local = inner.to_thread_local();
        let canonical =
            |path: &Path| fs::canonicalize(path).map_err(|error| Error::Unreadable(path.to_owned(), error.into()));
        let common = canonical(local.common_dir())?;
        let main = local.main_repo().map_err(|error| Error::Unreadable(place.to_owned(), error.into()))?;
        let main_root = main.workdir().filter(|_| !main.is_bare()).map(canonical).transpose()?;
        let layout = if main_root.is_some() { Layout::Checkout } else { Layout::Bare };
        let root = main_root.unwrap_or_else(|| common.clone());
        let current = match local.workdir() {
            Some(workdir) => canonical(workdir)?,
            None => root.clone(),
        };
        Ok(Self { inner, layout, root, current, common })
    }

    /// This thread's own view.
    pub(crate) fn local(&self) -> gix::Repository {
        let mut local = self.inner.to_thread_local();
        local.object_cache_size_if_unset(4 * 1024 * 1024);
        local
    }

    /// This thread's own view, able to write reflogs also where no identity is configured.
    pub(crate) fn local_for_writing(&self) -> Result<gix::Repository> {
        let mut local = self.local();
        local.committer_or_set_fallback("Pleach", "pleach@localhost").map_err(Error::failed("read the identity"))?;
        Ok(local)
    }

    pub(crate) fn shared(&self) -> &gix::ThreadSafeRepository {
        &self.inner
    }

    /// The same repository seen from the worktree at `path`, with that worktree's own index, `HEAD` and configuration.
    pub(crate) fn at(&self, path: &Path) -> Result<Self> {
        let unlinked = || Error::Unlinked(path.to_owned(), Cause::new("its `.git` names no repository"));
        let found = Self::discover(path).map_err(|error| match error {
            Error::NotARepository(_) if path.is_dir() => unlinked(),
            error => error,
        })?;
        // A worktree whose link is broken must not be taken for the repository around it.
        if fs::canonicalize(path).is_ok_and(|path| path == found.current) { Ok(found) } else { Err(unlinked()) }
    }

    /// Whether it has a main worktree.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The main worktree; of a bare repository, the repository itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The worktree that was found: where the user is.
    pub fn current_worktree(&self) -> &Path {
        &self.current
    }

    /// The directory that all worktrees share: `.git` of the main one.
    pub fn common_dir(&self) -> &Path {
        &self.common
    }

    /// Where Pleach keeps its own files for this repository: `pleach` in [`common_dir`](Self::common_dir).
    pub fn state_dir(&self) -> PathBuf {
        self.common.join("pleach")
    }

    /// [`state_dir`](Self::state_dir), made when it is not there yet.
    pub fn ensure_state_dir(&self) -> Result<PathBuf> {
        let path = self.state_dir();
        fs::create_dir_all(&path).map_err(Error::file("make", &path))?;
        Ok(path)
    }

    /// The commit that `rev` names: a branch, a tag, `HEAD~2`, a full or short id.
    ///
    /// A branch comes before a tag of the same name, other than with git: what is deployed and merged here is branches.
    /// `tags/NAME` is the tag.
    pub fn resolve(&self, rev: &str) -> Result<CommitId> {
        let local = self.local();
        if rev == "HEAD" {
            self.require_commits()?;
        }
        let branch = format!("refs/heads/{rev}");
        // A full id is never a name, as with git.
        let is_branch = gix::ObjectId::from_hex(rev.as_bytes()).is_err()
            && FullName::try_from(branch.as_str()).is_ok()
            && local.try_find_reference(branch.as_str()).is_ok_and(|found| found.is_some());
        let found = local
            .rev_parse_single(if is_branch { branch.as_str() } else { rev })
            .and_then(|id| id.object())
            .and_then(|object| object.peel_to_commit());
        match found {
            Ok(commit) => Ok(commit_id(commit.id)),
            Err(_) => {
                self.require_commits()?;
                Err(Error::UnknownRevision(rev.to_owned(), self.nearest_branch(rev)))
            }
        }
    }

    /// An error when nothing was committed on any branch yet.
    pub fn require_commits(&self) -> Result<()> {
        let local = self.local();
        if local.head_id().is_ok() {
            return Ok(());
        }
        let failed = || Error::failed("list the branches");
        let any = local.references().map_err(failed())?.all().map_err(failed())?.next().is_some();
        if any { Ok(()) } else { Err(Error::NoCommits(self.root.clone())) }
    }

    pub(crate) fn nearest_branch(&self, name: &str) -> Option<String> {
        let branches = self.branches().ok()?;
        nearest_branch(name, branches.iter().map(|branch| branch.name.as_str())).map(str::to_owned)
    }
}

/// No repository, or a worktree whose repository is not where it was.
fn not_found(path: &Path, place: &Path) -> Error {
    let dead = place.ancestors().find_map(|above| {
        let target = registry::link_target(above)?;
        (!target.exists()).then(|| (above.to_owned(), target))
    });
    match dead {
        Some((worktree, target)) => {
            Error::Unlinked(worktree, Cause::new(format!("`{}` is not there", target.display())))
        }
        None => Error::NotARepository(path.to_owned()),
    }
}

/// Refuses what would be misread: branches in a reftable look like none at all.
fn require_format(git_dir: &Path, place: &Path) -> Result<()> {
    let common = fs::read_to_string(git_dir.join("commondir"));
    let common = common.map_or_else(|_| git_dir.to_owned(), |relative| git_dir.join(relative.trim_end()));
    let Ok(config) = gix::config::File::from_path_no_includes(common.join("config"), gix::config::Source::Local) else {
        // Opening tells what is wrong with it.
        return Ok(());
    };
    let value = |key: &str| config.string(key).map(|value| value.to_string().to_lowercase());
    let refused = |why: &str, next: &str| Err(Error::Format(place.to_owned(), Cause::new(why), next.to_owned()));
    if value("extensions.refStorage").is_some_and(|format| format != "files") {
        return refused(
            "it keeps its branches in a reftable, which Pleach does not read",
            "`git refs migrate --ref-format=files`; where git is too old for it, \
             `git clone --ref-format=files . ../with-files`",
        );
    }
    if value("extensions.objectFormat").is_some_and(|format| format != "sha1") {
        return refused(
            "its ids are SHA-256, which Pleach does not read",
            "copy the history into a repository with SHA-1: `git init --object-format=sha1 ../with-sha1 && \
             git fast-export --all | git -C ../with-sha1 fast-import`",
        );
    }
    Ok(())
}

pub(crate) fn commit_id(id: gix::ObjectId) -> CommitId {
    // A full hexadecimal id always has the shape that `CommitId` checks.
    CommitId::new(id.to_string()).unwrap_or_else(|_| unreachable!("an object id is hexadecimal"))
}

pub(crate) fn object_id(id: &CommitId) -> Result<gix::ObjectId> {
    gix::ObjectId::from_hex(id.as_str().as_bytes())
        .map_err(|error| Error::Failed(format!("read the id `{id}`"), crate::error::Cause::new(error.to_string())))
}
