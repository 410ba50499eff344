//! Where the files of one target's lease lie, and how they are read and replaced.

use std::io;
use std::path::{Path, PathBuf};

use pleach_core::port::{FencingToken, Lease};

use super::error::LeaseError;
use crate::file::{self, Locked};
use crate::{FileError, Life, ProcessIdentity};

/// The files of one target's lease.
pub(super) struct Place {
    folder: PathBuf,
    target: String,
}

impl Place {
    pub(super) fn new(leases: &Path, environment: &str, target: &str) -> Self {
        Self { folder: leases.join(environment), target: target.to_owned() }
    }

    /// The one lease of a whole directory, in its folder `.pleach`, where its fence lies as well.
    pub(super) fn of_directory(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), target: "lease".to_owned() }
    }

    pub(super) fn lease_path(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.target))
    }

    fn token_path(&self) -> PathBuf {
        self.folder.join(format!("{}.token", self.target))
    }

    /// Held for the length of one change.
    pub(super) fn lock(&self) -> Result<Locked, FileError> {
        file::ensure_directory(&self.folder)?;
        file::lock(&self.folder.join(format!("{}.lock", self.target)))
    }

    pub(super) fn load(&self) -> Result<Option<Lease>, LeaseError> {
        load(&self.lease_path())
    }

    pub(super) fn store(&self, lease: &Lease) -> Result<(), LeaseError> {
        let path = self.lease_path();
        let damaged = |source| LeaseError::Damaged { path: path.clone(), source };
        let mut text = serde_json::to_vec_pretty(lease).map_err(damaged)?;
        text.push(b'\n');
        Ok(file::write_whole(&path, &text)?)
    }

    pub(super) fn remove(&self) -> Result<(), LeaseError> {
        let path = self.lease_path();
        std::fs::remove_file(&path).map_err(FileError::of("remove", &path))?;
        Ok(file::flush_directory(&self.folder)?)
    }

    /// Makes the next token, greater than all before and than that of `earlier`. Durable when it returns, so that a
    /// crash before the lease is written wastes a number; the other order could give one twice.
    pub(super) fn draw_token(&self, earlier: Option<&Lease>) -> Result<FencingToken, LeaseError> {
        let path = self.token_path();
        // What the target lets through may come from leases that lay elsewhere.
        let kept = read_token(&path)?.max(read_token(&self.folder.join("fence"))?);
        let token = kept.max(earlier.map_or(0, |earlier| earlier.token.0)) + 1;
        file::write_whole(&path, format!("{token}\n").as_bytes())?;
        Ok(FencingToken(token))
    }
}

/// The number in a file; 0 if there is none.
fn read_token(path: &Path) -> Result<u64, FileError> {
    let Some(text) = file::read_if_there(path)? else { return Ok(0) };
    let damaged = |error| FileError::of("read", path)(io::Error::new(io::ErrorKind::InvalidData, error));
    String::from_utf8_lossy(&text).trim().parse().map_err(damaged)
}

/// What can be said of a lease's holder. The clock is not asked: an expired lease of a living process may wake up and
/// write.
pub(super) fn life(lease: &Lease) -> Life {
    ProcessIdentity::from(&lease.holder).life()
}

/// Reads one lease file; `None` if there is none.
pub(super) fn load(path: &Path) -> Result<Option<Lease>, LeaseError> {
    let damaged = |source| LeaseError::Damaged { path: path.to_owned(), source };
    file::read_if_there(path)?.map(|text| serde_json::from_slice(&text).map_err(damaged)).transpose()
}

/// All leases below a folder, by environment and target.
pub(super) fn load_all(leases: &Path) -> Result<Vec<Lease>, LeaseError> {
    let mut found = Vec::new();
    for environment in list(leases)? {
        for path in list(&environment)? {
            if path.extension().is_some_and(|ending| ending == "json") {
                // Given back since it was listed, if it is not there.
                found.extend(load(&path)?);
            }
        }
    }
    found.sort_by(|a: &Lease, b| (&a.environment, &a.target).cmp(&(&b.environment, &b.target)));
    Ok(found)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(FileError::of("list", folder)(error)),
    };
    let paths: io::Result<_> = entries.map(|entry| Ok(entry?.path())).collect();
    paths.map_err(FileError::of("list", folder))
}
