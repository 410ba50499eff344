//! The objects that the other side lacks, as a pack.
//!
//! Every commit that is not reachable from what the other side advertised, and of each the trees and files that its
//! first parent does not have at the same place. Whole objects, version 2; format: git's `gitformat-pack.adoc`.

use std::collections::BTreeSet;
use std::io::{self, Write};

use gix::ObjectId;
use gix::objs::Kind;

use crate::error::{Cause, Error, Result};

/// The ids of all objects that `tips` bring beyond `known`.
pub(super) fn missing(local: &gix::Repository, tips: &[ObjectId], known: &[ObjectId]) -> Result<Vec<ObjectId>> {
    let failed = || Error::failed("collect the objects to push");
    let mut found = Found { seen: BTreeSet::new(), ids: Vec::new() };
    let mut commits = Vec::new();
    for tip in tips {
        let mut object = local.find_object(*tip).map_err(failed())?;
        while object.kind == Kind::Tag {
            found.add(object.id);
            let target = object.try_to_tag_ref().map_err(failed())?.target();
            object = local.find_object(target).map_err(failed())?;
        }
        commits.push(object.id);
    }
    // What was advertised may be unknown here; the walk hides only what is.
    let known: Vec<ObjectId> = known.iter().filter(|id| local.find_commit(**id).is_ok()).copied().collect();
    let walk = local.rev_walk(commits).with_hidden(known).all().map_err(failed())?;
    for info in walk {
        let commit = info.map_err(failed())?.object().map_err(failed())?;
        found.add(commit.id);
        let tree = commit.tree_id().map_err(failed())?.detach();
        let parent = match commit.parent_ids().next() {
            Some(parent) => {
                let parent = local.find_commit(parent.detach()).map_err(failed())?;
                Some(parent.tree_id().map_err(failed())?.detach())
            }
            None => None,
        };
        found.tree(local, tree, parent)?;
    }
    Ok(found.ids)
}

struct Found {
    seen: BTreeSet<ObjectId>,
    ids: Vec<ObjectId>,
}

impl Found {
    fn add(&mut self, id: ObjectId) -> bool {
        let new = self.seen.insert(id);
        if new {
            self.ids.push(id);
        }
        new
    }

    fn tree(&mut self, local: &gix::Repository, tree: ObjectId, before: Option<ObjectId>) -> Result<()> {
        if before == Some(tree) || !self.add(tree) {
            return Ok(());
        }
        let failed = || Error::failed(format!("read tree {tree}"));
        let before = before.map(|id| local.find_tree(id).map_err(failed())).transpose()?;
        let object = local.find_tree(tree).map_err(failed())?;
        for entry in object.iter() {
            let entry = entry.map_err(failed())?;
            let there = before.as_ref().and_then(|tree| tree.find_entry(entry.filename().to_owned()));
            let id = entry.object_id();
            if entry.mode().is_tree() {
                let there = there.filter(|there| there.mode().is_tree()).map(|there| there.object_id());
                self.tree(local, id, there)?;
            } else if !entry.mode().is_commit() && there.is_none_or(|there| there.object_id() != id) {
                self.add(id);
            }
        }
        Ok(())
    }
}

/// Writes the pack.
pub(super) fn write(local: &gix::Repository, ids: &[ObjectId], out: &mut dyn Write) -> Result<()> {
    let failed = |error: io::Error| Error::Failed("send a pack".into(), error.into());
    let mut out = Checked { out, hasher: gix::hash::hasher(local.object_hash()) };
    let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let mut header = b"PACK\0\0\0\x02".to_vec();
    header.extend_from_slice(&count.to_be_bytes());
    out.write_all(&header).map_err(failed)?;
    for id in ids {
        let object = local.find_object(*id).map_err(Error::failed(format!("read object {id}")))?;
        out.write_all(&entry_header(object.kind, object.data.len())).map_err(failed)?;
        let mut deflate = gix::zlib::stream::deflate::Write::new(&mut out, gix::zlib::Compression::DEFAULT);
        deflate.write_all(&object.data).and_then(|()| deflate.flush()).map_err(failed)?;
    }
    let Checked { out, hasher } = out;
    let digest =
        hasher.try_finalize().map_err(|error| Error::Failed("send a pack".into(), Cause::new(error.to_string())))?;
    out.write_all(digest.as_bytes()).map_err(failed)
}

/// Type and size: three bits and four bits, then seven bits a byte, lowest first.
fn entry_header(kind: Kind, size: usize) -> Vec<u8> {
    let kind: u8 = match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let mut rest = size >> 4;
    let low = |bits: usize, mask: usize| u8::try_from(bits & mask).unwrap_or_default();
    let mut header = vec![kind << 4 | low(size, 0x0F)];
    while rest > 0 {
        if let Some(last) = header.last_mut() {
            *last |= 0x80;
        }
        header.push(low(rest, 0x7F));
        rest >>= 7;
    }
    header
}

/// Hashes what passes.
struct Checked<'a> {
    out: &'a mut dyn Write,
    hasher: gix::hash::Hasher,
}

impl Write for Checked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_seven_bits_at_a_time() {
        assert_eq!(entry_header(Kind::Blob, 0), [0x30]);
        assert_eq!(entry_header(Kind::Commit, 15), [0x1F]);
        assert_eq!(entry_header(Kind::Tree, 16), [0xA0, 0x01]);
        assert_eq!(entry_header(Kind::Blob, 0x1234), [0xB4, 0xA3, 0x02]);
    }
}
