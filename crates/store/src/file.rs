//! Whole-or-absent files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pleach_core::error::{Explain, Kind};

/// Why a file could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[error("could not {verb} `{}`", .path.display())]
pub struct FileError {
    /// What was tried: `write`, `read`, `lock`.
    pub verb: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

impl FileError {
    pub(crate) fn of(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { verb, path: path.to_owned(), source }
    }
}

impl Explain for FileError {
    fn kind(&self) -> Kind {
        Kind::Rejected
    }
    fn state(&self) -> Option<String> {
        Some("the file is as it was before".into())
    }
    fn next(&self) -> Option<String> {
        Some(match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some space (`df -h` shows where), then try again".into()
            }
            io::ErrorKind::PermissionDenied => "check who owns it, then `pleach doctor`".into(),
            io::ErrorKind::ReadOnlyFilesystem => "mount it for writing, then try again".into(),
            _ => "`pleach doctor`".into(),
        })
    }
}

/// Makes a directory and those above it.
pub(crate) fn ensure_directory(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(FileError::of("make", path))
}

/// Flushes a directory, so that names in it survive a power cut.
pub(crate) fn flush_directory(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(FileError::of("flush", path))
}

/// Writes a file so that a reader, also one after a power cut, sees all of it or what was there before.
pub(crate) fn write_whole(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = parent.join(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    if let Err(error) = write() {
        let _ = fs::remove_file(&beside);
        return Err(FileError::of("write", path)(error));
    }
    flush_directory(parent)
}

/// Reads a file; `None` if there is none.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::of("read", path)(error)),
    }
}
