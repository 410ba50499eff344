//! Reading the files of a commit without checking it out.
//!
//! [`TreeSource`] gives them as a check-out would write them: line ends, `ident`, encodings and filter drivers are
//! applied with the attributes of that very commit. [`Repository::read_file`] gives what git stores.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::bstr::ByteSlice as _;
use gix::objs::tree::EntryKind;
use pleach_core::word::CommitId;

use crate::checkout::convert::{Attributes, Converter};
use crate::error::{Error, Result, promisor};
use crate::repository::{Repository, object_id};

/// What a path of a commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A regular file.
    File,
    /// A regular file that can be executed.
    Executable,
    /// A symbolic link; its content is where it points.
    Symlink,
    /// Another repository at a fixed commit; its files are not here.
    Submodule,
}

/// One file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// Relative to the path that was asked for, with `/`; the bytes that git has.
    pub path: PathBuf,
    /// What it is.
    pub mode: Mode,
    /// The object id of its content, in hexadecimal.
    pub id: String,
}

impl Repository {
    /// All files below `path` of a commit, sorted by path; an empty `path` is all of it.
    pub fn tree(&self, commit: &CommitId, path: &Path) -> Result<Vec<TreeEntry>> {
        let local = self.local();
        let root = subtree(&local, commit, path)?;
        let mut entries = Vec::new();
        walk(&local, root, &mut Vec::new(), &mut |path, mode, id| {
            entries.push(TreeEntry {
                path: PathBuf::from(OsStr::from_bytes(path)),
                mode: match mode {
                    EntryKind::BlobExecutable => Mode::Executable,
                    EntryKind::Link => Mode::Symlink,
                    EntryKind::Commit => Mode::Submodule,
                    EntryKind::Blob | EntryKind::Tree => Mode::File,
                },
                id: id.to_string(),
            });
        })?;
        Ok(entries)
    }

    /// Refuses a path that is not a directory of the commit ([`Error::NoPath`], [`Error::NotADirectory`]), and one with
    /// files that a partial clone left out ([`Error::LeftOut`]).
    pub fn require_directory(&self, commit: &CommitId, path: &Path) -> Result<()> {
        let local = self.local();
        let tree = subtree(&local, commit, path)?;
        if let Some(remote) = promisor(&local) {
            let mut absent = None;
            walk(&local, tree, &mut Vec::new(), &mut |file, kind, id| {
                if absent.is_none() && kind != EntryKind::Commit && !local.has_object(id) {
                    absent = Some(path.join(OsStr::from_bytes(file)));
                }
            })?;
            if let Some(file) = absent {
                return Err(Error::left_out(format!("read `{}` of {}", file.display(), commit.short()), remote));
            }
        }
        Ok(())
    }

    /// The size of a file's content in bytes, as git stores it.
    pub fn size(&self, entry: &TreeEntry) -> Result<u64> {
        let local = self.local();
        let header =
            local.find_header(parse_id(&entry.id)?).map_err(Error::reading(&local, format!("read `{}`", entry.id)))?;
        Ok(header.size())
    }

    /// A file's content as git stores it, or nothing when the commit has no such file.
    pub fn read_file(&self, commit: &CommitId, path: &Path) -> Result<Option<Vec<u8>>> {
        let local = self.local();
        let failed = || Error::reading(&local, format!("read `{}` of {commit}", path.display()));
        let tree = local.find_commit(object_id(commit)?).and_then(|commit| commit.tree()).map_err(failed())?;
        let Some(entry) = tree.lookup_entry_by_path(path).map_err(failed())? else { return Ok(None) };
        if !entry.mode().is_blob_or_symlink() {
            return Ok(None);
        }
        let mut object = entry.object().map_err(failed())?;
        Ok(Some(std::mem::take(&mut object.data)))
    }

    /// The files of `path` of a commit as a check-out would write them.
    pub fn source(&self, commit: &CommitId, path: &Path) -> Result<TreeSource> {
        TreeSource::new(self.clone(), commit, path)
    }
}

/// The files of one path of one commit, converted as a check-out would. `Send` and `Sync`; each [`TreeReader`] has its own
/// view.
#[derive(Clone, Debug)]
pub struct TreeSource {
    repository: Repository,
    commit: CommitId,
    base: PathBuf,
    attributes: std::sync::Arc<Attributes>,
}

impl TreeSource {
    fn new(repository: Repository, commit: &CommitId, path: &Path) -> Result<Self> {
        let local = repository.local();
        let tree = local
            .find_commit(object_id(commit)?)
            .and_then(|commit| Ok(commit.tree_id()?.detach()))
            .map_err(Error::reading(&local, format!("read commit {commit}")))?;
        let mut files = Vec::new();
        walk(&local, tree, &mut Vec::new(), &mut |path, _, id| {
            if path.rsplit(|byte| *byte == b'/').next() == Some(b".gitattributes") {
                files.push((path.to_vec(), id));
            }
        })?;
        let attributes = std::sync::Arc::new(Attributes::new(&local, files));
        Ok(Self { repository, commit: commit.clone(), base: path.to_owned(), attributes })
    }

    /// All files, sorted by path; submodules are left out, since their files are elsewhere.
    pub fn list(&self) -> Result<Vec<TreeEntry>> {
        let entries = self.repository.tree(&self.commit, &self.base)?;
        Ok(entries.into_iter().filter(|entry| entry.mode != Mode::Submodule).collect())
    }

    /// One file's content as a check-out would write it; of a symbolic link, where it points.
    pub fn read(&self, entry: &TreeEntry) -> Result<Vec<u8>> {
        self.reader().read(entry)
    }

    /// Reads many files; one for each thread.
    pub fn reader(&self) -> TreeReader<'_> {
        TreeReader { source: self, local: self.repository.local(), converter: None }
    }
}

/// Reads the files of a [`TreeSource`] one after the other.
pub struct TreeReader<'a> {
    source: &'a TreeSource,
    local: gix::Repository,
    converter: Option<Converter>,
}

impl TreeReader<'_> {
    /// One file's content as a check-out would write it; of a symbolic link, where it points.
    pub fn read(&mut self, entry: &TreeEntry) -> Result<Vec<u8>> {
        let (source, local) = (self.source, &self.local);
        let failed = || Error::reading(local, format!("read `{}` of {}", entry.path.display(), source.commit));
        let mut object = local.find_object(parse_id(&entry.id)?).map_err(failed())?;
        let data = std::mem::take(&mut object.data);
        if entry.mode == Mode::Symlink || source.attributes.is_plain() {
            return Ok(data);
        }
        let path = crate::commit::slashed(&source.base.join(&entry.path));
        let converter = match &mut self.converter {
            Some(converter) => converter,
            none => none.insert(Converter::new(local, &source.attributes)?),
        };
        Ok(converter.convert(local, path.as_bstr(), &data)?.unwrap_or(data))
    }
}

pub(crate) fn parse_id(hex: &str) -> Result<ObjectId> {
    ObjectId::from_hex(hex.as_bytes())
        .map_err(|error| Error::Failed(format!("read the id `{hex}`"), crate::error::Cause::new(error.to_string())))
}

/// The tree at `path` of a commit; a path that is a file or absent is an error.
pub(crate) fn subtree(local: &gix::Repository, commit: &CommitId, path: &Path) -> Result<ObjectId> {
    let shown = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let failed = || Error::reading(local, format!("read `{}` of {commit}", shown.display()));
    let tree = local.find_commit(object_id(commit)?).and_then(|commit| commit.tree()).map_err(failed())?;
    if path.as_os_str().is_empty() || path == Path::new(".") {
        return Ok(tree.id);
    }
    match tree.lookup_entry_by_path(path).map_err(failed())? {
        Some(entry) if entry.mode().is_tree() => Ok(entry.object_id()),
        Some(_) => Err(Error::NotADirectory(path.to_owned(), commit.short().to_owned())),
        None => Err(Error::NoPath(path.to_owned(), commit.short().to_owned())),
    }
}

/// Calls `visit` for each file below `tree`, in the order of an index.
pub(crate) fn walk(
    local: &gix::Repository,
    tree: ObjectId,
    prefix: &mut Vec<u8>,
    visit: &mut dyn FnMut(&[u8], EntryKind, ObjectId),
) -> Result<()> {
    let object = local.find_tree(tree).map_err(Error::reading(local, format!("read tree {tree}")))?;
    for entry in object.iter() {
        let entry = entry.map_err(Error::failed(format!("read tree {tree}")))?;
        let length = prefix.len();
        prefix.extend_from_slice(entry.filename());
        if entry.mode().is_tree() {
            prefix.push(b'/');
            walk(local, entry.object_id(), prefix, visit)?;
        } else {
            visit(prefix, entry.mode().kind(), entry.object_id());
        }
        prefix.truncate(length);
    }
    Ok(())
}

/// The ids of all trees below and including `new` that `old` has not at the same place: those an edit wrote.
pub(crate) fn trees_between(local: &gix::Repository, old: ObjectId, new: ObjectId) -> Result<Vec<ObjectId>> {
    if old == new {
        return Ok(Vec::new());
    }
    let failed = || Error::failed("compare trees");
    let mut found = vec![new];
    let before = local.find_tree(old).map_err(failed())?;
    let after = local.find_tree(new).map_err(failed())?;
    for entry in after.iter() {
        let entry = entry.map_err(failed())?;
        if !entry.mode().is_tree() {
            continue;
        }
        let there = before.find_entry(entry.filename().to_owned()).filter(|there| there.mode().is_tree());
        let there = there.map_or_else(|| ObjectId::empty_tree(local.object_hash()), |there| there.object_id());
        found.extend(trees_between(local, there, entry.object_id())?);
    }
    Ok(found)
}
