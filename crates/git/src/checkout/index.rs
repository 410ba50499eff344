//! The index of a fresh worktree, version 2, with the `TREE` extension.
//!
//! `gix` writes no `TREE` extension; without it the first `git status` takes twice as long. Format: git's
//! `Documentation/gitformat-index.adoc`.

use gix::objs::tree::EntryKind;

use crate::checkout::listing::Listing;
use crate::checkout::write::Stamp;
use crate::error::{Cause, Error, Result};

/// The bytes of an index file. `stamps` are in the order of the listing's entries.
pub(crate) fn serialise(listing: &Listing, stamps: &[Stamp], hash: gix::hash::Kind) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(listing.entries.len() * 112 + listing.cache_tree.len() + 64);
    out.extend_from_slice(b"DIRC");
    out.extend_from_slice(&2_u32.to_be_bytes());
    out.extend_from_slice(&narrow(listing.entries.len()).to_be_bytes());
    for (at, entry) in listing.entries.iter().enumerate() {
        let start = out.len();
        let stamp = stamps.get(at).copied().unwrap_or_default();
        for word in [
            stamp.changed.0,
            stamp.changed.1,
            stamp.modified.0,
            stamp.modified.1,
            stamp.device,
            stamp.inode,
            mode(entry.kind),
            stamp.user,
            stamp.group,
            stamp.size,
        ] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(entry.id.as_bytes());
        let path = listing.path(at);
        let length = u16::try_from(path.len()).unwrap_or(u16::MAX).min(0xFFF);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(path);
        // One to eight zeros, so that each entry starts at a multiple of eight.
        let padding = 8 - (out.len() - start) % 8;
        out.resize(out.len() + padding, 0);
    }
    out.extend_from_slice(b"TREE");
    out.extend_from_slice(&narrow(listing.cache_tree.len()).to_be_bytes());
    out.extend_from_slice(&listing.cache_tree);
    let mut hasher = gix::hash::hasher(hash);
    hasher.update(&out);
    let digest = hasher
        .try_finalize()
        .map_err(|error| Error::Failed("checksum an index".into(), Cause::new(error.to_string())))?;
    out.extend_from_slice(digest.as_bytes());
    Ok(out)
}

fn mode(kind: EntryKind) -> u32 {
    match kind {
        EntryKind::BlobExecutable => 0o100_755,
        EntryKind::Link => 0o120_000,
        EntryKind::Commit => 0o160_000,
        EntryKind::Blob | EntryKind::Tree => 0o100_644,
    }
}

fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
