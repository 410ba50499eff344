//! Room on the disks that tests write to.

use std::path::{Path, PathBuf};

/// Linking and the tests' repositories need this much; below it they fail with words that do not say why.
const NEEDED: u64 = 1 << 30;

/// Says how much room there is; fails where it is too little.
pub(crate) fn ensure() -> Result<(), String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    for (folder, purpose) in [(target, "CARGO_TARGET_DIR"), (std::env::temp_dir(), "TMPDIR")] {
        let Some(free) = free(&folder) else { continue };
        eprintln!("testbed: {:.1} GB free in {}", free as f64 / f64::from(1 << 30), folder.display());
        if free < NEEDED {
            return Err(format!(
                "error: there is too little room for the tests\n  because: `{}` has {} MB free, {} MB are needed\n  \
                 state: no test has run\n  next: `df -h {}`, make room or set {purpose} to another disk, then \
                 `cargo testbed`",
                folder.display(),
                free >> 20,
                NEEDED >> 20,
                folder.display()
            ));
        }
    }
    Ok(())
}

/// Bytes that a user may still write to the disk of `folder` or of the first folder above it that is there.
fn free(folder: &Path) -> Option<u64> {
    let folder = std::path::absolute(folder).ok()?;
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail * disk.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_is_on_the_disk_of_the_one_above() {
        let temp = std::env::temp_dir();
        assert!(free(&temp.join("not/there/yet")).is_some_and(|free| free > 0));
    }
}
