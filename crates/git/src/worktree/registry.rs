//! Git's own registration of worktrees (`.git/worktrees/ID`), read and written.
//!
//! Read as files, without opening each worktree as a repository: with a hundred worktrees that is the difference
//! between two milliseconds and a second. Format: git's `Documentation/gitrepository-layout.adoc`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::repository::{Layout, Repository};
use crate::worktree::note::Note;

/// What git writes into `locked` while a worktree is being made, and so do we.
pub(crate) const INITIALIZING: &str = "initializing";

/// One worktree as registered.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) id: String,
    pub(crate) admin: PathBuf,
    /// Where its files are, as registered; nothing when the registration cannot be read.
    pub(crate) work_dir: Option<PathBuf>,
    pub(crate) branch: Option<String>,
    /// A detached `HEAD`.
    pub(crate) detached: Option<String>,
    pub(crate) locked: Option<String>,
    pub(crate) note: Option<Note>,
}

impl Registration {
    fn load(id: &OsStr, admin: PathBuf) -> Self {
        let (branch, detached) = head(&admin);
        Self {
            id: id.to_string_lossy().into_owned(),
            work_dir: work_dir(&admin),
            branch,
            detached,
            locked: fs::read_to_string(admin.join("locked")).ok().map(|reason| reason.trim_end().to_owned()),
            note: Note::load(&admin),
            admin,
        }
    }

    /// The name that people use: the one it was made with, else git's id.
    pub(crate) fn name(&self) -> &str {
        self.note.as_ref().map_or(&self.id, |note| &note.name)
    }

    pub(crate) fn is_initializing(&self) -> bool {
        self.locked.as_deref() == Some(INITIALIZING)
    }

    pub(crate) fn has_index(&self) -> bool {
        self.admin.join("index").exists()
    }

    /// Whether the `.git` file in the worktree points here.
    pub(crate) fn is_linked(&self) -> bool {
        self.work_dir.as_deref().is_some_and(|work_dir| links_to(work_dir, &self.admin))
    }
}

/// Whether `work_dir/.git` is a link to `admin`.
pub(crate) fn links_to(work_dir: &Path, admin: &Path) -> bool {
    let Some(target) = link_target(work_dir) else { return false };
    target == admin || matches!((fs::canonicalize(target), fs::canonicalize(admin)), (Ok(a), Ok(b)) if a == b)
}

/// Where `work_dir/.git` points, if it is a link.
pub(crate) fn link_target(work_dir: &Path) -> Option<PathBuf> {
    let text = fs::read(work_dir.join(".git")).ok()?;
    let target = trim(text.strip_prefix(b"gitdir: ")?);
    Some(work_dir.join(Path::new(OsStr::from_bytes(target))))
}

fn trim(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
    &bytes[..end]
}

fn work_dir(admin: &Path) -> Option<PathBuf> {
    let text = fs::read(admin.join("gitdir")).ok()?;
    let link = admin.join(PathBuf::from(OsString::from_vec(trim(&text).to_vec())));
    link.parent().filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned)
}

/// Branch or detached commit of a git directory's `HEAD`.
fn head(git_dir: &Path) -> (Option<String>, Option<String>) {
    let Ok(text) = fs::read_to_string(git_dir.join("HEAD")) else { return (None, None) };
    let text = text.trim_end();
    match text.strip_prefix("ref: ") {
        Some(name) => (name.trim().strip_prefix("refs/heads/").map(str::to_owned), None),
        None => (None, Some(text.to_owned())),
    }
}

/// All linked worktrees, by id.
pub(crate) fn all(repository: &Repository) -> Result<Vec<Registration>> {
    let directory = repository.common_dir().join("worktrees");
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("list", &directory)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::file("list", &directory))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(Registration::load(&entry.file_name(), entry.path()));
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

/// Each branch that some worktree holds, with that worktree: checked out, being rebased, or being bisected.
pub(crate) fn branch_holders(repository: &Repository) -> Result<BTreeMap<String, PathBuf>> {
    let mut holders = BTreeMap::new();
    if repository.layout() == Layout::Checkout {
        for branch in held_branches(repository.common_dir()) {
            holders.insert(branch, repository.root().to_owned());
        }
    }
    for registration in all(repository)? {
        let at = registration.work_dir.unwrap_or_else(|| registration.admin.clone());
        for branch in held_branches(&registration.admin) {
            holders.entry(branch).or_insert_with(|| at.clone());
        }
    }
    Ok(holders)
}

fn held_branches(git_dir: &Path) -> Vec<String> {
    let mut held: Vec<String> = head(git_dir).0.into_iter().collect();
    for file in ["rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"] {
        if let Ok(text) = fs::read_to_string(git_dir.join(file)) {
            let name = text.trim_end();
            held.push(name.strip_prefix("refs/heads/").unwrap_or(name).to_owned());
        }
    }
    held
}

/// What a new registration says.
pub(crate) struct Entry<'a> {
    pub(crate) id: &'a str,
    pub(crate) work_dir: &'a Path,
    /// The content of `HEAD` without a line end.
    pub(crate) head: String,
    pub(crate) commit: gix::ObjectId,
    pub(crate) note: &'a Note,
    pub(crate) index: IndexLock,
}

/// Whether the index is kept locked until the worktree is complete, so that a stray `git status` writes none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexLock {
    Held,
    Free,
}

/// Registers a worktree. It appears whole: made aside and renamed into place, locked as `initializing`.
pub(crate) fn register(repository: &Repository, local: &gix::Repository, entry: &Entry<'_>) -> Result<PathBuf> {
    let admin = repository.common_dir().join("worktrees").join(entry.id);
    let staging = repository.state_dir().join("staging").join(entry.id);
    match fs::remove_dir_all(&staging) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::file("clear", &staging)(error));
        }
        _ => {}
    }
    let fill = || -> std::io::Result<()> {
        fs::create_dir_all(staging.join("logs"))?;
        fs::write(staging.join("locked"), format!("{INITIALIZING}\n"))?;
        let mut link = entry.work_dir.join(".git").into_os_string().into_vec();
        link.push(b'\n');
        fs::write(staging.join("gitdir"), link)?;
        fs::write(staging.join("commondir"), "../..\n")?;
        fs::write(staging.join("HEAD"), format!("{}\n", entry.head))?;
        fs::write(staging.join("ORIG_HEAD"), format!("{}\n", entry.commit))?;
        write_reflog(local, &staging.join("logs/HEAD"), entry.commit)?;
        if entry.index == IndexLock::Held {
            fs::write(staging.join("index.lock"), "")?;
        }
        Ok(())
    };
    fill().map_err(Error::file("write", &staging))?;
    copy_configuration(local, &staging)?;
    entry.note.store(&staging)?;
    let worktrees = repository.common_dir().join("worktrees");
    fs::create_dir_all(&worktrees).map_err(Error::file("make", &worktrees))?;
    fs::rename(&staging, &admin).map_err(Error::file("make", &admin))?;
    Ok(admin)
}

fn write_reflog(local: &gix::Repository, path: &Path, commit: gix::ObjectId) -> std::io::Result<()> {
    if local.config_snapshot().boolean("core.logAllRefUpdates") == Some(false) {
        return Ok(());
    }
    let Some(Ok(committer)) = local.committer() else { return Ok(()) };
    let mut line = format!("{} {commit} ", local.object_hash().null()).into_bytes();
    committer.trim().write_to(&mut line).map_err(std::io::Error::other)?;
    line.push(b'\n');
    fs::File::create(path)?.write_all(&line)
}

/// With `extensions.worktreeConfig`, a new worktree starts from this one's own configuration, as in git.
fn copy_configuration(local: &gix::Repository, admin: &Path) -> Result<()> {
    if local.config_snapshot().boolean("extensions.worktreeConfig") == Some(true) {
        let from = local.git_dir().join("config.worktree");
        if from.exists() {
            let failed = || Error::failed("copy the worktree's configuration");
            let mut config =
                gix::config::File::from_path_no_includes(from, gix::config::Source::Worktree).map_err(failed())?;
            for key in ["core.bare", "core.worktree"] {
                if let Ok(mut values) = config.raw_values_mut(key) {
                    values.delete_all();
                }
            }
            let path = admin.join("config.worktree");
            let mut file = fs::File::create(&path).map_err(Error::file("write", &path))?;
            config.write_to(&mut file).map_err(Error::file("write", &path))?;
        }
    }
    if is_sparse(local) {
        let from = local.git_dir().join("info/sparse-checkout");
        if from.exists() {
            let info = admin.join("info");
            fs::create_dir_all(&info).map_err(Error::file("make", &info))?;
            fs::copy(&from, info.join("sparse-checkout")).map_err(Error::file("copy", &from))?;
        }
    }
    Ok(())
}

pub(crate) fn is_sparse(local: &gix::Repository) -> bool {
    local.config_snapshot().boolean("core.sparseCheckout") == Some(true)
}

/// Writes `work_dir/.git`.
pub(crate) fn write_link(work_dir: &Path, admin: &Path) -> Result<()> {
    let path = work_dir.join(".git");
    let mut text = b"gitdir: ".to_vec();
    text.extend_from_slice(admin.as_os_str().as_bytes());
    text.push(b'\n');
    fs::write(&path, text).map_err(Error::file("write", &path))
}
