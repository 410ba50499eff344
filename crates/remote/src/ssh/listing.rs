//! What `find`, `stat`, `readlink` and `sha256sum` print of trees and directories, read back. Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use pleach_core::port::{FileKind, FileStat, TreeDigest};
use sha2::{Digest, Sha256};

use crate::local::hex;

/// Prints what lies in `.`: names, each ended by NUL, and an empty one; a line of mode and size each; where links point,
/// each ended by NUL. `find` may call it more than once.
pub(super) const LIST_BATCH: &str = "printf '%s\\0' \"$@\"; printf '\\0'; stat -c '%f %s' -- \"$@\" || exit 1; \
    for f; do if [ -L \"$f\" ]; then readlink -n -- \"$f\"; printf '\\0'; fi; done";

/// Prints modes and sizes, then digests, of regular files.
pub(super) const DIGEST_BATCH: &str = "stat -c '%f %s' -- \"$@\" && sha256sum -- \"$@\"";

/// Prints links and where they point.
pub(super) const LINK_BATCH: &str =
    "for f; do printf '%s\\0' \"$f\"; readlink -n -- \"$f\" || exit 1; printf '\\0'; done";

/// Prints what each name is, a letter a line, then the digests of the regular files among them. Names that are not there
/// are `-`.
pub(super) const CHECK_BATCH: &str = "for f; do if [ -L \"$f\" ] || ! [ -f \"$f\" ]; then echo -; \
    elif [ -x \"$f\" ]; then echo x; else echo f; fi; done; \
    for f; do if [ -f \"$f\" ] && ! [ -L \"$f\" ]; then printf '%s\\0' \"$f\"; fi; done | xargs -0 -r sha256sum --";

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
    let mut digest = Sha256::new();
    let (mut files, mut bytes) = (0, 0);
    for (path, entry) in tree {
        match entry {
            TreeEntry::File { executable, sha256, size } => {
                let mode = if *executable { 755 } else { 644 };
                digest.update(format!("file {mode} {sha256} "));
                files += 1;
                bytes += size;
            }
            TreeEntry::Link(to) => {
                digest.update(format!("link {} ", hex(&Sha256::digest(to))));
                files += 1;
            }
            TreeEntry::Other => digest.update("other "),
        }
        digest.update(path);
        digest.update([0]);
    }
    TreeDigest { sha256: hex(&digest.finalize()), files, bytes }
}

/// The digest and the name in a line of `sha256sum`, which writes a backslash in front where it had to escape the name.
fn digest_line(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let (escaped, line) = line.strip_prefix(b"\\").map_or((false, line), |line| (true, line));
    let (sha256, name) = line.split_at_checked(64)?;
    let name = name.get(2..)?;
    let sha256 = std::str::from_utf8(sha256).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name.iter();
    while let Some(byte) = rest.next() {
        plain.push(match (escaped, byte) {
            (true, b'\\') => match rest.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                other => *other,
            },
            (_, byte) => *byte,
        });
    }
    let plain = plain.strip_prefix(b"./").map(<[u8]>::to_vec).unwrap_or(plain);
    Some((sha256.to_owned(), plain))
}

/// Regular files by [`DIGEST_BATCH`], a NUL, links by [`LINK_BATCH`], a NUL, names of all others, each ended by NUL.
pub(super) fn read_tree(answer: &[u8]) -> Option<Tree> {
    let mut tree = Tree::new();
    let mut reader = Reader(answer);
    let mut modes = std::collections::VecDeque::new();
    let files = reader.until(0)?;
    for line in files.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        if let Some(stat) = stat_line(line) {
            modes.push_back(stat);
            continue;
        }
        let (sha256, name) = digest_line(line)?;
        let (mode, size) = modes.pop_front()?;
        tree.insert(name, TreeEntry::File { executable: mode & 0o100 != 0, sha256, size });
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
    modes.is_empty().then_some(tree)
}

/// What [`CHECK_BATCH`] told: digest and whether it can be executed, by name.
pub(super) fn read_check(answer: &[u8]) -> Option<BTreeMap<Vec<u8>, (String, bool)>> {
    let mut found = BTreeMap::new();
    let mut kinds = std::collections::VecDeque::new();
    for line in answer.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match line {
            b"-" => {}
            b"f" => kinds.push_back(false),
            b"x" => kinds.push_back(true),
            line => {
                let (sha256, name) = digest_line(line)?;
                found.insert(name, (sha256, kinds.pop_front()?));
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_sha256sum_escapes_are_read_back() {
        let line = [b"\\".as_slice(), &[b'a'; 64], b"  ./x\\\\y\\nz"].concat();
        assert_eq!(digest_line(&line), Some(("a".repeat(64), b"x\\y\nz".to_vec())));
        assert_eq!(digest_line(b"sha256sum: ./x: Permission denied"), None);
    }

    #[test]
    fn half_an_answer_is_none() {
        assert_eq!(read_tree(b""), None);
        assert_eq!(read_tree(b"81a4 3\n\0\0"), None, "a file without digest");
        assert_eq!(read_tree(b"\0./link\0to\0\0./pipe\0").map(|tree| tree.len()), Some(2));
        assert_eq!(read_list(b"./a\0\0"), None);
        assert_eq!(read_list(b"").map(|list| list.len()), Some(0));
    }
}
