//! What `find`, `stat`, `readlink` and `sha256sum` print of trees and directories, read back. Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use pleach_core::port::{EntryMode, FileDigest, FileKind, FileStat, HeldFile, TreeDigest};
use sha2::{Digest, Sha256};

use crate::local::{digest_of, hex};

/// Prints what lies in `.`: names, each ended by NUL, and an empty one; a line of mode and size each; where links point,
/// each ended by NUL. `find` may call it more than once.
pub(super) const LIST_BATCH: &str = "printf '%s\\0' \"$@\"; printf '\\0'; stat -c '%f %s' -- \"$@\" || exit 1; \
    for f; do if [ -L \"$f\" ]; then readlink -n -- \"$f\"; printf '\\0'; fi; done";

/// Finds what hashes fastest: where OpenSSL is there it is several times as fast as `sha256sum`.
pub(super) const HASH: &str = "__sum=sha256sum; if openssl dgst -sha256 -r </dev/null >/dev/null 2>&1; \
    then __sum='openssl dgst -sha256 -r'; fi; export __sum;";

/// Prints digests and names of regular files. How a line end in a name is escaped differs from host to host.
const SUM_BATCH: &str = "exec $__sum \"$@\"";

/// Prints of regular files: names, each ended by NUL, and an empty one; a line of mode and size each; a line that begins
/// with the digest each.
const DIGEST_BATCH: &str = "printf '%s\\0' \"$@\"; printf '\\0'; stat -c '%f %s' -- \"$@\" || exit 1; \
    case \"$*\" in *[[:cntrl:]]*) for f; do $__sum <\"$f\" || exit 1; done; exit;; esac; exec $__sum \"$@\"";

/// Prints links and where they point.
const LINK_BATCH: &str = "for f; do printf '%s\\0' \"$f\"; readlink -n -- \"$f\" || exit 1; printf '\\0'; done";

/// Prints those of the names that are regular files, each ended by NUL; none behind a link to a directory, which leads to
/// what a service keeps for itself, however large that is.
const PLAIN_BATCH: &str = "k=; w=; for f; do d=${f%/*}; \
    if [ \"$d\" != \"$k\" ]; then k=$d; w=; while [ \"$d\" != . ]; do if [ -L \"$d\" ]; then w=1; fi; d=${d%/*}; done; fi; \
    if [ -z \"$w\" ] && [ -f \"$f\" ] && ! [ -L \"$f\" ]; then printf '%s\\0' \"$f\"; fi; done";

/// Prints what [`read_tree`] reads, of what lies in `.`. Needs [`HASH`].
const DIGEST_TREE: &str = "find . -type f -exec sh -c \"$__files\" sh {} + || exit 1; printf '\\0'; \
    find . -type l -exec sh -c \"$__links\" sh {} + || exit 1; printf '\\0'; \
    find . ! -type f ! -type l ! -type d -print0";

/// Prints the [`seal`] of what lies in `.`. Needs [`HASH`].
const SEAL: &str = "{ find . -type f -exec sh -c \"$__sums\" sh {} + | \
    sed 's/^\\(.\\{64\\}\\) [ *]/\\1 /' | sort; printf '\\0'; \
    find . -type f -perm -100 -print0 | sort -z; printf '\\0'; \
    find . -type l -print0 | sort -z | xargs -0 -r sh -c \"$__links\" sh; printf '\\0'; \
    find . ! -type f ! -type l ! -type d -print0 | sort -z; } | $__sum";

/// All of these, by the names that scripts have for them.
pub(super) const BATCHES: [(&str, &[u8]); 6] = [
    ("__files", DIGEST_BATCH.as_bytes()),
    ("__links", LINK_BATCH.as_bytes()),
    ("__plain", PLAIN_BATCH.as_bytes()),
    ("__seal", SEAL.as_bytes()),
    ("__sums", SUM_BATCH.as_bytes()),
    ("__tree", DIGEST_TREE.as_bytes()),
];

/// Takes the answer apart; `None` where it makes no sense.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        let at = self.0.iter().position(|byte| *byte == end)?;
        let (taken, rest) = (&self.0[..at], &self.0[at + 1..]);
        self.0 = rest;
        Some(taken)
    }

    fn stat(&mut self) -> Option<(u32, u64)> {
        stat_line(self.until(b'\n')?)
    }
}

fn stat_line(line: &[u8]) -> Option<(u32, u64)> {
    let (mode, size) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    Some((u32::from_str_radix(mode, 16).ok()?, size.parse().ok()?))
}

/// What one name is, from its raw mode; where a link points is not known yet.
pub(super) fn file_stat(name: String, mode: u32, size: u64) -> FileStat {
    let kind = match mode & 0o170_000 {
        0o040_000 => FileKind::Directory,
        0o100_000 => FileKind::File,
        0o120_000 => FileKind::Symlink(PathBuf::new()),
        _ => FileKind::Other,
    };
    let size = if kind == FileKind::File { size } else { 0 };
    FileStat { name, kind, size, mode: mode & 0o7777 }
}

fn path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

/// One name: mode and size, then where it points if it is a link.
pub(super) fn read_stat(name: String, answer: &[u8]) -> Option<FileStat> {
    let mut reader = Reader(answer);
    let (mode, size) = reader.stat()?;
    let mut stat = file_stat(name, mode, size);
    if let FileKind::Symlink(to) = &mut stat.kind {
        *to = path(reader.0);
    }
    Some(stat)
}

/// What [`LIST_BATCH`] printed, sorted by name.
pub(super) fn read_list(answer: &[u8]) -> Option<Vec<FileStat>> {
    let mut reader = Reader(answer);
    let mut found = Vec::new();
    while !reader.0.is_empty() {
        let mut names = Vec::new();
        loop {
            match reader.until(0)? {
                b"" => break,
                name => names.push(name.strip_prefix(b"./").unwrap_or(name)),
            }
        }
        let batch = found.len();
        for name in names {
            let (mode, size) = reader.stat()?;
            found.push(file_stat(String::from_utf8_lossy(name).into_owned(), mode, size));
        }
        for stat in &mut found[batch..] {
            if let FileKind::Symlink(to) = &mut stat.kind {
                *to = path(reader.until(0)?);
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Some(found)
}

/// One entry of a tree as its digest sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TreeEntry {
    /// Whether it can be executed, its SHA-256 in hexadecimal, its length.
    File { executable: bool, sha256: String, size: u64 },
    /// Where it points.
    Link(Vec<u8>),
    /// A socket, pipe or device.
    Other,
}

/// A tree by the bytes of its paths.
pub(super) type Tree = BTreeMap<Vec<u8>, TreeEntry>;

/// The digest as [`tree_digest`](crate::local::tree_digest) makes it of a tree on this machine.
pub(super) fn digest(tree: &Tree) -> TreeDigest {
    digest_of(&held_files(tree))
}

/// What each file of a tree holds, sorted by the bytes of their paths.
pub(super) fn held_files(tree: &Tree) -> Vec<HeldFile> {
    let held = |(name, entry): (&Vec<u8>, &TreeEntry)| {
        let (mode, digest) = match entry {
            TreeEntry::File { executable, sha256, size } => {
                let mode = if *executable { EntryMode::Executable } else { EntryMode::File };
                (Some(mode), FileDigest { sha256: sha256.clone(), bytes: *size })
            }
            TreeEntry::Link(to) => (Some(EntryMode::Symlink), FileDigest::of(to)),
            TreeEntry::Other => (None, FileDigest::of(b"")),
        };
        HeldFile { path: path(name), mode, digest }
    };
    tree.iter().map(held).collect()
}

/// The digest that a line begins with; `sha256sum` writes a backslash in front where it escaped the name.
fn digest_line(line: &[u8]) -> Option<String> {
    let sha256 = line.strip_prefix(b"\\").unwrap_or(line).get(..64)?;
    std::str::from_utf8(sha256).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit())).map(str::to_owned)
}

/// Regular files as `DIGEST_BATCH` prints them, a NUL, links as `LINK_BATCH` does, a NUL, names of all others, each ended by NUL.
pub(super) fn read_tree(answer: &[u8]) -> Option<Tree> {
    let mut tree = Tree::new();
    let mut reader = Reader(answer);
    loop {
        let mut names = Vec::new();
        loop {
            match reader.until(0)? {
                b"" => break,
                name => names.push(name.strip_prefix(b"./").unwrap_or(name)),
            }
        }
        if names.is_empty() {
            break;
        }
        let modes = names.iter().map(|_| reader.stat()).collect::<Option<Vec<_>>>()?;
        for (name, (mode, size)) in names.into_iter().zip(modes) {
            let sha256 = digest_line(reader.until(b'\n')?)?;
            tree.insert(name.to_vec(), TreeEntry::File { executable: mode & 0o100 != 0, sha256, size });
        }
    }
    loop {
        let name = reader.until(0)?;
        if name.is_empty() {
            break;
        }
        let to = reader.until(0)?;
        tree.insert(name.strip_prefix(b"./").unwrap_or(name).to_vec(), TreeEntry::Link(to.to_vec()));
    }
    while !reader.0.is_empty() {
        let name = reader.until(0)?;
        tree.insert(name.strip_prefix(b"./").unwrap_or(name).to_vec(), TreeEntry::Other);
    }
    Some(tree)
}

/// One digest over all of a tree, as [`SEAL`] makes it on the host: over the lines of all digests, the names of what can be
/// executed, links with where they point, and the names of all others.
pub(super) fn seal(tree: &Tree) -> String {
    let (mut sums, mut rest) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    for (name, entry) in tree {
        let name = [b"./", name.as_slice()].concat();
        let dotted = [name.as_slice(), &[0]].concat();
        match entry {
            TreeEntry::File { executable, sha256, .. } => {
                sums.push([sha256.as_bytes(), b" ", &name, b"\n"].concat());
                if *executable {
                    rest[0].extend(dotted);
                }
            }
            TreeEntry::Link(to) => rest[1].extend([dotted.as_slice(), to, &[0]].concat()),
            TreeEntry::Other => rest[2].extend(dotted),
        }
    }
    sums.sort_unstable();
    let mut digest = Sha256::new();
    sums.iter().for_each(|line| digest.update(line));
    for names in rest {
        digest.update([0]);
        digest.update(names);
    }
    hex(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_from_what_coreutils_busybox_and_openssl_print() {
        let sum = "a".repeat(64);
        for line in
            [format!("\\{sum}  ./x\\\\y\\nz"), format!("{sum}  ./x"), format!("{sum} *./x"), format!("{sum} *stdin")]
        {
            assert_eq!(digest_line(line.as_bytes()), Some(sum.clone()));
        }
        assert_eq!(digest_line(b"sha256sum: ./x: Permission denied"), None);
    }

    #[test]
    fn half_an_answer_is_none() {
        assert_eq!(read_tree(b""), None);
        assert_eq!(read_tree(b"./a\0\x0081a4 3\n\0\0"), None, "a file without digest");
        assert_eq!(read_tree(b"\0./link\0to\0\0./pipe\0").map(|tree| tree.len()), Some(2));
        assert_eq!(read_list(b"./a\0\0"), None);
        assert_eq!(read_list(b"").map(|list| list.len()), Some(0));
    }
}
