//! The number below which no write is let through.
//!
//! `.pleach/fence` below the target's root holds the newest token that was seen, in decimal; `.pleach/fence.lock` is locked
//! while it is read or replaced. A write takes the lock shared, compares, writes, and lets go: a newer token cannot come
//! between the comparison and the effect. A new token takes the lock alone, so when it is written no older write is under
//! way. A command is compared when it starts and may run longer than the lock: a build of an hour must not keep a successor
//! from taking over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pleach_core::error::{Explain, Kind};
use pleach_core::port::FencingToken;

/// Why a write is not let through.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// Another lease of this target is newer.
    #[error("the lease with token {given} was refused below `{root}`: token {seen} has been seen there")]
    Passed {
        /// What was given.
        given: FencingToken,
        /// What the target has seen.
        seen: FencingToken,
        /// The target's root.
        root: PathBuf,
    },
    /// No lease at all.
    #[error("a write below `{root}` was refused: it came without a lease")]
    NoLease {
        /// The target's root.
        root: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("could not read or write the fence `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds no number.
    #[error("the fence `{path}` holds `{text}`, which is no number")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it holds.
        text: String,
    },
}

impl Explain for FenceError {
    fn kind(&self) -> Kind {
        match self {
            Self::Passed { .. } => Kind::Conflict,
            Self::NoLease { .. } => Kind::Internal,
            Self::Io { .. } | Self::Damaged { .. } => Kind::Rejected,
        }
    }

    fn state(&self) -> Option<String> {
        Some("nothing was changed by this call".into())
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Passed { .. } => Some("another deployment has taken over: look with `pleach status`".into()),
            Self::NoLease { .. } => None,
            Self::Io { path, source } => {
                let root = path.parent().and_then(Path::parent).unwrap_or(path).display();
                Some(match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!("make room: `df -h '{root}'`"),
                    io::ErrorKind::ReadOnlyFilesystem => {
                        format!("make it writable; see how it is mounted: `findmnt -T '{root}'`")
                    }
                    _ => format!("look with `ls -ld '{root}'`"),
                })
            }
            Self::Damaged { path, .. } => {
                Some(format!("look at `{}` and write the last token into it", path.display()))
            }
        }
    }
}

/// The fence of one target's root.
#[derive(Clone, Debug)]
pub struct Fence {
    root: PathBuf,
}

/// Holds newer tokens off while a write is under way.
#[must_use]
#[derive(Debug)]
pub(crate) struct Passage {
    _lock: File,
}

impl Fence {
    /// The fence of the target whose root is `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Refuses from now on every token older than `token`.
    pub fn raise(&self, token: FencingToken) -> Result<(), FenceError> {
        let lock = self.lock_file()?;
        lock.lock().map_err(|source| self.io(source))?;
        let seen = self.seen()?;
        if seen > token {
            return Err(FenceError::Passed { given: token, seen, root: self.root.clone() });
        }
        if seen < token {
            replace_durably(&self.path(), format!("{token}\n").as_bytes()).map_err(|source| self.io(source))?;
        }
        Ok(())
    }

    /// Lets a write with `token` through for as long as what is returned lives.
    pub(crate) fn pass(&self, token: Option<FencingToken>) -> Result<Passage, FenceError> {
        let given = token.ok_or_else(|| FenceError::NoLease { root: self.root.clone() })?;
        let lock = self.lock_file()?;
        lock.lock_shared().map_err(|source| self.io(source))?;
        let seen = self.seen()?;
        if given < seen {
            return Err(FenceError::Passed { given, seen, root: self.root.clone() });
        }
        Ok(Passage { _lock: lock })
    }

    /// The newest token that was seen; 0 if none was.
    fn seen(&self) -> Result<FencingToken, FenceError> {
        let path = self.path();
        match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(number) => Ok(FencingToken(number)),
                Err(_) => Err(FenceError::Damaged { path, text }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(FencingToken(0)),
            Err(error) => Err(self.io(error)),
        }
    }

    fn lock_file(&self) -> Result<File, FenceError> {
        let folder = self.root.join(".pleach");
        fs::create_dir_all(&folder).map_err(|source| self.io(source))?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        options.open(folder.join("fence.lock")).map_err(|source| self.io(source))
    }

    fn path(&self) -> PathBuf {
        self.root.join(".pleach/fence")
    }

    fn io(&self, source: io::Error) -> FenceError {
        FenceError::Io { path: self.path(), source }
    }
}

/// Replaces a small file in one step; durable when it returns.
pub(crate) fn replace_durably(path: &Path, contents: &[u8]) -> io::Result<()> {
    let beside = beside(path, "new");
    let written = (|| {
        let mut file = File::create(&beside)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        // The error that matters is the one above.
        let _ = fs::remove_file(&beside);
    }
    written?;
    sync_folder(path)
}

/// A name in the same folder that no other call of any process uses.
pub(crate) fn beside(path: &Path, purpose: &str) -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{purpose}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

/// Whether a name is one that is written beside and was never renamed: of [`beside`], or of a host's [`Files`].
///
/// [`Files`]: pleach_core::port::Files
pub(crate) fn is_half_written(name: &str) -> bool {
    name.rsplit_once(".new-").is_some_and(|(file, id)| {
        !file.is_empty() && !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    })
}

/// Makes a name in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_token_waits_for_a_write_under_way_and_then_shuts_the_older_one_out() {
        let root = tempfile::tempdir().expect("a directory");
        let fence = Fence::new(root.path());
        fence.raise(FencingToken(3)).expect("the first");
        let passage = fence.pass(Some(FencingToken(3))).expect("the newest");
        let raised = std::thread::spawn({
            let fence = fence.clone();
            move || fence.raise(FencingToken(4))
        });
        let probe = File::open(root.path().join(".pleach/fence.lock")).expect("there");
        assert!(probe.try_lock().is_err(), "the write holds the fence");
        assert_eq!(fs::read_to_string(root.path().join(".pleach/fence")).expect("there"), "3\n");
        drop(passage);
        raised.join().expect("no panic").expect("raised");
        let error = fence.pass(Some(FencingToken(3))).expect_err("too old");
        assert_eq!(error.kind(), Kind::Conflict);
        assert_eq!(fence.raise(FencingToken(3)).expect_err("too old").kind(), Kind::Conflict);
        assert!(matches!(fence.pass(None), Err(FenceError::NoLease { .. })));
    }

    #[test]
    fn a_damaged_fence_lets_nothing_through() {
        let root = tempfile::tempdir().expect("a directory");
        let fence = Fence::new(root.path());
        fence.raise(FencingToken(1)).expect("the first");
        fs::write(root.path().join(".pleach/fence"), "x").expect("written");
        assert!(matches!(fence.pass(Some(FencingToken(9))), Err(FenceError::Damaged { .. })));
    }
}
