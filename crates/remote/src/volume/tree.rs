//! The digest of all that is in an archive of a volume.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::local::hex;

/// What is in a volume. Two that are equal give the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Tree {
    /// SHA-256 of a row for each name: kind, mode, owner, link, extended attributes; of files also size, content, and time in seconds.
    pub(crate) digest: String,
    /// How many things are in it, directories included, but not the volume itself.
    pub(crate) entries: u64,
    /// How many of them are files.
    pub(crate) files: u64,
    /// What these hold, in bytes.
    pub(crate) bytes: u64,
}

/// Reads an archive to the end of its entries. Their order does not count.
pub(super) fn read_tree(archive: impl Read) -> io::Result<Tree> {
    let mut archive = tar::Archive::new(archive);
    let (mut rows, mut files, mut bytes) = (Vec::new(), 0, 0);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let is_file = entry.header().entry_type().is_file();
        files += u64::from(is_file);
        bytes += if is_file { entry.size() } else { 0 };
        rows.push(row(&mut entry)?);
    }
    rows.sort();
    let mut digest = Sha256::new();
    rows.iter().for_each(|row| digest.update(row));
    let entries = (rows.len() as u64).saturating_sub(1);
    Ok(Tree { digest: hex(&digest.finalize()), entries, files, bytes })
}

/// Fields with their lengths in front, so that no two entries give the same row.
fn row<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Vec<u8>> {
    let mut row = Vec::new();
    let mut field = |bytes: &[u8]| {
        row.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        row.extend_from_slice(bytes);
    };
    let path = entry.path_bytes().into_owned();
    field(path.strip_suffix(b"/").unwrap_or(&path));
    let header = entry.header();
    let kind = header.entry_type();
    field(&[kind.as_byte()]);
    for number in [
        u64::from(header.mode()?),
        header.uid().unwrap_or_default(),
        header.gid().unwrap_or_default(),
        if kind.is_file() { header.mtime()? } else { 0 },
        // Blank where it is no device.
        header.device_major().ok().flatten().unwrap_or_default().into(),
        header.device_minor().ok().flatten().unwrap_or_default().into(),
    ] {
        field(&number.to_be_bytes());
    }
    field(&entry.link_name_bytes().unwrap_or_default());
    // Owners beyond the digits of the header, and extended attributes. Times of reading and of directories say nothing.
    let mut more: Vec<Vec<u8>> = Vec::new();
    for extension in entry.pax_extensions()?.into_iter().flatten() {
        let extension = extension?;
        let key = extension.key_bytes();
        if key == b"uid" || key == b"gid" || key.starts_with(b"SCHILY.xattr.") {
            more.push([key, b"=", extension.value_bytes()].concat());
        }
    }
    more.sort();
    more.iter().for_each(|text| field(text));
    field(&[]);
    if kind.is_file() {
        let (mut content, mut part) = (Sha256::new(), vec![0; 64 << 10]);
        loop {
            match entry.read(&mut part)? {
                0 => break,
                count => content.update(&part[..count]),
            }
        }
        field(&content.finalize());
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;
    use std::process::Command;

    use super::*;

    fn pack(folder: &Path, options: &[&str]) -> Tree {
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(folder).args(options).args(["-c", "volume"]);
        read_tree(tar.output().expect("tar").stdout.as_slice()).expect("an archive")
    }

    fn sample() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let volume = folder.path().join("volume");
        fs::create_dir_all(volume.join("deep").join("d".repeat(150))).expect("made");
        fs::write(volume.join("deep").join("d".repeat(150)).join("file"), "text").expect("written");
        fs::write(volume.join("empty"), "").expect("written");
        symlink("empty", volume.join("link")).expect("linked");
        fs::hard_link(volume.join("empty"), volume.join("other")).expect("linked");
        folder
    }

    #[test]
    fn order_and_format_of_an_archive_do_not_count() {
        let folder = sample();
        let plain = pack(folder.path(), &["--format=gnu", "--sort=name"]);
        assert_eq!((plain.entries, plain.files, plain.bytes), (6, 2, 4));
        for options in [&["--format=pax", "--sort=name"], &["--format=gnu", "--sort=name"]] {
            assert_eq!(pack(folder.path(), options).digest, plain.digest, "{options:?}");
        }
        let unpacked = tempfile::tempdir().expect("a folder");
        let copied = Command::new("cp").arg("-a").arg(folder.path().join("volume")).arg(unpacked.path()).status();
        assert!(copied.expect("cp").success());
        assert_eq!(pack(unpacked.path(), &["--sort=name"]).digest, plain.digest);
    }

    #[test]
    fn each_change_gives_another_digest() {
        let folder = sample();
        let volume = folder.path().join("volume");
        let mut seen = vec![pack(folder.path(), &["--sort=name"]).digest];
        let changes: [&dyn Fn(); 7] = [
            &|| fs::write(volume.join("empty"), "x").expect("written"),
            &|| fs::write(volume.join("new"), "").expect("written"),
            &|| fs::create_dir(volume.join("folder")).expect("made"),
            &|| fs::set_permissions(volume.join("new"), fs::Permissions::from_mode(0o600)).expect("set"),
            &|| fs::remove_file(volume.join("link")).expect("removed"),
            &|| symlink("other", volume.join("link")).expect("linked"),
            &|| {
                let file = fs::File::open(volume.join("new")).expect("opened");
                file.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("set");
            },
        ];
        for (at, change) in changes.iter().enumerate() {
            change();
            let digest = pack(folder.path(), &["--sort=name"]).digest;
            assert!(!seen.contains(&digest), "change {at}");
            seen.push(digest);
        }
    }

    #[test]
    fn an_archive_that_is_cut_has_no_digest() {
        let folder = sample();
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(folder.path()).args(["-c", "volume"]);
        let whole = tar.output().expect("tar").stdout;
        let text = whole.windows(4).position(|four| four == b"text").expect("there");
        read_tree(&whole[..text + 2]).expect_err("it ends within a file");
    }
}
