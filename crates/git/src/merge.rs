//! Bringing branches together: fast-forward and merge, with the worktree that has the branch.
//!
//! A merge is computed in memory; only when it is free of conflicts are its objects written and synced, and only then
//! does anything else change: files, branch, index, in the order of [`crate::update`]. A conflict leaves no trace.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use gix::bstr::ByteSlice as _;
use gix::merge::tree::TreatAsUnresolved;
use pleach_core::error::{Explain, Kind};
use pleach_core::word::CommitId;

use crate::branch::{Head, moved};
use crate::commit::Identity;
use crate::durable;
use crate::error::{Error, Result};
use crate::repository::{Repository, object_id};
use crate::system_git::quote;
use crate::update::{Strictness, Tip, Update};
use crate::worktree::hand::{self, Guard};
use crate::worktree::{WorktreeError, record, registry};

/// A merge that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeRequest {
    /// The branch that receives.
    pub into: String,
    /// The branch or commit that is merged.
    pub branch: String,
    /// Subject, an empty line, and what else is to be remembered.
    pub message: String,
    /// Who merges.
    pub identity: Identity,
}

/// What a merge did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeOutcome {
    /// Everything was there already; nothing changed.
    AlreadyMerged {
        /// Where the receiving branch is.
        at: CommitId,
    },
    /// A merge commit was made, also where a fast-forward would have done.
    Merged {
        /// The merge commit, where the receiving branch is now.
        commit: CommitId,
        /// Where it was.
        before: CommitId,
        /// The worktree whose files were brought along.
        updated: Option<PathBuf>,
    },
}

/// What a caller could do differently about a merge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// A worktree stands in the way, or the repository said no.
    #[error(transparent)]
    Worktree(#[from] WorktreeError),
    /// Both sides changed the same place. Nothing was changed.
    #[error("`{branch}` cannot be merged into `{into}`: both changed the same place")]
    Conflict {
        /// The branch that would have received.
        into: String,
        /// The branch that was to be merged.
        branch: String,
        /// The files that a person has to look at.
        files: Vec<PathBuf>,
        /// The commands that resolve it, in order.
        commands: Vec<String>,
    },
    /// The two have no commit in common.
    #[error("`{0}` and `{1}` have no commit in common")]
    Unrelated(String, String),
    /// The history was cut off before a commit that the two have in common.
    #[error("no commit that `{0}` and `{1}` have in common is in this shallow clone")]
    Shallow(String, String),
}

impl From<Error> for MergeError {
    fn from(error: Error) -> Self {
        Self::Worktree(error.into())
    }
}

impl Explain for MergeError {
    fn kind(&self) -> Kind {
        match self {
            Self::Worktree(error) => error.kind(),
            Self::Conflict { .. } => Kind::Conflict,
            Self::Unrelated(..) | Self::Shallow(..) => Kind::Rejected,
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Worktree(error) => error.state(),
            Self::Conflict { .. } | Self::Unrelated(..) | Self::Shallow(..) => Some("nothing was changed".to_owned()),
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Worktree(error) => error.next(),
            Self::Conflict { commands, .. } => Some(format!("`{}`", pasted(commands))),
            Self::Unrelated(_, branch) => Some(format!("`git merge --allow-unrelated-histories {branch}`")),
            Self::Shallow(..) => Some("get the rest of the history: `git fetch --unshallow`".to_owned()),
        }
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Worktree(error) => error.output(),
            Self::Conflict { files, .. } => files.iter().map(|file| format!("conflict: {}", file.display())).collect(),
            Self::Unrelated(..) | Self::Shallow(..) => Vec::new(),
        }
    }
}

/// One line for a shell. `git merge` ends with 1 at the conflict that is to be resolved, so what follows it must not ask
/// how it ended; what comes before it must have worked, or a commit would be made elsewhere.
fn pasted(commands: &[String]) -> String {
    let at = commands.iter().position(|command| command.starts_with("git merge ")).unwrap_or(0);
    let (before, after) = commands.split_at(at);
    let Some((merge, after)) = after.split_first() else { return before.join(" && ") };
    let before: String = before.iter().map(|command| format!("{command} && ")).collect();
    format!("{before}{{ {merge}; {}; }}", after.join(" && "))
}

/// A file's name as an editor and `git add` take it, also when it begins like an option.
fn operand(file: &Path) -> String {
    if file.to_string_lossy().starts_with('-') { quote(&Path::new(".").join(file)) } else { quote(file) }
}

impl Repository {
    /// Moves a branch forward to a commit that follows from it, together with the worktree that has it checked out.
    ///
    /// Refuses when the branch is not at `expected`, when `to` does not follow from it, and when that worktree has
    /// changes of tracked files.
    pub fn fast_forward(&self, branch: &str, to: &CommitId, expected: &CommitId) -> Result<(), WorktreeError> {
        let guard = hand::acquire(self, &AtomicBool::new(false))?;
        record::recover(self, &guard)?;
        let at = self.require_branch(branch)?.commit;
        if at != *expected {
            return Err(moved(branch, expected, &at).into());
        }
        if at == *to {
            return Ok(());
        }
        if !self.is_ancestor(&at, to)? {
            return Err(Error::NotFastForward(branch.to_owned(), to.short().to_owned()).into());
        }
        let why = format!("merge {}: Fast-forward", to.short());
        self.advance(branch, &at, to, &why, Strictness::Everything, &guard).map(|_| ())
    }

    /// Merges in memory, then moves the receiving branch and its worktree to the result.
    ///
    /// The worktree may have other changes; those in files that the merge would write are refused.
    pub fn merge(&self, request: &MergeRequest) -> Result<MergeOutcome, MergeError> {
        let guard = hand::acquire(self, &AtomicBool::new(false))?;
        record::recover(self, &guard)?;
        let ours = self.require_branch(&request.into)?.commit;
        let theirs = self.resolve(&request.branch)?;
        if self.is_ancestor(&theirs, &ours)? {
            return Ok(MergeOutcome::AlreadyMerged { at: ours });
        }
        let commit = self.merge_commit(request, &ours, &theirs)?;
        let why = format!("merge {}: Merge made by pleach", request.branch);
        let updated = self.advance(&request.into, &ours, &commit, &why, Strictness::Touched, &guard)?;
        Ok(MergeOutcome::Merged { commit, before: ours, updated })
    }

    fn merge_commit(&self, request: &MergeRequest, ours: &CommitId, theirs: &CommitId) -> Result<CommitId, MergeError> {
        let failed = || Error::failed(format!("merge `{}` into `{}`", request.branch, request.into));
        let mut memory = self.local().with_object_memory();
        let (our_id, their_id) = (object_id(ours)?, object_id(theirs)?);
        if memory.merge_bases_many(our_id, &[their_id]).map_err(failed())?.is_empty() {
            let (into, branch) = (request.into.clone(), request.branch.clone());
            return Err(match memory.is_shallow() {
                Ok(true) => MergeError::Shallow(into, branch),
                _ => MergeError::Unrelated(into, branch),
            });
        }
        let labels = gix::merge::blob::builtin_driver::text::Labels {
            ancestor: None,
            current: Some(request.into.as_bytes().as_bstr()),
            other: Some(request.branch.as_bytes().as_bstr()),
        };
        let options = memory.tree_merge_options().map_err(failed())?;
        let outcome = memory.merge_commits(our_id, their_id, labels, options.into()).map_err(failed())?;
        let mut merged = outcome.tree_merge;
        if merged.has_unresolved_conflicts(TreatAsUnresolved::git()) {
            let unresolved = merged.conflicts.iter().filter(|found| found.is_unresolved(TreatAsUnresolved::git()));
            let files: BTreeSet<PathBuf> = unresolved
                .flat_map(|found| [found.ours.location(), found.theirs.location()])
                .map(|path| path.to_path_lossy().into_owned())
                .collect();
            let files: Vec<PathBuf> = files.into_iter().collect();
            let commands = self.resolving_commands(request, &files)?;
            let (into, branch) = (request.into.clone(), request.branch.clone());
            return Err(MergeError::Conflict { into, branch, files, commands });
        }
        let tree = merged.tree.write().map_err(failed())?.detach();
        drop(merged);
        let parents = [ours.clone(), theirs.clone()];
        let commit = self.write_commit(&memory, tree, &parents, &request.message, &request.identity)?;
        let written = memory.objects.take_object_memory().unwrap_or_default();
        let disk = self.local();
        let mut ids = Vec::new();
        for (id, (kind, data)) in written.iter() {
            gix::objs::Write::write_buf(&disk.objects, *kind, data).map_err(failed())?;
            ids.push(*id);
        }
        durable::sync_objects(&disk, ids)?;
        Ok(commit)
    }

    fn resolving_commands(&self, request: &MergeRequest, files: &[PathBuf]) -> Result<Vec<String>> {
        let at = registry::branch_holders(self)?.remove(&request.into);
        let mut commands = match at {
            Some(at) => vec![format!("cd {}", quote(&at))],
            None => {
                vec![format!("cd {}", quote(self.root())), format!("git switch {}", quote(Path::new(&request.into)))]
            }
        };
        let names: Vec<String> = files.iter().map(|file| operand(file)).collect();
        // Git would take a tag of the same name.
        let tag = format!("refs/tags/{}", request.branch);
        let is_tag_too = self.local().try_find_reference(tag.as_str()).is_ok_and(|found| found.is_some());
        let branch = if is_tag_too { format!("heads/{}", request.branch) } else { request.branch.clone() };
        commands.push(format!("git merge --no-ff {}", quote(Path::new(&branch))));
        commands.push(format!("${{EDITOR:-vi}} {}", names.join(" ")));
        // Names that git would take for patterns.
        let is_pattern = files.iter().any(|file| file.to_string_lossy().contains(['*', '?', '[', '\\', ':']));
        let add = if is_pattern { "git --literal-pathspecs add" } else { "git add" };
        commands.push(format!("{add} {}", names.join(" ")));
        commands.push("git commit --no-edit".to_owned());
        Ok(commands)
    }

    /// Moves a branch, and the files of the worktree that has it; gives that worktree.
    fn advance(
        &self,
        branch: &str,
        from: &CommitId,
        to: &CommitId,
        why: &str,
        strictness: Strictness,
        guard: &Guard,
    ) -> Result<Option<PathBuf>, WorktreeError> {
        let Some(at) = registry::branch_holders(self)?.remove(branch) else {
            self.move_branch(branch, from, to, why)?;
            return Ok(None);
        };
        if !at.is_dir() {
            return Err(WorktreeError::Missing(branch.to_owned(), at));
        }
        // Held by a rebase or bisect: its files are not the branch's.
        if !matches!(self.at(&at)?.head()?, Head::Branch(name, _) if name == branch) {
            return Err(WorktreeError::CheckedOut { branch: branch.to_owned(), at });
        }
        self.update_worktree(&at, Tip::Branch(branch.to_owned()), from, to, why, strictness, guard)?;
        Ok(Some(at))
    }

    #[allow(clippy::too_many_arguments, reason = "all of it is one statement: this worktree, from here to there")]
    pub(crate) fn update_worktree(
        &self,
        at: &Path,
        tip: Tip,
        from: &CommitId,
        to: &CommitId,
        why: &str,
        strictness: Strictness,
        guard: &Guard,
    ) -> Result<(), WorktreeError> {
        let update = Update::new(self, at, tip, from, to, why)?;
        let obstacles = update.obstacles(strictness)?;
        if !obstacles.is_empty() {
            return Err(WorktreeError::Changed(at.display().to_string(), obstacles));
        }
        Ok(update.run(guard)?)
    }
}
