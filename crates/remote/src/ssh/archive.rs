//! A tar archive, written as it is sent.
//!
//! The old format of POSIX with GNU's records for long names (`tar(5)`): GNU tar, BSD tar and BusyBox read it. Owners and
//! times are left out; whoever unpacks becomes the owner.

use std::path::Path;

use pleach_core::port::EntryMode;

pub(crate) const BLOCK: usize = 512;

/// The largest size in octal digits.
pub(crate) const OCTAL: u64 = 0o77_777_777_777;

/// Adds what stands in front of one entry; `content` is a file's bytes, or where a link points. Gives what has to follow,
/// and [`pad`] behind it.
pub(crate) fn front<'c>(records: &mut Vec<u8>, path: &Path, mode: EntryMode, content: &'c [u8]) -> &'c [u8] {
    let name = bytes(path);
    let (kind, permissions, follows, link) = match mode {
        EntryMode::File => (b'0', 0o644, content, &[][..]),
        EntryMode::Executable => (b'0', 0o755, content, &[][..]),
        EntryMode::Symlink => (b'2', 0o777, &[][..], content),
    };
    for (kind, long) in [(b'K', link), (b'L', name)] {
        if long.len() >= 100 {
            header(records, b"././@LongLink", kind, 0, long.len() as u64 + 1, &[]);
            records.extend_from_slice(long);
            records.push(0);
            pad(records, long.len() + 1);
        }
    }
    header(records, name, kind, permissions, follows.len() as u64, link);
    follows
}

/// Adds what stands behind the last entry.
pub(crate) fn end(records: &mut Vec<u8>) {
    records.resize(records.len() + 2 * BLOCK, 0);
}

fn bytes(path: &Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes()
}

/// Fills the last block of what is so long.
pub(crate) fn pad(records: &mut Vec<u8>, length: usize) {
    records.resize(records.len() + length.next_multiple_of(BLOCK) - length, 0);
}

/// Adds a header. A size that eleven octal digits cannot say is written in binary, as GNU does.
pub(crate) fn header(records: &mut Vec<u8>, name: &[u8], kind: u8, permissions: u32, size: u64, link: &[u8]) {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, field: &[u8]| block[at..at + field.len()].copy_from_slice(field);
    put(0, &name[..name.len().min(99)]);
    put(100, format!("{permissions:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if size > OCTAL {
        put(124, &[0x80, 0, 0, 0]);
        put(128, &size.to_be_bytes());
    } else {
        put(124, format!("{size:011o}\0").as_bytes());
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, &link[..link.len().min(99)]);
    put(257, b"ustar  \0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    records.extend_from_slice(&block);
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn tar_unpacks_what_was_written() {
        let folder = tempfile::tempdir().expect("a directory");
        let mut child = Command::new("tar")
            .args(["-xof", "-"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .expect("tar");
        let deep = "d/".repeat(80) + "file ä\nb";
        let mut archive = Vec::new();
        let mut stdin = child.stdin.take().expect("piped");
        for (path, mode, content) in [
            ("plain", EntryMode::File, vec![7; 513]),
            ("empty", EntryMode::File, Vec::new()),
            ("run", EntryMode::Executable, b"#!".to_vec()),
            (&deep, EntryMode::File, b"deep".to_vec()),
            ("link", EntryMode::Symlink, deep.clone().into_bytes()),
        ] {
            let follows = front(&mut archive, Path::new(path), mode, &content);
            archive.extend_from_slice(follows);
            pad(&mut archive, follows.len());
        }
        end(&mut archive);
        stdin.write_all(&archive).expect("written");
        drop(stdin);
        assert!(child.wait().expect("ended").success());
        let at = |name: &str| folder.path().join(name);
        assert_eq!(std::fs::read(at("plain")).expect("there"), [7; 513]);
        assert!(std::fs::read(at("empty")).expect("there").is_empty());
        assert_eq!(std::fs::metadata(at("run")).expect("there").permissions().mode() & 0o777, 0o755);
        assert_eq!(std::fs::read(at(&deep)).expect("there"), b"deep");
        assert_eq!(std::fs::read(at("link")).expect("it leads there"), b"deep");
    }
}
