//! Files on this machine.
//!
//! A change is written beside its place, flushed, renamed and its folder flushed: whole or absent to whoever looks, and
//! durable when the call returns. All of it happens on tokio's blocking threads; each call waits for those that were given up
//! before it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use pleach_core::error::{Explain, Failure, Kind, quote_path};
use pleach_core::port::{
    FencingToken, FileKind, FileStat, Files, HeldFile, Permissions, Source, SourceRef, TreeDigest,
};

use super::fence::{Fence, beside, sync_folder};
use super::tree::{held_files, remove_tree, tree_digest};
use super::work::Work;

/// Why a file could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A relative path would depend on where Pleach was started.
    #[error("the path `{0}` is not absolute")]
    Relative(PathBuf),
    /// Something that must not be replaced is there.
    #[error("`{0}` is there already")]
    Occupied(PathBuf),
    /// The disk, quota or memory is used up.
    #[error("could not {doing} `{path}`: no space is left")]
    Full {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Anything else that the system refused.
    #[error("could not {doing} `{path}`")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Explain for FilesError {
    fn kind(&self) -> Kind {
        match self {
            Self::Relative(_) => Kind::Internal,
            Self::Occupied(_) => Kind::Conflict,
            Self::Full { .. } | Self::Io { .. } => Kind::Rejected,
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Relative(_) => None,
            Self::Occupied(path) | Self::Io { path, .. } => Some(format!("look with `ls -ld {}`", quote_path(path))),
            Self::Full { path, .. } => {
                Some(format!("make room: `df -h {}`", quote_path(path.parent().unwrap_or(path))))
            }
        }
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FilesError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FilesError::Full { doing, path, source },
        _ => FilesError::Io { doing, path, source },
    }
}

/// Files of this machine; writes pass the fence.
#[derive(Clone, Debug)]
pub struct LocalFiles {
    fence: Fence,
    work: Work,
}

impl LocalFiles {
    /// Files whose changes pass `fence`.
    pub fn new(fence: Fence) -> Self {
        Self { fence, work: Work::default() }
    }

    async fn look<T: Send + 'static>(
        &self,
        path: &Path,
        work: impl FnOnce(&Path) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        require_absolute(path)?;
        let path = path.to_owned();
        self.work.settle().await;
        self.work.run(move || work(&path)).await
    }

    /// Does `work` while no newer token can come.
    async fn change<T: Send + 'static>(
        &self,
        path: &Path,
        token: Option<FencingToken>,
        work: impl FnOnce(&Path) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let fence = self.fence.clone();
        self.look(path, move |path| {
            let _passage = fence.pass(token)?;
            work(path)
        })
        .await
    }
}

fn require_absolute(path: &Path) -> Result<(), FilesError> {
    if path.is_absolute() { Ok(()) } else { Err(FilesError::Relative(path.to_owned())) }
}

#[async_trait]
impl Files for LocalFiles {
    async fn stat(&self, path: &Path) -> Result<Option<FileStat>, Failure> {
        self.look(path, |path| Ok(absent(stat(path)).map_err(failed("look at", path))?)).await
    }

    async fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
        self.look(path, |path| Ok(absent(fs::read(path)).map_err(failed("read", path))?)).await
    }

    async fn list(&self, path: &Path) -> Result<Vec<FileStat>, Failure> {
        let list = |path: &Path| -> io::Result<Vec<FileStat>> {
            let mut found = Vec::new();
            for entry in fs::read_dir(path)? {
                found.extend(absent(stat(&entry?.path()))?);
            }
            found.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(found)
        };
        self.look(path, move |path| Ok(absent(list(path)).map_err(failed("list", path))?.unwrap_or_default())).await
    }

    async fn digest(&self, path: &Path) -> Result<TreeDigest, Failure> {
        self.look(path, |path| Ok(tree_digest(path)?)).await
    }

    async fn held_files(&self, path: &Path) -> Result<Vec<HeldFile>, Failure> {
        self.look(path, |path| Ok(held_files(path)?)).await
    }

    async fn ensure_directory(&self, path: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        self.change(path, token, |path| {
            fs::create_dir_all(path).map_err(failed("make the directory", path))?;
            Ok(sync_folder(path).map_err(failed("make durable", path))?)
        })
        .await
    }

    async fn write(
        &self,
        path: &Path,
        contents: &[u8],
        permissions: Permissions,
        token: Option<FencingToken>,
    ) -> Result<(), Failure> {
        let contents = contents.to_vec();
        self.change(path, token, move |path| {
            let new = beside(path, "new");
            let written = write_new(&new, &contents, permissions).and_then(|()| fs::rename(&new, path));
            Ok(settle(path, &new, written).map_err(failed("write", path))?)
        })
        .await
    }

    async fn link(&self, path: &Path, to: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        let to = to.to_owned();
        self.change(path, token, move |path| {
            let new = beside(path, "new");
            let linked = symlink(&to, &new).and_then(|()| fs::rename(&new, path));
            Ok(settle(path, &new, linked).map_err(failed("make the link", path))?)
        })
        .await
    }

    async fn rename(&self, from: &Path, to: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        require_absolute(to)?;
        let to = to.to_owned();
        self.change(from, token, move |from| Ok(rename(from, &to)?)).await
    }

    async fn remove(&self, path: &Path, token: Option<FencingToken>) -> Result<(), Failure> {
        self.change(path, token, |path| {
            remove_tree(path)?;
            // Where the folder is gone as well there is nothing to make durable.
            Ok(absent(sync_folder(path)).map(|_| ()).map_err(failed("make durable", path))?)
        })
        .await
    }

    async fn put_tree(
        &self,
        path: &Path,
        source: Arc<dyn Source>,
        tree: &SourceRef,
        token: Option<FencingToken>,
    ) -> Result<TreeDigest, Failure> {
        let partial = beside(path, "partial");
        self.change(path, token, {
            let partial = partial.clone();
            move |path| {
                require_free(path)?;
                remove_partials(path)?;
                fs::create_dir_all(&partial).map_err(failed("make the directory", &partial))?;
                Ok(())
            }
        })
        .await?;
        // Writing beside harms nobody, so the fence is not held: it is passed again for the rename.
        let exported = match source.export(tree, &partial).await {
            Ok(()) => self.look(&partial, |partial| Ok((tree_digest(partial)?, sync_tree(partial)?).0)).await,
            Err(failure) => Err(failure),
        };
        let digest = match exported {
            Ok(digest) => digest,
            Err(failure) => {
                // What stays is found by its name at the next attempt.
                let _ = self.change(&partial, token, |partial| Ok(remove_tree(partial)?)).await;
                return Err(failure);
            }
        };
        let to = path.to_owned();
        self.change(&partial, token, move |partial| Ok(rename(partial, &to)?)).await?;
        Ok(digest)
    }
}

/// `None` where nothing lies, also where what is above is no directory.
fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn stat(path: &Path) -> io::Result<FileStat> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = match metadata.file_type() {
        kind if kind.is_symlink() => FileKind::Symlink(fs::read_link(path)?),
        kind if kind.is_dir() => FileKind::Directory,
        kind if kind.is_file() => FileKind::File,
        _ => FileKind::Other,
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let size = if metadata.is_file() { metadata.len() } else { 0 };
    Ok(FileStat { name, kind, size, mode: metadata.permissions().mode() & 0o7777 })
}

fn write_new(path: &Path, contents: &[u8], permissions: Permissions) -> io::Result<()> {
    let mode = match permissions {
        Permissions::Public => 0o644,
        Permissions::Executable => 0o755,
        Permissions::Private => 0o600,
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The umask may have taken bits away.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(contents)?;
    file.sync_all()
}

/// Writes a record of this machine's own processes in one step. Without a flush: it tells of processes, and those do not
/// outlive a power cut either.
pub(crate) fn replace_file(path: &Path, contents: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.new-{}", std::process::id()));
    let written = fs::write(&new, contents).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

/// Makes a rename durable, or removes what was written beside.
fn settle(path: &Path, new: &Path, done: io::Result<()>) -> io::Result<()> {
    if done.is_err() {
        // The error that matters is the one that stopped it.
        let _ = fs::remove_file(new);
    }
    done?;
    sync_folder(path)
}

fn require_free(path: &Path) -> Result<(), FilesError> {
    match absent(fs::symlink_metadata(path)).map_err(failed("look at", path))? {
        Some(_) => Err(FilesError::Occupied(path.to_owned())),
        None => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), FilesError> {
    let there = absent(fs::symlink_metadata(to)).map_err(failed("look at", to))?;
    if there.is_some_and(|metadata| metadata.is_dir()) {
        return Err(FilesError::Occupied(to.to_owned()));
    }
    fs::rename(from, to).map_err(failed("rename", from))?;
    sync_folder(to).and_then(|()| sync_folder(from)).map_err(failed("make durable", to))
}

/// What an interrupted [`Files::put_tree`] to the same place left.
fn remove_partials(path: &Path) -> Result<(), Failure> {
    let Some((folder, name)) = path.parent().zip(path.file_name()) else { return Ok(()) };
    let prefix = format!("{}.partial-", name.to_string_lossy());
    let Some(entries) = absent(fs::read_dir(folder)).map_err(failed("list", folder))? else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
        remove_tree(&entry.path())?;
    }
    Ok(())
}

/// One flush of the whole file system instead of one a file: a tree has thousands.
fn sync_tree(path: &Path) -> Result<(), FilesError> {
    let folder = File::open(path).map_err(failed("open", path))?;
    rustix::fs::syncfs(&folder).map_err(|error| failed("make durable", path)(error.into()))
}
