//! Branches and tags: what there is, and every change as compare-and-swap.
//!
//! A branch is moved or deleted only from the commit that the caller saw; git's own lock decides between two callers.
//! A branch that is checked out is never moved here: [`crate::Repository::fast_forward`] and
//! [`crate::Repository::merge`] do that together with the worktree.

use std::path::PathBuf;

use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit, RefLog};
use gix::refs::{FullName, Target};
use pleach_core::config::nearest;
use pleach_core::word::CommitId;

use crate::commit::Identity;
use crate::durable;
use crate::error::{Cause, Error, Result};
use crate::repository::{Repository, commit_id, object_id};
use crate::worktree::registry;

/// One local branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Without `refs/heads/`.
    pub name: String,
    /// Where it points.
    pub commit: CommitId,
    /// The tracked branch of a remote (`origin/main`), where one is configured and was fetched.
    pub upstream: Option<String>,
    /// The worktree that has it checked out, rebasing and bisecting included.
    pub checked_out_in: Option<PathBuf>,
}

/// One branch of a remote, as it was fetched last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteBranch {
    /// Without the remote's name.
    pub name: String,
    /// The remote's name.
    pub remote: String,
    /// Where it pointed.
    pub commit: CommitId,
}

/// What `HEAD` of the current worktree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// On a branch with at least one commit.
    Branch(String, CommitId),
    /// On a branch that has no commit yet.
    Unborn(String),
    /// On a commit.
    Detached(CommitId),
}

/// How two histories relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Commits that only the first has.
    pub ahead: usize,
    /// Commits that only the second has.
    pub behind: usize,
}

impl Repository {
    /// All local branches, by name.
    pub fn branches(&self) -> Result<Vec<Branch>> {
        let local = self.local();
        let failed = || Error::failed("list the branches");
        let holders = registry::branch_holders(self)?;
        let platform = local.references().map_err(failed())?;
        let mut branches = Vec::new();
        for reference in platform.local_branches().map_err(failed())? {
            let mut reference = reference.map_err(failed())?;
            let Ok(commit) = reference.peel_to_id() else { continue };
            let name = reference.name().shorten().to_string();
            let upstream = local
                .branch_remote_tracking_ref_name(reference.name(), gix::remote::Direction::Fetch)
                .and_then(|name| name.ok())
                .filter(|name| local.try_find_reference(name).is_ok_and(|found| found.is_some()))
                .map(|name| name.shorten().to_string());
            branches.push(Branch {
                checked_out_in: holders.get(&name).cloned(),
                commit: commit_id(commit.detach()),
                upstream,
                name,
            });
        }
        branches.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(branches)
    }

    /// All branches of all remotes as they were fetched last, by name; `HEAD` of a remote is none.
    pub fn remote_branches(&self) -> Result<Vec<RemoteBranch>> {
        let local = self.local();
        let failed = || Error::failed("list the branches of remotes");
        let remotes: Vec<String> = local.remote_names().iter().map(|name| name.to_string()).collect();
        let platform = local.references().map_err(failed())?;
        let mut branches = Vec::new();
        for reference in platform.remote_branches().map_err(failed())? {
            let mut reference = reference.map_err(failed())?;
            let short = reference.name().shorten().to_string();
            // A remote's name may have a `/` in it, so the configured ones decide where it ends.
            let configured = remotes
                .iter()
                .find_map(|remote| Some((remote.as_str(), short.strip_prefix(remote.as_str())?.strip_prefix('/')?)));
            let Some((remote, name)) = configured.or_else(|| short.split_once('/')) else { continue };
            if name == "HEAD" {
                continue;
            }
            let (remote, name) = (remote.to_owned(), name.to_owned());
            let Ok(commit) = reference.peel_to_id() else { continue };
            branches.push(RemoteBranch { name, remote, commit: commit_id(commit.detach()) });
        }
        branches.sort_by(|a, b| (&a.name, &a.remote).cmp(&(&b.name, &b.remote)));
        Ok(branches)
    }

    /// The names of the tags that lead to a commit, annotated or not, sorted.
    pub fn tags_at(&self, commit: &CommitId) -> Result<Vec<String>> {
        let local = self.local();
        let failed = || Error::failed(format!("list the tags of {commit}"));
        let platform = local.references().map_err(failed())?;
        let mut tags = Vec::new();
        for reference in platform.tags().map_err(failed())? {
            let mut reference = reference.map_err(failed())?;
            let name = reference.name().shorten().to_string();
            // One whose commit is not here leads elsewhere.
            if reference.peel_to_id().is_ok_and(|id| commit_id(id.detach()) == *commit) {
                tags.push(name);
            }
        }
        tags.sort();
        Ok(tags)
    }

    /// The commit at which two histories parted; nothing when they have none in common.
    pub fn merge_base(&self, one: &CommitId, other: &CommitId) -> Result<Option<CommitId>> {
        let local = self.local();
        let bases = local.merge_bases_many(object_id(one)?, &[object_id(other)?]);
        let bases = bases.map_err(Error::failed(format!("compare {one} and {other}")))?;
        Ok(bases.first().map(|base| commit_id(base.detach())))
    }

    /// The local branch of that name; [`Error::OnlyRemote`] when only a remote has it, else [`Error::NoBranch`].
    pub fn require_branch(&self, name: &str) -> Result<Branch> {
        if let Some(found) = self.branches()?.into_iter().find(|branch| branch.name == name) {
            return Ok(found);
        }
        let there = self.remote_branches()?.into_iter().find(|branch| branch.name == name);
        Err(match there {
            Some(there) => Error::OnlyRemote { name: there.name, remote: there.remote },
            None => Error::NoBranch(name.to_owned(), self.nearest_branch(name)),
        })
    }

    /// Where `HEAD` of the current worktree is.
    pub fn head(&self) -> Result<Head> {
        let local = self.local();
        let head = local.head().map_err(Error::failed("read `HEAD`"))?;
        let name = head.referent_name().map(|name| name.shorten().to_string());
        let id = head.id().map(|id| commit_id(id.detach()));
        match (name, id) {
            (Some(name), Some(id)) => Ok(Head::Branch(name, id)),
            (Some(name), None) => Ok(Head::Unborn(name)),
            (None, Some(id)) => Ok(Head::Detached(id)),
            (None, None) => Err(Error::NoCommits(self.root().to_owned())),
        }
    }

    /// The branch that others start from: the remote's `HEAD`, else `init.defaultBranch`, `main` or `master` if it
    /// exists here or on the remote, else the branch that the main worktree is on, else the first one.
    ///
    /// [`Error::OnlyRemote`] when that branch is only on the remote: taking another one instead would compare and merge with
    /// the wrong one.
    pub fn default_branch(&self) -> Result<Branch> {
        let local = self.local();
        let branches = self.branches()?;
        let remote = self.main_remote();
        let there: Vec<String> = self
            .remote_branches()?
            .into_iter()
            .filter(|branch| Some(&branch.remote) == remote.as_ref())
            .map(|branch| branch.name)
            .collect();
        let head = remote.as_ref().and_then(|remote| {
            let reference = local.try_find_reference(format!("refs/remotes/{remote}/HEAD").as_str()).ok()??;
            let target = reference.target().try_name()?.shorten().to_string();
            target.strip_prefix(&format!("{remote}/")).map(str::to_owned).filter(|name| there.contains(name))
        });
        let usual = local.config_snapshot().string("init.defaultBranch").map(|name| name.to_string());
        let usual: Vec<String> = usual.into_iter().chain(["main".to_owned(), "master".to_owned()]).collect();
        let here = |name: &String| branches.iter().any(|branch| branch.name == *name);
        let name = head
            .or_else(|| usual.iter().find(|name| here(name)).cloned())
            .or_else(|| usual.iter().find(|name| there.contains(name)).cloned());
        match (name, remote) {
            (Some(name), Some(remote)) if !here(&name) => Err(Error::OnlyRemote { name, remote }),
            (name, _) => {
                let found = name.and_then(|name| branches.iter().find(|branch| branch.name == name));
                let root = Some(self.root());
                let found = found.or_else(|| branches.iter().find(|branch| branch.checked_out_in.as_deref() == root));
                match found.or_else(|| branches.first()) {
                    Some(branch) => Ok(branch.clone()),
                    None => {
                        self.require_commits()?;
                        Err(Error::NoBranches(self.root().to_owned()))
                    }
                }
            }
        }
    }

    /// `origin`, else the only remote.
    fn main_remote(&self) -> Option<String> {
        let names: Vec<String> = self.local().remote_names().iter().map(|name| name.to_string()).collect();
        match names.as_slice() {
            [one] => Some(one.clone()),
            names => names.iter().find(|name| *name == "origin").cloned(),
        }
    }

    /// Makes a branch at a commit. [`Error::Exists`] when there is one of that name, wherever it points.
    pub fn create_branch(&self, name: &str, at: &CommitId) -> Result<()> {
        let local = self.local_for_writing()?;
        let full = branch_name(name)?;
        if local.try_find_reference(&full).map_err(Error::failed(format!("look for branch `{name}`")))?.is_some() {
            return Err(Error::Exists(name.to_owned()));
        }
        let message = format!("branch: Created from {at}");
        match local.reference(full.clone(), object_id(at)?, PreviousValue::MustNotExist, message) {
            Ok(_) => durable::sync_reference(&local, &full.as_bstr().to_string()),
            Err(_) if local.try_find_reference(&full).is_ok_and(|found| found.is_some()) => {
                Err(Error::Exists(name.to_owned()))
            }
            Err(error) => Err(Error::Failed(format!("make branch `{name}`"), error.into())),
        }
    }

    /// Deletes a branch if it is still at `expected` and no worktree has it checked out. Never forced: whoever deletes
    /// has seen what is deleted.
    pub fn delete_branch_if_unchanged(&self, name: &str, expected: &CommitId) -> Result<()> {
        let branch = self.require_branch(name)?;
        if let Some(at) = branch.checked_out_in {
            return Err(Error::CheckedOut(name.to_owned(), at));
        }
        if branch.commit != *expected {
            return Err(moved(name, expected, &branch.commit));
        }
        let mut local = self.local_for_writing()?;
        local
            .delete_local_branches_if_unchanged([(branch_name(name)?, Target::Object(object_id(expected)?))])
            .map_err(Error::failed(format!("delete branch `{name}`")))
    }

    /// Makes an annotated tag. [`Error::Exists`] when there is one of that name.
    pub fn annotated_tag(&self, name: &str, at: &CommitId, message: &str, tagger: &Identity) -> Result<()> {
        let local = self.local_for_writing()?;
        let full = format!("refs/tags/{name}");
        if FullName::try_from(full.as_str()).is_err() {
            return Err(Error::BadName(name.to_owned()));
        }
        if local.try_find_reference(full.as_str()).is_ok_and(|found| found.is_some()) {
            return Err(Error::Exists(name.to_owned()));
        }
        let time = tagger.time_text();
        let reference = local
            .tag(
                name,
                object_id(at)?,
                gix::objs::Kind::Commit,
                Some(tagger.signature(&time)),
                message,
                PreviousValue::MustNotExist,
            )
            .map_err(Error::failed(format!("make tag `{name}`")))?;
        let tag = reference.target().try_id().map(|id| id.to_owned());
        durable::sync_objects(&local, tag)?;
        durable::sync_reference(&local, &full)
    }

    /// Whether everything in `ancestor` is also in `descendant`; a commit is its own ancestor.
    pub fn is_ancestor(&self, ancestor: &CommitId, descendant: &CommitId) -> Result<bool> {
        if ancestor == descendant {
            return Ok(true);
        }
        let local = self.local();
        let (old, new) = (object_id(ancestor)?, object_id(descendant)?);
        let base = local.merge_bases_many(old, &[new]);
        let bases = base.map_err(Error::failed(format!("compare {ancestor} and {descendant}")))?;
        Ok(bases.iter().any(|base| base.detach() == old))
    }

    /// How many commits each of two branches or revisions has that the other has not.
    pub fn ahead_behind(&self, one: &str, other: &str) -> Result<Divergence> {
        let (one, other) = (self.resolve(one)?, self.resolve(other)?);
        Ok(Divergence {
            ahead: self.commits_beyond(&one, std::slice::from_ref(&other))?.len(),
            behind: self.commits_beyond(&other, std::slice::from_ref(&one))?.len(),
        })
    }

    /// The commits that `tip` has and none of `others`, newest first.
    pub(crate) fn commits_beyond(&self, tip: &CommitId, others: &[CommitId]) -> Result<Vec<CommitId>> {
        let local = self.local();
        let failed = || Error::failed(format!("walk the history of {tip}"));
        let hidden = others.iter().map(object_id).collect::<Result<Vec<_>>>()?;
        let walk = local.rev_walk([object_id(tip)?]).with_hidden(hidden).all().map_err(failed())?;
        walk.map(|info| info.map(|info| commit_id(info.id)).map_err(failed())).collect()
    }

    /// Moves a branch from `expected` to `new`, or says where it is. Durable when it returns.
    pub(crate) fn move_branch(&self, name: &str, expected: &CommitId, new: &CommitId, why: &str) -> Result<()> {
        let local = self.local_for_writing()?;
        let full = branch_name(name)?;
        durable::sync_objects(&local, [object_id(new)?])?;
        let edit = RefEdit {
            change: Change::Update {
                log: LogChange { mode: RefLog::AndReference, force_create_reflog: false, message: why.into() },
                expected: PreviousValue::MustExistAndMatch(Target::Object(object_id(expected)?)),
                new: Target::Object(object_id(new)?),
            },
            name: full.clone(),
            deref: false,
        };
        match local.edit_reference(edit) {
            Ok(_) => durable::sync_reference(&local, &full.as_bstr().to_string()),
            Err(error) => {
                let actual = self.require_branch(name)?.commit;
                if actual == *expected {
                    Err(Error::Failed(format!("move branch `{name}`"), error.into()))
                } else {
                    Err(moved(name, expected, &actual))
                }
            }
        }
    }
}

/// The branch that `name` is most likely a slip of, as [`nearest`] compares words. The last parts alone must be near too: a
/// long `feature/` that both begin with brings no two names nearer.
pub fn nearest_branch<'a>(name: &str, branches: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let last = name.rsplit('/').next().unwrap_or_default();
    let is_near = |branch: &&str| {
        let other = branch.rsplit('/').next().unwrap_or_default();
        last == other || nearest(last, [other]).is_some()
    };
    nearest(name, branches.into_iter().filter(is_near))
}

pub(crate) fn moved(name: &str, expected: &CommitId, actual: &CommitId) -> Error {
    Error::Moved { name: name.to_owned(), expected: expected.short().to_owned(), actual: actual.short().to_owned() }
}

pub(crate) fn branch_name(name: &str) -> Result<FullName> {
    // What git refuses for branches beyond what it refuses for refs.
    let strict = name != "HEAD" && !name.starts_with('-');
    match FullName::try_from(format!("refs/heads/{name}")) {
        Ok(full) if strict => Ok(full),
        _ => Err(Error::BadName(name.to_owned())),
    }
}

/// Moves a detached `HEAD` of the worktree that `at` was opened at.
pub(crate) fn move_detached(at: &Repository, expected: &CommitId, new: &CommitId, why: &str) -> Result<()> {
    let local = at.local_for_writing()?;
    let bad = |error: gix::validate::reference::name::Error| {
        Error::Failed("move `HEAD`".into(), Cause::new(error.to_string()))
    };
    let edit = RefEdit {
        change: Change::Update {
            log: LogChange { mode: RefLog::AndReference, force_create_reflog: false, message: why.into() },
            expected: PreviousValue::Any,
            new: Target::Object(object_id(new)?),
        },
        name: FullName::try_from("HEAD").map_err(bad)?,
        deref: false,
    };
    match at.head()? {
        Head::Detached(commit) if commit == *new => Ok(()),
        Head::Detached(commit) if commit == *expected => {
            local.edit_reference(edit).map(|_| ()).map_err(Error::failed("move `HEAD`"))
        }
        Head::Detached(commit) => Err(moved("HEAD", expected, &commit)),
        Head::Branch(name, _) | Head::Unborn(name) => Err(Error::CheckedOut(name, at.current_worktree().to_owned())),
    }
}

/// Deletes any ref, if it is still at `expected`.
pub(crate) fn delete_reference(repo: &Repository, name: &str, expected: &CommitId) -> Result<()> {
    let local = repo.local_for_writing()?;
    let bad = |error: gix::validate::reference::name::Error| {
        Error::Failed(format!("delete `{name}`"), Cause::new(error.to_string()))
    };
    let edit = RefEdit {
        change: Change::Delete {
            expected: PreviousValue::MustExistAndMatch(Target::Object(object_id(expected)?)),
            log: RefLog::AndReference,
        },
        name: FullName::try_from(name).map_err(bad)?,
        deref: false,
    };
    local.edit_reference(edit).map(|_| ()).map_err(Error::failed(format!("delete `{name}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_branches_whose_last_part_is_near_are_suggested() {
        let branches = ["18.0/feature/web_advanced_search", "18.0/feature/web_fop", "three"];
        assert_eq!(nearest_branch("18.0/feature/web_foo", branches), Some("18.0/feature/web_fop"));
        assert_eq!(nearest_branch("18.0/feature/web_foo", [branches[0]]), None);
        assert_eq!(nearest_branch("18.0/featuer/web_fop", branches), Some("18.0/feature/web_fop"));
        assert_eq!(nearest_branch("thee", branches), Some("three"));
        assert_eq!(nearest_branch("four", branches), None);
    }
}
