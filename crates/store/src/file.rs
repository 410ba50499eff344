//! Whole-or-absent files, and the lock under which they are changed.
//!
//! A name is durable once its directory is flushed, so everything here that makes a name flushes the directory too.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pleach_core::error::{Explain, Kind, quote_path};

/// The longest that a change waits for another process to finish its own: changes take milliseconds, so whoever takes
/// longer is stopped or waits for a dead disk.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How long a change waits until it looks again whether the lock is free.
const LOCK_PAUSE: Duration = Duration::from_millis(2);

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
        if self.source.kind() == io::ErrorKind::TimedOut { Kind::Transient } else { Kind::Rejected }
    }
    fn state(&self) -> Option<String> {
        Some("the file is as it was before".into())
    }
    fn next(&self) -> Option<String> {
        let path = quote_path(&self.path);
        Some(match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                format!(
                    "free some space (`df -h {}` shows how much there is), then try again",
                    quote_path(self.existing())
                )
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                format!(
                    "make it writable (`findmnt -T {}` shows where it is mounted), then try again",
                    quote_path(self.existing())
                )
            }
            io::ErrorKind::TimedOut => format!("see who holds it with `fuser -v {path}`, then try again"),
            io::ErrorKind::InvalidData => format!("look at it with `cat '{path}'`"),
            _ => format!("see what stands in the way with `namei -l '{path}'`"),
        })
    }
}

impl FileError {
    /// The path, or the nearest above it that is there: what a tool can be asked about.
    fn existing(&self) -> &Path {
        self.path.ancestors().find(|path| path.exists()).unwrap_or(&self.path)
    }
}

/// Makes a directory and those above it, durably.
pub(crate) fn ensure_directory(path: &Path) -> Result<(), FileError> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.is_dir()).collect();
    fs::create_dir_all(path).map_err(FileError::of("make", path))?;
    missing.into_iter().try_for_each(|made| flush_directory(parent(made)))
}

/// The directory that a path's name stands in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Flushes a directory, so that names in it survive a power cut.
pub(crate) fn flush_directory(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(FileError::of("flush", path))
}

/// Writes a file so that a reader, also one after a power cut, sees all of it or what was there before. Only one may write
/// it at a time.
pub(crate) fn write_whole(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    // The same name each time: what a kill leaves is overwritten, not piled up.
    let beside = parent(path).join(format!(".{}.new", path.file_name().unwrap_or_default().to_string_lossy()));
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
    flush_directory(parent(path))
}

/// Reads a file; `None` if there is none.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::of("read", path)(error)),
    }
}

/// A lock that is held; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Locked(File);

impl Locked {
    /// A file whose lock was taken.
    pub(crate) fn of(file: File) -> Self {
        Self(file)
    }
}

impl std::ops::Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl std::ops::DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Said aloud: a child process that is just being started has a copy of the file, and closing ours would leave
        // the lock to it for a moment.
        let _ = self.0.unlock();
    }
}

/// Takes the lock of a file, which stays: removing it would let two hold "the" lock.
///
/// # Errors
/// Another holds it for longer than any change takes ([`io::ErrorKind::TimedOut`]), or the file system refuses.
pub(crate) fn lock(path: &Path) -> Result<Locked, FileError> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(FileError::of("open", path))?;
    let last_moment = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Locked(file)),
            Err(TryLockError::Error(error)) => return Err(FileError::of("lock", path)(error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= last_moment => {
                let why = format!("another process holds it for more than {} seconds", LOCK_PATIENCE.as_secs());
                return Err(FileError::of("lock", path)(io::Error::new(io::ErrorKind::TimedOut, why)));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
        }
    }
}
