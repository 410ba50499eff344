//! Whole trees on this machine: their digest, and their removal.
//!
//! # Digest
//!
//! SHA-256 over one record an entry, sorted by the bytes of the path, directories left out:
//!
//! ```text
//! file MODE SHA256-OF-CONTENT PATH\0        MODE is 644 or 755: whether its owner may execute it
//! link SHA256-OF-WHERE-IT-POINTS PATH\0
//! other PATH\0                              a socket, pipe or device
//! ```
//!
//! The path is relative to the tree, with `/`. Only the executable bit counts, because git keeps no other and a umask
//! would otherwise make equal trees differ.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pleach_core::error::{Explain, Kind, quote_path};
use pleach_core::port::{EntryMode, FileDigest, HeldFile, TreeDigest};
use sha2::{Digest, Sha256};

/// Why a tree could not be read or removed.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing} `{path}`")]
pub struct TreeError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Explain for TreeError {
    fn kind(&self) -> Kind {
        Kind::Rejected
    }

    fn next(&self) -> Option<String> {
        Some(format!("look with `ls -la {}`", quote_path(&self.path)))
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TreeError {
    let path = path.to_owned();
    move |source| TreeError { doing, path, source }
}

/// The digest of the tree at `root`; `root` itself may be a link to it.
pub fn tree_digest(root: &Path) -> Result<TreeDigest, TreeError> {
    Ok(digest_of(&held_files(root)?))
}

/// What each file of the tree at `root` holds, sorted by the bytes of their paths; `root` itself may be a link to it.
pub(super) fn held_files(root: &Path) -> Result<Vec<HeldFile>, TreeError> {
    let mut entries = Vec::new();
    collect(root, Path::new(""), &mut entries)?;
    entries.sort_by(|(a, _), (b, _)| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    entries.into_iter().map(|(path, metadata)| held_file(root, path, &metadata)).collect()
}

fn held_file(root: &Path, path: PathBuf, metadata: &Metadata) -> Result<HeldFile, TreeError> {
    let place = root.join(&path);
    let (mode, digest) = if metadata.is_symlink() {
        let to = fs::read_link(&place).map_err(failed("read the link", &place))?;
        (Some(EntryMode::Symlink), FileDigest::of(to.as_os_str().as_bytes()))
    } else if metadata.is_file() {
        let executable = metadata.permissions().mode() & 0o100 != 0;
        let (sha256, bytes) = file_digest(&place).map_err(failed("read", &place))?;
        let mode = if executable { EntryMode::Executable } else { EntryMode::File };
        (Some(mode), FileDigest { sha256, bytes })
    } else {
        (None, FileDigest::of(b""))
    };
    Ok(HeldFile { path, mode, digest })
}

/// The digest of a tree that holds these, which are sorted by the bytes of their paths.
pub(crate) fn digest_of(held: &[HeldFile]) -> TreeDigest {
    let mut digest = Sha256::new();
    let (mut files, mut bytes) = (0, 0);
    for HeldFile { path, mode, digest: FileDigest { sha256, bytes: length } } in held {
        digest.update(match mode {
            Some(EntryMode::File) => format!("file 644 {sha256} "),
            Some(EntryMode::Executable) => format!("file 755 {sha256} "),
            Some(EntryMode::Symlink) => format!("link {sha256} "),
            None => "other ".to_owned(),
        });
        digest.update(path.as_os_str().as_bytes());
        digest.update([0]);
        files += u64::from(mode.is_some());
        bytes += if matches!(mode, Some(EntryMode::File | EntryMode::Executable)) { *length } else { 0 };
    }
    TreeDigest { sha256: hex(&digest.finalize()), files, bytes }
}

/// All that is no folder below `folder` of `root`.
pub(crate) fn collect(root: &Path, folder: &Path, entries: &mut Vec<(PathBuf, Metadata)>) -> Result<(), TreeError> {
    let place = root.join(folder);
    for entry in fs::read_dir(&place).map_err(failed("list", &place))? {
        let entry = entry.map_err(failed("list", &place))?;
        let path = folder.join(entry.file_name());
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => collect(root, &path, entries)?,
            Ok(metadata) => entries.push((path, metadata)),
            // A running service may remove its own scratch files while they are listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("look at", &place)(error)),
        }
    }
    Ok(())
}

/// The SHA-256 of a file in hexadecimal, and its length.
pub(crate) fn file_digest(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    let mut length = 0;
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((hex(&digest.finalize()), length)),
            count => {
                digest.update(&chunk[..count]);
                length += count as u64;
            }
        }
    }
}

/// Bytes as lower case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Removes whatever lies at `path`, never following a link; nothing there is fine. Directories that their owner may not
/// write are made writable first: tools such as Go's leave read-only trees behind.
pub(super) fn remove_tree(path: &Path) -> Result<(), TreeError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", path)(error)),
    };
    let removed = if metadata.is_dir() {
        empty_folder(path, &metadata)?;
        fs::remove_dir(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn empty_folder(path: &Path, metadata: &Metadata) -> Result<(), TreeError> {
    let mode = metadata.permissions().mode();
    if mode & 0o700 != 0o700 {
        let writable = fs::Permissions::from_mode(mode | 0o700);
        fs::set_permissions(path, writable).map_err(failed("make writable", path))?;
    }
    for entry in fs::read_dir(path).map_err(failed("list", path))? {
        remove_tree(&entry.map_err(failed("list", path))?.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_is_removed_and_what_it_points_to_stays() {
        let folder = tempfile::tempdir().expect("a directory");
        let (kept, tree) = (folder.path().join("kept"), folder.path().join("tree"));
        fs::create_dir_all(tree.join("read-only")).expect("made");
        fs::create_dir(&kept).expect("made");
        fs::write(kept.join("precious"), "x").expect("written");
        symlink(&kept, tree.join("read-only/link")).expect("linked");
        fs::set_permissions(tree.join("read-only"), fs::Permissions::from_mode(0o500)).expect("set");
        remove_tree(&tree).expect("removed");
        assert!(!tree.exists());
        assert!(kept.join("precious").exists());
        remove_tree(&tree).expect("nothing there is fine");
    }

    #[test]
    fn the_digest_tells_content_mode_link_and_name_apart_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a directory");
        let make = |name: &str, content: &str, mode: u32, link: &str| {
            let tree = folder.path().join(name);
            fs::create_dir_all(tree.join("b")).expect("made");
            fs::write(tree.join("b/file"), content).expect("written");
            fs::set_permissions(tree.join("b/file"), fs::Permissions::from_mode(mode)).expect("set");
            symlink(link, tree.join("a")).expect("linked");
            tree_digest(&tree).expect("read").sha256
        };
        let first = make("1", "x", 0o644, "to");
        assert_eq!(make("2", "x", 0o600, "to"), first);
        for other in [make("3", "y", 0o644, "to"), make("4", "x", 0o755, "to"), make("5", "x", 0o644, "elsewhere")] {
            assert_ne!(other, first);
        }
    }
}
