//! Hiding our own files from git.
//!
//! Git reads `info/exclude` only from the directory that all worktrees share, so one block there serves all of them. It
//! is added once, under the lock, and only the block between our marks is ever touched.

use std::fs;

use crate::durable;
use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::worktree::note::{ENVIRONMENT_FILE, README_FILE};

const BEGIN: &str = "# pleach: its own files in worktrees";
const END: &str = "# pleach: end";

/// Makes sure that the block is there.
pub(crate) fn ensure(repository: &Repository) -> Result<()> {
    let info = repository.common_dir().join("info");
    let path = info.join("exclude");
    let old = match fs::read(&path) {
        Ok(old) => old,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Error::file("read", &path)(error)),
    };
    let block = format!("{BEGIN}\n/{README_FILE}\n/{ENVIRONMENT_FILE}\n{END}\n");
    if contains(&old, block.as_bytes()) {
        return Ok(());
    }
    let mut new = old;
    if new.last().is_some_and(|byte| *byte != b'\n') {
        new.push(b'\n');
    }
    new.extend_from_slice(block.as_bytes());
    fs::create_dir_all(&info).map_err(Error::file("make", &info))?;
    durable::replace(&path, &new)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
