//! One tree, flattened: every path in index order, and the index's `TREE` extension.

use std::collections::BTreeSet;

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice as _};
use gix::objs::tree::EntryKind;

use crate::checkout::convert::Attributes;
use crate::error::{Cause, Error, Result};

/// All files of one tree.
#[derive(Debug)]
pub(crate) struct Listing {
    /// All paths, one after the other.
    paths: Vec<u8>,
    /// How many bytes of each path are above the directory that is written: `services/a/` of an export of one service.
    base: usize,
    pub(crate) entries: Vec<Entry>,
    /// The content of the `TREE` extension.
    pub(crate) cache_tree: Vec<u8>,
    pub(crate) attributes: Attributes,
}

/// One file of a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    start: u32,
    end: u32,
    pub(crate) kind: EntryKind,
    pub(crate) id: ObjectId,
}

impl Listing {
    /// Reads `tree` and refuses names that git would refuse to check out (`..`, `.git`, and what NTFS and HFS+ take
    /// for those), and a name that is both file and directory.
    pub(crate) fn new(local: &gix::Repository, tree: ObjectId) -> Result<Self> {
        Self::below(local, tree, &[])
    }

    /// The files below a directory of `tree`, with the attributes that hold there.
    pub(crate) fn below(local: &gix::Repository, tree: ObjectId, directory: &[&[u8]]) -> Result<Self> {
        let options = local
            .checkout_options(gix::worktree::stack::state::attributes::Source::IdMapping)
            .map_err(Error::failed("read the configuration"))?;
        let mut walk = Walk {
            local,
            validate: options.validate,
            listing: Self {
                paths: Vec::new(),
                base: 0,
                entries: Vec::new(),
                cache_tree: Vec::new(),
                attributes: Attributes::new(local, Vec::new()),
            },
            attribute_files: Vec::new(),
            path: Vec::new(),
        };
        let mut tree = tree;
        for part in directory {
            tree = walk.descend(tree, part)?;
        }
        walk.listing.base = walk.path.len();
        walk.listing.cache_tree = walk.directory(tree, b"")?.0;
        let Walk { mut listing, attribute_files, .. } = walk;
        listing.attributes = Attributes::new(local, attribute_files);
        Ok(listing)
    }

    pub(crate) fn path(&self, entry: usize) -> &BStr {
        let Entry { start, end, .. } = self.entries[entry];
        self.paths[start as usize..end as usize].as_bstr()
    }

    /// Where the file goes, below the directory that is written.
    pub(crate) fn place(&self, entry: usize) -> &BStr {
        self.path(entry)[self.base..].as_bstr()
    }

    /// The entry at this path.
    pub(crate) fn find(&self, path: &[u8]) -> Option<usize> {
        self.entries.binary_search_by(|entry| self.paths[entry.start as usize..entry.end as usize].cmp(path)).ok()
    }
}

/// What a subtree is sorted by, and its part of the `TREE` extension.
type Subtree = ((usize, Vec<u8>), Vec<u8>);

struct Walk<'a> {
    local: &'a gix::Repository,
    validate: gix::validate::path::component::Options,
    listing: Listing,
    attribute_files: Vec<(Vec<u8>, ObjectId)>,
    path: Vec<u8>,
}

impl Walk<'_> {
    /// Goes into one directory, taking its `.gitattributes` along.
    fn descend(&mut self, tree: ObjectId, name: &[u8]) -> Result<ObjectId> {
        let failed = || Error::reading(self.local, format!("read tree {tree}"));
        let object = self.local.find_tree(tree).map_err(failed())?;
        let mut found = None;
        let mut is_there = false;
        for entry in object.iter() {
            let entry = entry.map_err(failed())?;
            if entry.filename() == ".gitattributes" && entry.mode().is_blob() {
                self.attribute_files.push(([&self.path, b".gitattributes".as_slice()].concat(), entry.object_id()));
            }
            if entry.filename() == name.as_bstr() {
                is_there = true;
                found = entry.mode().is_tree().then(|| entry.object_id());
            }
        }
        self.path.extend_from_slice(name);
        let missing = || {
            let refused = if is_there { Error::NotADirectory } else { Error::NoPath };
            refused(self.path.to_path_lossy().into_owned(), tree.to_hex_with_len(8).to_string())
        };
        let found = found.ok_or_else(missing)?;
        self.path.push(b'/');
        Ok(found)
    }

    /// Adds all files below `tree`; gives its part of the `TREE` extension and how many entries it covers.
    fn directory(&mut self, tree: ObjectId, name: &[u8]) -> Result<(Vec<u8>, usize)> {
        let failed = || Error::reading(self.local, format!("read tree {tree}"));
        let object = self.local.find_tree(tree).map_err(failed())?;
        let before = self.listing.entries.len();
        // Git keeps subtrees by length of name, then by name.
        let mut subtrees: Vec<Subtree> = Vec::new();
        let mut names = BTreeSet::new();
        for entry in object.iter() {
            let entry = entry.map_err(failed())?;
            let file = entry.filename();
            self.check(file, entry.mode().kind())?;
            if !names.insert(file.to_owned()) {
                return Err(self.refused(file, "the tree has this name twice"));
            }
            let length = self.path.len();
            self.path.extend_from_slice(file);
            if entry.mode().is_tree() {
                self.path.push(b'/');
                let (part, _) = self.directory(entry.object_id(), file)?;
                subtrees.push(((file.len(), file.to_vec()), part));
            } else {
                self.file(entry.mode().kind(), entry.object_id());
                if file == ".gitattributes" && entry.mode().is_blob() {
                    self.attribute_files.push((self.path.clone(), entry.object_id()));
                }
            }
            self.path.truncate(length);
        }
        let count = self.listing.entries.len() - before;
        subtrees.sort();
        let mut part = name.to_vec();
        part.push(0);
        part.extend_from_slice(format!("{count} {}\n", subtrees.len()).as_bytes());
        part.extend_from_slice(tree.as_bytes());
        for (_, subtree) in subtrees {
            part.extend_from_slice(&subtree);
        }
        Ok((part, count))
    }

    fn file(&mut self, kind: EntryKind, id: ObjectId) {
        let start = self.listing.paths.len();
        self.listing.paths.extend_from_slice(&self.path);
        let end = self.listing.paths.len();
        // Paths of one tree stay far below four gigabytes; an overflow would be caught by the slice below.
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.listing.entries.push(Entry { start: narrow(start), end: narrow(end), kind, id });
    }

    fn check(&self, name: &BStr, kind: EntryKind) -> Result<()> {
        let mode = (kind == EntryKind::Link).then_some(gix::validate::path::component::Mode::Symlink);
        gix::validate::path::component(name, mode, self.validate)
            .map(|_| ())
            .map_err(|error| self.refused(name, &error.to_string()))
    }

    fn refused(&self, name: &BStr, why: &str) -> Error {
        let path = [self.path.as_slice(), name].concat();
        Error::Failed(format!("check out `{}`", path.as_bstr()), Cause::new(why))
    }
}
