//! A repository without git: for each commit a list of files.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{EntryMode, Source, SourceEntry, SourceRef};
use pleach_core::word::CommitId;

type Tree = Vec<(PathBuf, EntryMode, Vec<u8>)>;

/// Commits by name.
#[derive(Default)]
pub(crate) struct Folders(Mutex<BTreeMap<CommitId, Tree>>);

/// The commit of a version.
pub(crate) fn commit(version: u32) -> CommitId {
    CommitId::new(format!("{version:08x}").repeat(5)).unwrap()
}

impl Folders {
    /// Adds a file to a version.
    pub(crate) fn add(&self, version: u32, path: impl Into<PathBuf>, mode: EntryMode, content: &[u8]) {
        let mut trees = self.0.lock().unwrap();
        trees.entry(commit(version)).or_default().push((path.into(), mode, content.to_vec()));
    }

    /// Gives a file of a version another content.
    pub(crate) fn replace(&self, version: u32, path: &str, content: &[u8]) {
        let mut trees = self.0.lock().unwrap();
        let files = trees.get_mut(&commit(version)).unwrap();
        files.iter_mut().find(|(file, ..)| file == Path::new(path)).unwrap().2 = content.to_vec();
    }

    /// The files of a version that are text.
    pub(crate) fn texts(&self, version: u32) -> BTreeMap<PathBuf, String> {
        let tree = self.tree(&SourceRef { commit: commit(version), path: PathBuf::new() });
        tree.into_iter().filter_map(|(path, _, content)| Some((path, String::from_utf8(content).ok()?))).collect()
    }

    fn tree(&self, tree: &SourceRef) -> Tree {
        self.0.lock().unwrap().get(&tree.commit).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl Source for Folders {
    async fn list(&self, tree: &SourceRef) -> Result<Vec<SourceEntry>, Failure> {
        let entry = |(path, mode, _): (PathBuf, EntryMode, Vec<u8>)| SourceEntry { path, mode, id: String::new() };
        Ok(self.tree(tree).into_iter().map(entry).collect())
    }

    async fn read(&self, tree: &SourceRef, entry: &SourceEntry) -> Result<Vec<u8>, Failure> {
        let found = self.tree(tree).into_iter().find(|(path, ..)| *path == entry.path);
        Ok(found.unwrap().2)
    }

    async fn export(&self, tree: &SourceRef, destination: &Path) -> Result<(), Failure> {
        for (path, mode, content) in self.tree(tree) {
            write(&destination.join(&path), mode, &content).map_err(|error| {
                Failure::new(Kind::Rejected, format!("could not write `{}`", path.display()))
                    .because(error.to_string())
                    .next(format!("make room: `df -h '{}'`", destination.display()))
            })?;
        }
        Ok(())
    }
}

fn write(path: &Path, mode: EntryMode, content: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap())?;
    if mode == EntryMode::Symlink {
        return symlink(OsStr::from_bytes(content), path);
    }
    std::fs::write(path, content)?;
    let bits = if mode == EntryMode::Executable { 0o755 } else { 0o644 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits))
}
