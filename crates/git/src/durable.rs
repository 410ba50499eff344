//! Writing so that it survives a power cut: `gix` itself never syncs.
//!
//! A file is written beside its place, synced, renamed over it, and then its directory is synced. Objects and refs that
//! `gix` wrote are synced after the fact, objects first: a ref that survives must never name an object that did not.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use gix::ObjectId;

use crate::error::{Error, Result};

/// Replaces `path` with `bytes`, atomically and durably.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_directory(path.parent().unwrap_or(Path::new(".")))
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&beside);
        Error::file("write", path)(error)
    })
}

pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn sync_file(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all(),
        // Packed in the meantime by a maintenance run, which syncs what it writes.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Syncs loose objects, and the directories that name them.
pub(crate) fn sync_objects(repo: &gix::Repository, ids: impl IntoIterator<Item = ObjectId>) -> Result<()> {
    let objects = repo.objects.store_ref().path().to_owned();
    let mut directories = std::collections::BTreeSet::new();
    for id in ids {
        let hex = id.to_string();
        let directory = objects.join(&hex[..2]);
        sync_file(&directory.join(&hex[2..])).map_err(Error::file("sync", &directory))?;
        directories.insert(directory);
    }
    directories.insert(objects);
    for directory in directories.iter().filter(|directory| directory.is_dir()) {
        sync_directory(directory).map_err(Error::file("sync", directory))?;
    }
    Ok(())
}

/// Syncs a ref that was just written (`refs/heads/x`).
pub(crate) fn sync_reference(repo: &gix::Repository, name: &str) -> Result<()> {
    let path = repo.common_dir().join(name);
    sync_file(&path).map_err(Error::file("sync", &path))?;
    if let Some(directory) = path.parent().filter(|directory| directory.is_dir()) {
        sync_directory(directory).map_err(Error::file("sync", directory))?;
    }
    Ok(())
}
