//! A tar archive, written as it is sent.
//!
//! The old format of POSIX with GNU's records for long names (`tar(5)`): GNU tar, BSD tar and BusyBox read it. Owners and
//! times are left out; whoever unpacks becomes the owner.

use std::path::Path;

use pleach_core::port::EntryMode;

const BLOCK: usize = 512;

/// The records of one entry: `content` is a file's bytes, or where a link points.
pub(super) fn entry(path: &Path, mode: EntryMode, content: &[u8]) -> Vec<u8> {
    let name = bytes(path);
    let (kind, permissions, size, link) = match mode {
        EntryMode::File => (b'0', 0o644, content.len(), &[][..]),
        EntryMode::Executable => (b'0', 0o755, content.len(), &[][..]),
        EntryMode::Symlink => (b'2', 0o777, 0, content),
    };
    let mut records = Vec::with_capacity(size + 2 * BLOCK);
    for (kind, long) in [(b'K', link), (b'L', name)] {
        if long.len() >= 100 {
            header(&mut records, b"././@LongLink", kind, 0, long.len() + 1, &[]);
            records.extend_from_slice(long);
            records.push(0);
            pad(&mut records);
        }
    }
    header(&mut records, name, kind, permissions, size, link);
    if size > 0 {
        records.extend_from_slice(content);
        pad(&mut records);
    }
    records
}

/// What stands behind the last entry.
pub(super) fn end() -> Vec<u8> {
    vec![0; 2 * BLOCK]
}

fn bytes(path: &Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes()
}

fn pad(records: &mut Vec<u8>) {
    records.resize(records.len().next_multiple_of(BLOCK), 0);
}

fn header(records: &mut Vec<u8>, name: &[u8], kind: u8, permissions: u32, size: usize, link: &[u8]) {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, field: &[u8]| block[at..at + field.len()].copy_from_slice(field);
    put(0, &name[..name.len().min(99)]);
    put(100, format!("{permissions:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
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
        let mut stdin = child.stdin.take().expect("piped");
        for (path, mode, content) in [
            ("plain", EntryMode::File, vec![7; 513]),
            ("empty", EntryMode::File, Vec::new()),
            ("run", EntryMode::Executable, b"#!".to_vec()),
            (&deep, EntryMode::File, b"deep".to_vec()),
            ("link", EntryMode::Symlink, deep.clone().into_bytes()),
        ] {
            stdin.write_all(&entry(Path::new(path), mode, &content)).expect("written");
        }
        stdin.write_all(&end()).expect("written");
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
