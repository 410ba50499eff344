//! Trees that are built on this machine, for targets that get them whole.
//!
//! A built tree is named by the SHA-256 of all that it is made from, so targets of one environment have one between them, and
//! a deployment that was killed finds it again. It is made beside and renamed: what has the name is whole. Whoever wants one
//! that is being made waits for that.
//!
//! ```text
//! DIGEST           a whole tree
//! DIGEST.lock      held while it is made, or removed
//! DIGEST.making.*  one that is being made, or that was when its maker was killed
//! ```
//!
//! Its digest stands where a commit's id does, so what is sent of the next one is what differs from the last.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pleach_core::error::{Failure, Kind, quote_path};
use pleach_core::phase::StepContext;
use pleach_core::port::{Command, EntryMode, FileDigest, Secrets, Shell as _, Source, SourceEntry, SourceRef};
use pleach_core::word::CommitId;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::instance::told_status;
use super::release::ReleaseSpec;
use super::site::fetched;
use crate::local::{Fence, LocalShell, collect, file_digest, hex};

/// Trees that are kept for later deployments.
const KEPT: usize = 8;

/// How often one that waits for another looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

type Contents = Arc<(Vec<SourceEntry>, Arc<[FileDigest]>)>;

/// The folder of built trees.
pub(super) struct BuiltTrees {
    root: PathBuf,
    /// Lists of those that were asked for, by digest: one tree goes to many targets.
    read: Mutex<BTreeMap<String, Contents>>,
}

/// A tree that is there whole.
pub(super) struct BuiltTree {
    /// How [`BuiltTrees`] as a source knows it.
    pub(super) tree: SourceRef,
    /// What was seen of its build, or that it was there.
    pub(super) seen: String,
}

impl BuiltTrees {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, read: Mutex::default() }
    }

    fn name(spec: &ReleaseSpec) -> Result<CommitId, Failure> {
        let made_from = json!({
            "commit": spec.commit, "path": spec.path, "build": spec.build, "variables": spec.variables,
            "service": spec.service, "environment": spec.environment,
        });
        // The keys of a JSON object are sorted here.
        let digest = hex(&Sha256::digest(made_from.to_string()));
        CommitId::new(digest).map_err(|error| Failure::new(Kind::Internal, error.to_string()))
    }

    /// The tree of a service, if it is there.
    pub(super) fn find(&self, spec: &ReleaseSpec) -> Result<Option<SourceRef>, Failure> {
        let commit = Self::name(spec)?;
        let there = self.root.join(commit.as_str()).is_dir();
        Ok(there.then(|| SourceRef { commit, path: PathBuf::new() }))
    }

    /// The tree of a service, built if it is not there.
    pub(super) async fn ensure(
        &self,
        cx: &StepContext<'_>,
        spec: &ReleaseSpec,
        source: &dyn Source,
        secrets: &dyn Secrets,
    ) -> Result<BuiltTree, Failure> {
        let name = Self::name(spec)?;
        let place = self.root.join(name.as_str());
        let failed = |error: io::Error| refused(&place, &error);
        fs::create_dir_all(&self.root).map_err(failed)?;
        let lock = File::create(self.lock(name.as_str())).map_err(failed)?;
        while let Err(error) = lock.try_lock() {
            match error {
                fs::TryLockError::WouldBlock if cx.cancel.is_cancelled() => {
                    return Err(Failure::new(Kind::Cancelled, "waiting for another build of the same was ended"));
                }
                fs::TryLockError::WouldBlock => sleep(LOOK_AGAIN).await,
                fs::TryLockError::Error(error) => return Err(failed(error)),
            }
        }
        let tree = SourceRef { commit: name.clone(), path: PathBuf::new() };
        if place.is_dir() {
            return Ok(BuiltTree { tree, seen: "it was built before".to_owned() });
        }
        self.clear(name.as_str()).map_err(failed)?;
        let making = tempfile::Builder::new().prefix(&format!("{name}.making.")).tempdir_in(&self.root);
        let making = making.map_err(failed)?;
        // Others read releases; only what the build itself hides stays hidden.
        fs::set_permissions(making.path(), fs::Permissions::from_mode(0o755)).map_err(failed)?;
        source.export(&SourceRef { commit: spec.commit.clone(), path: spec.path.clone() }, making.path()).await?;
        let seen = self.build(cx, spec, making.path(), secrets).await?;
        fs::rename(making.keep(), &place).map_err(failed)?;
        // What is left too long is only room.
        let _ = self.prune();
        Ok(BuiltTree { tree, seen })
    }

    fn lock(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.lock"))
    }

    async fn build(
        &self,
        cx: &StepContext<'_>,
        spec: &ReleaseSpec,
        place: &Path,
        secrets: &dyn Secrets,
    ) -> Result<String, Failure> {
        let Some(line) = &spec.build else {
            return Err(Failure::new(Kind::Internal, format!("service `{}` has nothing to build", spec.service)));
        };
        // It changes no target, so no lease has to let it through.
        let mut command = Command::read(line.argv()).alone().directory(place);
        command = command.variable("PLEACH_SERVICE", spec.service.as_str());
        command = command.variable("PLEACH_COMMIT", spec.commit.as_str());
        command = command.variable("PLEACH_ENVIRONMENT", spec.environment.as_str());
        command.environment.extend(fetched(&spec.variables, secrets).await?);
        let shell = LocalShell::new(Fence::new(&self.root));
        let output = shell.run(&command, cx.call()).await?;
        if output.succeeded() {
            return Ok(format!("`{line}` exited with 0"));
        }
        Err(Failure::new(Kind::Rejected, format!("could not run the `build` command `{line}` here"))
            .because(format!("it {}", told_status(output.status)))
            .state("nothing was sent")
            .next(format!("read all that it said: `pleach logs {}`", spec.service))
            .output(output.last_lines()))
    }

    /// Removes what killed builds of this tree left.
    fn clear(&self, name: &str) -> io::Result<()> {
        let prefix = format!("{name}.making.");
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes all but the newest trees, unless somebody is at them.
    fn prune(&self) -> io::Result<()> {
        let mut trees = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if CommitId::new(&name).is_ok() {
                trees.push((entry.metadata()?.modified()?, name));
            }
        }
        trees.sort();
        let surplus = trees.len().saturating_sub(KEPT);
        for (_, name) in trees.drain(..surplus) {
            let lock = File::create(self.lock(&name))?;
            if lock.try_lock().is_ok() {
                let gone = self.root.join(format!("{name}.making.old"));
                fs::rename(self.root.join(&name), &gone)?;
                fs::remove_dir_all(&gone)?;
            }
        }
        Ok(())
    }

    /// What a tree holds; read once, however many targets ask.
    async fn contents(&self, tree: &SourceRef) -> Result<Contents, Failure> {
        let name = tree.commit.as_str();
        let mut read = self.read.lock().await;
        if let Some(known) = read.get(name) {
            return Ok(known.clone());
        }
        let place = self.root.join(name);
        let read_tree = spawn_blocking(move || read_tree(&place)).await;
        let mut files = read_tree.map_err(|error| Failure::new(Kind::Internal, error.to_string()))??;
        files.sort_by(|(a, _), (b, _)| a.path.as_os_str().as_bytes().cmp(b.path.as_os_str().as_bytes()));
        let (entries, digests): (Vec<SourceEntry>, Vec<FileDigest>) = files.into_iter().unzip();
        let contents: Contents = Arc::new((entries, digests.into()));
        read.retain(|name, _| self.root.join(name).is_dir());
        read.insert(name.to_owned(), contents.clone());
        Ok(contents)
    }
}

/// All files below a folder. What is neither a file, a folder nor a link cannot be sent.
fn read_tree(root: &Path) -> Result<Vec<(SourceEntry, FileDigest)>, Failure> {
    let read = |(path, metadata): (PathBuf, fs::Metadata)| {
        let place = root.join(&path);
        let (mode, digest) = if metadata.is_symlink() {
            (EntryMode::Symlink, content(&place).map(|content| FileDigest::of(&content)))
        } else {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            (if executable { EntryMode::Executable } else { EntryMode::File }, digest(&place, &metadata))
        };
        let digest = digest.map_err(|error| refused(root, &error))?;
        Ok((SourceEntry { path, mode, id: digest.sha256.clone() }, digest))
    };
    let mut entries = Vec::new();
    collect(root, Path::new(""), &mut entries)?;
    entries.into_iter().map(read).collect()
}

fn digest(place: &Path, metadata: &fs::Metadata) -> io::Result<FileDigest> {
    require_file(place, metadata)?;
    let (sha256, bytes) = file_digest(place)?;
    Ok(FileDigest { sha256, bytes })
}

fn require_file(path: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    let no_file = || io::Error::other(format!("`{}` is neither a file nor a link", path.display()));
    if metadata.is_file() { Ok(()) } else { Err(no_file()) }
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(fs::read_link(path)?.into_os_string().into_encoded_bytes());
    }
    require_file(path, &metadata)?;
    fs::read(path)
}

fn refused(place: &Path, error: &io::Error) -> Failure {
    Failure::new(Kind::Rejected, format!("could not keep the tree that is built in `{}`", place.display()))
        .because(error.to_string())
        .state("nothing was sent")
        .next(format!("see whether there is room: `df -h {}`", quote_path(place.parent().unwrap_or(place))))
}

#[async_trait]
impl Source for BuiltTrees {
    async fn list(&self, tree: &SourceRef) -> Result<Vec<SourceEntry>, Failure> {
        Ok(self.contents(tree).await?.0.clone())
    }

    async fn read(&self, tree: &SourceRef, entry: &SourceEntry) -> Result<Vec<u8>, Failure> {
        let place = self.root.join(tree.commit.as_str()).join(&entry.path);
        content(&place).map_err(|error| refused(&place, &error))
    }

    async fn digests(&self, tree: &SourceRef) -> Result<Arc<[FileDigest]>, Failure> {
        Ok(self.contents(tree).await?.1.clone())
    }

    async fn export(&self, tree: &SourceRef, destination: &Path) -> Result<(), Failure> {
        let place = self.root.join(tree.commit.as_str());
        let contents = self.contents(tree).await?;
        let export = || -> io::Result<()> {
            for entry in &contents.0 {
                let (from, to) = (place.join(&entry.path), destination.join(&entry.path));
                if let Some(folder) = to.parent() {
                    fs::create_dir_all(folder)?;
                }
                if entry.mode == EntryMode::Symlink {
                    std::os::unix::fs::symlink(fs::read_link(&from)?, &to)?;
                } else {
                    fs::copy(&from, &to)?;
                }
            }
            Ok(())
        };
        export().map_err(|error| refused(destination, &error))
    }
}
