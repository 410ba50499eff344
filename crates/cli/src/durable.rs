//! Files that are whole or as they were before, whatever happens in between.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};

/// Replaces a file: written beside it, flushed to the disk, renamed over it, and the rename flushed too.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let (parent, beside) = (parent(path), beside(path));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&beside, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&beside);
    }
    renamed?;
    File::open(parent)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The process id keeps two of us from writing the same file: both would be whole, and the later rename wins.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    parent(path).join(format!(".{name}.{}", std::process::id()))
}

/// A name of this process that one with the same id may have left behind.
fn unused(beside: PathBuf) -> PathBuf {
    let _ = fs::remove_file(&beside);
    beside
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays, and nothing is written.
    Keep,
    /// It is replaced.
    Replace,
}

/// A file that only its owner may read, and that gets its name when it is whole.
///
/// Until then it has none, so that nothing is left of it however this process ends. Where the file system has no files
/// without a name, it is a hidden one beside, which is removed unless this process is killed by `SIGKILL`.
#[derive(Debug)]
pub(crate) struct Draft {
    file: File,
    path: PathBuf,
    existing: Existing,
    /// Its name meanwhile, if it has one.
    beside: Option<PathBuf>,
}

impl Draft {
    /// Begins it where `path` will lie; `AlreadyExists` where that may not be replaced.
    pub(crate) fn begin(path: &Path, existing: Existing) -> io::Result<Self> {
        if existing == Existing::Keep && path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let unnamed = rustix::fs::openat(CWD, parent(path), flags, Mode::RUSR | Mode::WUSR);
        let (file, beside) = match unnamed {
            Ok(file) => (File::from(file), None),
            // Kernels and file systems without it say so in several ways.
            Err(_) => {
                let beside = unused(beside(path));
                let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&beside)?;
                (file, Some(beside))
            }
        };
        Ok(Self { file, path: path.to_owned(), existing, beside })
    }

    /// The file to write to.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Flushes it to the disk and gives it its name.
    pub(crate) fn publish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if self.beside.is_none() {
            let name = match self.existing {
                Existing::Keep => self.path.clone(),
                // There is no link over another file.
                Existing::Replace => unused(beside(&self.path)),
            };
            let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            rustix::fs::linkat(CWD, unnamed, CWD, &name, AtFlags::SYMLINK_FOLLOW)?;
            self.beside = Some(name).filter(|name| *name != self.path);
        }
        if let Some(beside) = &self.beside {
            let flags = match self.existing {
                Existing::Keep => RenameFlags::NOREPLACE,
                Existing::Replace => RenameFlags::empty(),
            };
            rustix::fs::renameat_with(CWD, beside, CWD, &self.path, flags)?;
            self.beside = None;
        }
        File::open(parent(&self.path))?.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            let _ = fs::remove_file(beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_draft_has_no_name_until_it_is_whole_and_replaces_only_what_it_may() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ticket");
        let names = || fs::read_dir(directory.path()).expect("listed").flatten().map(|file| file.file_name()).collect();
        let draft = |existing| {
            let mut draft = Draft::begin(&path, existing)?;
            draft.file().write_all(format!("{existing:?}").as_bytes())?;
            io::Result::Ok(draft)
        };
        let (one, other) = (draft(Existing::Keep).expect("begun"), draft(Existing::Keep).expect("begun"));
        assert!(Vec::<std::ffi::OsString>::is_empty(&names()), "neither has a name");
        one.publish().expect("published");
        fs::write(&path, "mine").expect("written");
        let kinds = [other.publish(), draft(Existing::Keep).map(drop)].map(|told| told.map_err(|error| error.kind()));
        assert_eq!(kinds, [Err(io::ErrorKind::AlreadyExists); 2], "also when it came meanwhile");
        assert_eq!(fs::read(&path).expect("read"), b"mine");
        draft(Existing::Replace).expect("begun").publish().expect("published");
        assert_eq!(fs::read(&path).expect("read"), b"Replace");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(names(), ["ticket"]);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("status.json");
        write_whole(&path, b"one").expect("written");
        write_whole(&path, b"two").expect("written again");
        assert_eq!(fs::read(&path).expect("read"), b"two");
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("taken");
        fs::create_dir(&path).expect("made");
        fs::write(path.join("x"), "x").expect("written");
        assert!(write_whole(&path, b"two").is_err());
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1);
    }
}
