//! Reading commits, and making them without a worktree.
//!
//! [`Repository::commit_files`] builds the new tree in the object database from the branch's tree and a list of files;
//! nothing is checked out, and the branch moves only if it is still where the caller saw it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gix::bstr::ByteSlice as _;
use gix::objs::tree::EntryKind;
use pleach_core::word::CommitId;

use crate::durable;
use crate::error::{Error, Result};
use crate::repository::{Repository, commit_id, object_id};
use crate::worktree::registry;

/// Who signs a commit or tag, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// A name without line breaks or angle brackets.
    pub name: String,
    /// A mail address.
    pub email: String,
    /// When; written with whole seconds in UTC.
    pub at: SystemTime,
}

impl Identity {
    pub(crate) fn time_text(&self) -> String {
        let seconds = self.at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        format!("{seconds} +0000")
    }

    pub(crate) fn signature<'a>(&'a self, time: &'a str) -> gix::actor::SignatureRef<'a> {
        gix::actor::SignatureRef { name: self.name.as_bytes().as_bstr(), email: self.email.as_bytes().as_bstr(), time }
    }
}

/// What people want to know of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its id.
    pub id: CommitId,
    /// The commits that it follows; two or more make it a merge.
    pub parents: Vec<CommitId>,
    /// The first line of its message.
    pub subject: String,
    /// The rest of its message.
    pub body: String,
    /// Who wrote it.
    pub author: String,
    /// Their mail address.
    pub email: String,
    /// When it was committed.
    pub time: SystemTime,
}

/// One change of [`Repository::commit_files`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// The file has this content afterwards.
    Write {
        /// In the repository, with `/`.
        path: PathBuf,
        /// As git stores it: no filter is applied.
        content: Vec<u8>,
        /// Whether it can be executed.
        mode: FileMode,
    },
    /// The file is not there afterwards; succeeds when it was not there before.
    Remove {
        /// In the repository, with `/`.
        path: PathBuf,
    },
}

/// Whether a committed file can be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// `100644`.
    Plain,
    /// `100755`.
    Executable,
}

impl Repository {
    /// The identity that git would sign with now: environment, then configuration.
    pub fn identity(&self) -> Result<Identity> {
        let local = self.local();
        let signature = local.committer().and_then(|signature| signature.ok()).ok_or(Error::NoIdentity)?;
        if signature.name.is_empty() || signature.email.is_empty() {
            return Err(Error::NoIdentity);
        }
        Ok(Identity { name: signature.name.to_string(), email: signature.email.to_string(), at: SystemTime::now() })
    }

    /// Subject, author and time of a commit.
    pub fn commit_info(&self, id: &CommitId) -> Result<CommitInfo> {
        let local = self.local();
        let failed = || Error::failed(format!("read commit {id}"));
        let commit = local.find_commit(object_id(id)?).map_err(failed())?;
        let message = commit.message().map_err(failed())?;
        let author = commit.author().map_err(failed())?;
        let seconds = commit.time().map_err(failed())?.seconds;
        Ok(CommitInfo {
            id: id.clone(),
            parents: commit.parent_ids().map(|id| commit_id(id.detach())).collect(),
            subject: message.summary().to_str_lossy().into_owned(),
            body: message.body.map(|body| body.to_str_lossy().trim_end().to_owned()).unwrap_or_default(),
            author: author.name.to_str_lossy().into_owned(),
            email: author.email.to_str_lossy().into_owned(),
            time: UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        })
    }

    /// Commits changes onto a branch without a worktree, and moves the branch from `expected` to the new commit.
    ///
    /// Refuses a branch that is checked out anywhere ([`Error::CheckedOut`]), since that worktree would look as if the
    /// user had reverted the change. [`Error::Moved`] when the branch is elsewhere. Durable when it returns. Changes
    /// that alter nothing give back `expected`.
    pub fn commit_files(
        &self,
        branch: &str,
        expected: &CommitId,
        changes: &[FileChange],
        message: &str,
        identity: &Identity,
    ) -> Result<CommitId> {
        if let Some(at) = registry::branch_holders(self)?.get(branch) {
            return Err(Error::CheckedOut(branch.to_owned(), at.clone()));
        }
        let local = self.local_for_writing()?;
        let failed = || Error::failed(format!("build a commit for `{branch}`"));
        let parent = local.find_commit(object_id(expected)?).map_err(failed())?;
        let old_tree = parent.tree_id().map_err(failed())?.detach();
        let mut editor = local.edit_tree(old_tree).map_err(failed())?;
        let mut written = Vec::new();
        for change in changes {
            match change {
                FileChange::Write { path, content, mode } => {
                    let blob = local.write_blob(content).map_err(failed())?.detach();
                    written.push(blob);
                    let kind = match mode {
                        FileMode::Plain => EntryKind::Blob,
                        FileMode::Executable => EntryKind::BlobExecutable,
                    };
                    editor.upsert(slashed(path).as_bstr(), kind, blob).map_err(failed())?;
                }
                FileChange::Remove { path } => {
                    editor.remove(slashed(path).as_bstr()).map_err(failed())?;
                }
            }
        }
        let tree = editor.write().map_err(failed())?.detach();
        if tree == old_tree {
            return Ok(expected.clone());
        }
        let id = self.write_commit(&local, tree, std::slice::from_ref(expected), message, identity)?;
        written.extend(crate::tree::trees_between(&local, old_tree, tree)?);
        durable::sync_objects(&local, written)?;
        self.move_branch(branch, expected, &id, &format!("commit: {}", message.lines().next().unwrap_or_default()))?;
        Ok(id)
    }

    pub(crate) fn write_commit(
        &self,
        local: &gix::Repository,
        tree: gix::ObjectId,
        parents: &[CommitId],
        message: &str,
        identity: &Identity,
    ) -> Result<CommitId> {
        let time = identity.time_text();
        let signature = identity.signature(&time);
        let parents = parents.iter().map(object_id).collect::<Result<Vec<_>>>()?;
        let message = if message.ends_with('\n') { message.to_owned() } else { format!("{message}\n") };
        let commit = local
            .new_commit_as(signature, signature, message, tree, parents)
            .map_err(Error::failed("write a commit"))?;
        Ok(commit_id(commit.id))
    }
}

pub(crate) fn slashed(path: &std::path::Path) -> Vec<u8> {
    gix::path::to_unix_separators_on_windows(gix::path::into_bstr(path).unwrap_or_default()).into_owned().into()
}
