//! Making worktrees, many at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use gix::ObjectId;
use jiff::Timestamp;
use pleach_core::word::CommitId;

use crate::branch::branch_name;
use crate::checkout::index;
use crate::checkout::listing::Listing;
use crate::checkout::write::{self, Destination, Stamp};
use crate::error::{Error, Result};
use crate::repository::{Repository, object_id};
use crate::worktree::list::{Worktree, describe};
use crate::worktree::note::Note;
use crate::worktree::record::{self, Creation, Record};
use crate::worktree::registry::{self, Entry, IndexLock};
use crate::worktree::{WorktreeError, exclude, hand};

/// A worktree that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorktreeSpec {
    /// By purpose: `deploy`, `staging`, `hotfix`. Letters, digits, `-`, `_` and `.`; unique in the repository.
    pub name: String,
    /// Absent or an empty directory. Relative paths start at the current directory of the process.
    pub path: PathBuf,
    /// What to check out.
    pub head: Head,
    /// For its README.
    pub purpose: Option<String>,
    /// For its README.
    pub owner: Option<String>,
    /// The command that asks for it, for its README.
    pub created_by: String,
    /// Variables for its environment file, `PORT` among them.
    pub environment: BTreeMap<String, String>,
}

/// What a new worktree checks out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// A branch that exists and that no worktree holds.
    Branch(String),
    /// A branch that does not exist yet, made at a commit.
    NewBranch {
        /// The branch.
        name: String,
        /// Where it starts.
        at: CommitId,
    },
    /// A commit, on no branch: the way to have one branch in two worktrees.
    Detached(CommitId),
}

/// How far [`add_many`] is; told on the calling thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The worktree has its place and its branch; its files follow.
    Registered(String),
    /// Files written so far and in all, over all worktrees.
    Writing {
        /// Files written.
        done: usize,
        /// Files to write.
        total: usize,
    },
    /// The worktree is complete.
    Finished(String),
}

/// Bytes for decoded trees: those of forty thousand files take about four megabytes.
const TREE_CACHE: usize = 32 * 1024 * 1024;

/// Makes all worktrees that can be made; one result a specification, in order.
///
/// Each is made wholly or not at all; one that fails does not stop the others. Safe beside other processes that do the
/// same. Setting `interrupt` (from a signal's flag) takes back whatever is not complete and returns.
pub fn add_many(
    repository: &Repository,
    specs: &[WorktreeSpec],
    progress: &dyn Fn(Progress),
    interrupt: &AtomicBool,
) -> Vec<Result<Worktree, WorktreeError>> {
    let mut claims = claim_all(repository, specs, progress, interrupt);
    let listings = list_trees(repository, claims.iter().flatten().map(|claim| claim.tree).collect());
    let mut destinations = Vec::new();
    let mut numbers = Vec::new();
    for (number, claim) in claims.iter_mut().enumerate() {
        let Ok(ready) = claim else { continue };
        match listings.get(&ready.tree) {
            Some(Ok(listing)) if ready.sparse == Sparse::No => {
                destinations.push(Destination { root: ready.creation.record.work_dir.clone(), listing });
                numbers.push(number);
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => ready.failure = Some(error.clone()),
            None => {}
        }
    }
    let mut told = |done, total| progress(Progress::Writing { done, total });
    let written = write::write(repository.shared(), &destinations, interrupt, &mut told);
    let mut stamps: BTreeMap<usize, Result<Vec<Stamp>>> = numbers.into_iter().zip(written).collect();
    let mut results = Vec::with_capacity(specs.len());
    for (number, claim) in claims.into_iter().enumerate() {
        let result = claim.and_then(|claim| {
            let name = claim.note.name.clone();
            let finished = match (stamps.remove(&number), listings.get(&claim.tree)) {
                (Some(Ok(stamps)), Some(Ok(listing))) => claim.finish(repository, listing, &stamps, interrupt),
                (Some(Err(error)), _) => claim.take_back(repository, error),
                (None, Some(Ok(_))) => claim.finish_sparse(repository, interrupt),
                (None, Some(Err(error))) => claim.take_back(repository, error.clone()),
                _ => claim.take_back(repository, Error::Interrupted("adding a worktree")),
            };
            if finished.is_ok() {
                progress(Progress::Finished(name));
            }
            finished
        });
        results.push(result);
    }
    results
}

/// Each distinct tree once, on as many threads as there are processors for.
fn list_trees(repository: &Repository, trees: BTreeSet<ObjectId>) -> BTreeMap<ObjectId, Result<Listing>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 4);
    let trees: Vec<ObjectId> = trees.into_iter().collect();
    let listings = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for part in trees.chunks(trees.len().div_ceil(threads).max(1)) {
            let listings = &listings;
            scope.spawn(move || {
                let mut local = repository.local();
                // Branches share most of their trees: each is decoded once.
                local.object_cache_size(TREE_CACHE);
                for tree in part {
                    let listing = Listing::new(&local, *tree);
                    listings.lock().unwrap_or_else(PoisonError::into_inner).insert(*tree, listing);
                }
            });
        }
    });
    listings.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A registered worktree without files.
struct Claim {
    creation: Creation,
    note: Note,
    tree: ObjectId,
    sparse: Sparse,
    failure: Option<Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sparse {
    No,
    /// `core.sparseCheckout`: `gix` checks out, since it knows the patterns.
    Yes,
}

fn claim_all(
    repository: &Repository,
    specs: &[WorktreeSpec],
    progress: &dyn Fn(Progress),
    interrupt: &AtomicBool,
) -> Vec<Result<Claim, WorktreeError>> {
    let begun = hand::acquire(repository, interrupt).and_then(|guard| {
        record::recover(repository, &guard)?;
        exclude::ensure(repository)?;
        Ok((guard, Taken::load(repository)?))
    });
    let (guard, mut taken) = match begun {
        Ok(begun) => begun,
        Err(error) => return specs.iter().map(|_| Err(error.clone())).collect(),
    };
    let mut claims = Vec::with_capacity(specs.len());
    for spec in specs {
        let claimed = if interrupt.load(Ordering::Relaxed) {
            Err(Error::Interrupted("adding a worktree").into())
        } else {
            claim(repository, spec, &mut taken, &guard)
        };
        if claimed.is_ok() {
            progress(Progress::Registered(spec.name.clone()));
        }
        claims.push(claimed);
    }
    claims
}

/// What no new worktree may take.
struct Taken {
    names: BTreeMap<String, PathBuf>,
    paths: BTreeSet<PathBuf>,
    branches: BTreeMap<String, PathBuf>,
}

impl Taken {
    fn load(repository: &Repository) -> Result<Self> {
        let mut taken = Self {
            names: BTreeMap::new(),
            paths: [repository.root().to_owned()].into(),
            branches: registry::branch_holders(repository)?,
        };
        for registration in registry::all(repository)? {
            let at = registration.work_dir.clone().unwrap_or_else(|| registration.admin.clone());
            taken.names.insert(registration.name().to_owned(), at.clone());
            taken.names.insert(registration.id.clone(), at.clone());
            taken.paths.insert(fs::canonicalize(&at).unwrap_or(at));
        }
        Ok(taken)
    }
}

fn claim(
    repository: &Repository,
    spec: &WorktreeSpec,
    taken: &mut Taken,
    guard: &hand::Guard,
) -> Result<Claim, WorktreeError> {
    check_name(&spec.name)?;
    if let Some(at) = taken.names.get(&spec.name) {
        return Err(WorktreeError::NameTaken(spec.name.clone(), at.clone()));
    }
    let (work_dir, existed) = check_path(&spec.path, taken)?;
    let (branch, commit) = check_head(repository, &spec.head, taken)?;
    let local = repository.local_for_writing()?;
    let id = object_id(&commit)?;
    let tree = local
        .find_commit(id)
        .and_then(|commit| Ok(commit.tree_id()?.detach()))
        .map_err(|_| Error::UnknownRevision(commit.to_string(), None))?;
    let note = Note {
        version: 1,
        name: spec.name.clone(),
        branch: branch.clone(),
        base: commit.clone(),
        purpose: spec.purpose.clone(),
        owner: spec.owner.clone(),
        created_by: spec.created_by.clone(),
        created_at: Timestamp::now(),
        environment: spec.environment.clone(),
    };
    let new_branch = match &spec.head {
        Head::NewBranch { name, at } => Some((name.clone(), at.clone())),
        _ => None,
    };
    let creation = record::begin(
        repository,
        Record {
            name: spec.name.clone(),
            work_dir: work_dir.clone(),
            work_dir_existed: existed,
            admin: repository.common_dir().join("worktrees").join(&spec.name),
            new_branch,
            process: std::process::id(),
            started_at: Timestamp::now(),
        },
    )?;
    let sparse = if registry::is_sparse(&local) { Sparse::Yes } else { Sparse::No };
    let entry = Entry {
        id: &spec.name,
        work_dir: &work_dir,
        head: branch.as_ref().map_or_else(|| commit.to_string(), |branch| format!("ref: refs/heads/{branch}")),
        commit: id,
        note: &note,
        index: if sparse == Sparse::Yes { IndexLock::Free } else { IndexLock::Held },
    };
    if let Err(error) = set_up(repository, &local, &creation.record, &entry) {
        creation.roll_back(repository, guard)?;
        return Err(error.into());
    }
    taken.names.insert(spec.name.clone(), work_dir.clone());
    taken.paths.insert(work_dir.clone());
    taken.branches.extend(branch.map(|branch| (branch, work_dir)));
    Ok(Claim { creation, note, tree, sparse, failure: None })
}

fn set_up(repository: &Repository, local: &gix::Repository, record: &Record, entry: &Entry<'_>) -> Result<()> {
    if let Some((name, at)) = &record.new_branch {
        repository.create_branch(name, at)?;
    }
    registry::register(repository, local, entry)?;
    if !record.work_dir_existed {
        if let Some(parent) = record.work_dir.parent() {
            fs::create_dir_all(parent).map_err(Error::file("make", parent))?;
        }
        fs::create_dir(&record.work_dir).map_err(Error::file("make", &record.work_dir))?;
    }
    registry::write_link(&record.work_dir, &record.admin)
}

/// One alphabet with all other names, and nothing that git refuses inside a ref.
fn check_name(name: &str) -> Result<(), WorktreeError> {
    let word = pleach_core::word::ServiceName::new(name).is_ok();
    if word && branch_name(name).is_ok() { Ok(()) } else { Err(WorktreeError::BadName(name.to_owned())) }
}

/// The absolute path with the links of its parents resolved, as git registers it, and whether it is there already.
fn check_path(path: &Path, taken: &Taken) -> Result<(PathBuf, bool), WorktreeError> {
    let refused = |why: &str| WorktreeError::PathTaken(path.to_owned(), why.to_owned());
    let resolved = gix::path::realpath(path).map_err(|error| refused(&error.to_string()))?;
    if resolved.file_name().is_none() {
        return Err(refused("it has no name"));
    }
    if taken.paths.contains(&resolved) {
        return Err(refused("another worktree is registered there"));
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok((resolved, false)),
        Err(error) => Err(Error::file("look at", path)(error).into()),
        Ok(meta) if meta.file_type().is_symlink() => Err(refused("it is a symbolic link")),
        Ok(meta) if !meta.is_dir() => Err(refused("it is a file")),
        Ok(_) => match fs::read_dir(path).map_err(Error::file("list", path))?.next() {
            Some(_) => Err(refused("it is not empty")),
            None => Ok((resolved, true)),
        },
    }
}

fn check_head(
    repository: &Repository,
    head: &Head,
    taken: &Taken,
) -> Result<(Option<String>, CommitId), WorktreeError> {
    match head {
        Head::Detached(commit) => Ok((None, commit.clone())),
        Head::NewBranch { name, at } => {
            branch_name(name)?;
            Ok((Some(name.clone()), at.clone()))
        }
        Head::Branch(name) => {
            if let Some(at) = taken.branches.get(name) {
                return Err(WorktreeError::CheckedOut { branch: name.clone(), at: at.clone() });
            }
            let full = branch_name(name)?;
            let local = repository.local();
            let found = local.try_find_reference(&full).map_err(Error::failed(format!("read branch `{name}`")))?;
            let Some(mut reference) = found else {
                repository.require_commits()?;
                return Err(Error::NoBranch(name.clone(), repository.nearest_branch(name)).into());
            };
            let id = reference.peel_to_id().map_err(Error::failed(format!("read branch `{name}`")))?;
            Ok((Some(name.clone()), crate::repository::commit_id(id.detach())))
        }
    }
}

impl Claim {
    fn finish(
        self,
        repository: &Repository,
        listing: &Listing,
        stamps: &[Stamp],
        interrupt: &AtomicBool,
    ) -> Result<Worktree, WorktreeError> {
        let record = &self.creation.record;
        let local = repository.local();
        let attempt = || -> Result<()> {
            if let Some(error) = &self.failure {
                return Err(error.clone());
            }
            if interrupt.load(Ordering::Relaxed) {
                return Err(Error::Interrupted("adding a worktree"));
            }
            self.note.write_files(&record.work_dir)?;
            // Last, and by rename: a worktree with an index is complete.
            let bytes = index::serialise(listing, stamps, local.object_hash())?;
            let locked = record.admin.join("index.lock");
            let write = || -> std::io::Result<()> {
                fs::OpenOptions::new().write(true).truncate(true).open(&locked)?.write_all(&bytes)?;
                fs::rename(&locked, record.admin.join("index"))
            };
            write().map_err(Error::file("write", &locked))
        };
        match attempt() {
            Ok(()) => self.complete(repository),
            Err(error) => self.take_back(repository, error),
        }
    }

    fn finish_sparse(self, repository: &Repository, interrupt: &AtomicBool) -> Result<Worktree, WorktreeError> {
        let work_dir = self.creation.record.work_dir.clone();
        let attempt = || -> Result<()> {
            let local = repository.at(&work_dir)?.local();
            let failed = || Error::failed(format!("check out `{}`", work_dir.display()));
            let worktree = local.worktree().ok_or_else(|| Error::Bare(work_dir.clone()))?;
            worktree.checkout(gix::progress::Discard, interrupt).map_err(failed())?;
            self.note.write_files(&work_dir)
        };
        match attempt() {
            Ok(()) => self.complete(repository),
            Err(error) => self.take_back(repository, error),
        }
    }

    fn complete(self, repository: &Repository) -> Result<Worktree, WorktreeError> {
        let admin = self.creation.record.admin.clone();
        let name = self.note.name;
        self.creation.complete()?;
        let registration = registry::all(repository)?.into_iter().find(|found| found.admin == admin);
        let registration = registration.ok_or(WorktreeError::Unknown(name))?;
        Ok(describe(&repository.local(), &registration))
    }

    fn take_back(self, repository: &Repository, error: Error) -> Result<Worktree, WorktreeError> {
        // Not interruptible: this is what an interruption asks for, and it takes milliseconds to get the lock.
        let guard = hand::acquire(repository, &AtomicBool::new(false))?;
        self.creation.roll_back(repository, &guard)?;
        Err(error.into())
    }
}
