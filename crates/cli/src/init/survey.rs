//! The repository as `pleach init` sees it: branches, their trees, and what they change against main.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;

use pleach_core::error::Failure;
use pleach_core::word::CommitId;
use pleach_git::{Mode, Repository};

use super::place::Place;

/// A branch, local or only on a remote.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Without the remote's name.
    pub(crate) name: String,
    /// The remote, if there is no local branch.
    pub(crate) remote: Option<String>,
    /// Where it is.
    pub(crate) commit: CommitId,
}

/// Who says which branches hold services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Nobody: names and files tell.
    Guessed,
    /// The user: each of the branches that are left holds one.
    Named,
}

/// All branches of a repository.
pub(crate) struct Survey {
    repository: Repository,
    /// The name of the repository's directory.
    pub(crate) name: String,
    /// The branch that the others start from.
    pub(crate) main: Seen,
    /// The others, by name.
    pub(crate) branches: Vec<Seen>,
    /// Whether somebody said which branches are services.
    pub(crate) choice: Choice,
    /// `WORKTREE_STATUS.json` in the main worktree, tracked or not.
    pub(crate) status: Option<String>,
    /// Files by path of commits that branches left main at: most of them left at the same few.
    bases: RefCell<HashMap<CommitId, Rc<Files>>>,
}

/// Ids of contents by path.
type Files = HashMap<String, String>;

/// The files of a branch.
pub(crate) struct Tree<'a> {
    repository: &'a Repository,
    commit: CommitId,
    /// Paths, sorted.
    pub(crate) files: Vec<String>,
    /// The id of each one's content.
    ids: Vec<String>,
}

impl Survey {
    /// Looks at `repository`.
    pub(crate) fn of(repository: &Repository) -> Result<Self, Failure> {
        let default = repository.default_branch()?;
        let local = repository.branches()?;
        let mut branches: BTreeMap<String, Seen> = BTreeMap::new();
        for branch in repository.remote_branches()? {
            let seen = Seen { name: branch.name.clone(), remote: Some(branch.remote), commit: branch.commit };
            branches.entry(branch.name).or_insert(seen);
        }
        for branch in local {
            let seen = Seen { name: branch.name.clone(), remote: None, commit: branch.commit };
            branches.insert(branch.name, seen);
        }
        let main = Seen { name: default.name, remote: None, commit: default.commit };
        branches.remove(&main.name);
        let name = repository.root().file_name().map(|name| name.to_string_lossy().trim_end_matches(".git").to_owned());
        Ok(Self {
            repository: repository.clone(),
            name: name.unwrap_or_default(),
            main,
            branches: branches.into_values().collect(),
            choice: Choice::Guessed,
            status: std::fs::read_to_string(repository.root().join("WORKTREE_STATUS.json")).ok(),
            bases: RefCell::default(),
        })
    }

    /// Leaves only the branches that match one of `patterns`: a name, or its start followed by `*`. Gives back the patterns
    /// that match none.
    pub(crate) fn choose(&mut self, patterns: &[String]) -> Vec<String> {
        if patterns.is_empty() {
            return Vec::new();
        }
        let matches = |pattern: &str, name: &str| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        };
        let idle = |pattern: &&String| !self.branches.iter().any(|seen| matches(pattern, &seen.name));
        let idle: Vec<String> = patterns.iter().filter(idle).cloned().collect();
        self.branches.retain(|seen| patterns.iter().any(|pattern| matches(pattern, &seen.name)));
        self.choice = Choice::Named;
        idle
    }

    /// The files of a branch.
    pub(crate) fn tree(&self, seen: &Seen) -> Result<Tree<'_>, Failure> {
        Tree::of(&self.repository, &seen.commit)
    }

    /// The files that a branch changes since it left main.
    pub(crate) fn changed(&self, seen: &Seen, tree: &Tree<'_>) -> Result<Vec<String>, Failure> {
        // Histories without a common commit: all of it is the branch's own.
        let Some(base) = self.repository.merge_base(&self.main.commit, &seen.commit)? else {
            return Ok(tree.files.clone());
        };
        let base = self.base(&base)?;
        let paths = tree.files.iter().zip(&tree.ids);
        Ok(paths.filter(|(path, id)| base.get(*path) != Some(id)).map(|(path, _)| path.clone()).collect())
    }

    fn base(&self, commit: &CommitId) -> Result<Rc<Files>, Failure> {
        if let Some(known) = self.bases.borrow().get(commit) {
            return Ok(Rc::clone(known));
        }
        let tree = Tree::of(&self.repository, commit)?;
        let files: Rc<Files> = Rc::new(tree.files.into_iter().zip(tree.ids).collect());
        self.bases.borrow_mut().insert(commit.clone(), Rc::clone(&files));
        Ok(files)
    }
}

impl<'a> Tree<'a> {
    fn of(repository: &'a Repository, commit: &CommitId) -> Result<Self, Failure> {
        let entries = repository.tree(commit, Path::new(""))?;
        let files = entries.into_iter().filter(|entry| matches!(entry.mode, Mode::File | Mode::Executable));
        // A path that is no text cannot stand in a config, so nothing of it is proposed.
        let mut files: Vec<(String, String)> =
            files.filter_map(|entry| Some((entry.path.into_os_string().into_string().ok()?, entry.id))).collect();
        // Git sorts a directory as if its name ended in `/`.
        files.sort_unstable();
        let (files, ids) = files.into_iter().unzip();
        Ok(Self { repository, commit: commit.clone(), files, ids })
    }

    /// One directory of it.
    pub(crate) fn place(&self, directory: &str) -> Place<'_> {
        let read = |path: &str| self.repository.read_file(&self.commit, Path::new(path)).ok().flatten();
        Place::new(directory, &self.files, read)
    }

    /// Whether there is a file below `directory`.
    pub(crate) fn has_directory(&self, directory: &str) -> bool {
        let prefix = format!("{directory}/");
        let at = self.files.partition_point(|path| path.as_str() < prefix.as_str());
        self.files.get(at).is_some_and(|path| path.starts_with(&prefix))
    }
}
