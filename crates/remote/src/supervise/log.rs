//! What a service prints, in a file that does not grow for ever.
//!
//! The process writes to the file itself, so it goes on printing when its supervisor is gone. From time to time the
//! supervisor looks: a file above the limit is copied to `.log.1` and cut to nothing. Lines printed between the copy and
//! the cut are lost; the process appends, so it goes on at the new beginning.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Above this size a log is rotated.
pub(super) const LOG_LIMIT: u64 = 4 * 1024 * 1024;

/// How often the size is looked at.
pub(super) const LOG_LOOK: Duration = Duration::from_secs(5);

/// Opens a log to append to.
pub(super) fn open_log(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// Rotates a log that is too large.
pub(super) fn bound_log(path: &Path, limit: u64) -> io::Result<()> {
    if fs::metadata(path)?.len() <= limit {
        return Ok(());
    }
    fs::copy(path, path.with_extension("log.1"))?;
    OpenOptions::new().write(true).truncate(true).open(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_log_that_is_too_large_is_kept_once_and_its_writer_goes_on() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("0001-ab12cd34.log");
        let mut writer = open_log(&path).expect("opened");
        writer.write_all(b"first\n").expect("written");
        bound_log(&path, 100).expect("small enough");
        bound_log(&path, 3).expect("rotated");
        writer.write_all(b"second\n").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), "second\n");
        assert_eq!(fs::read_to_string(folder.path().join("0001-ab12cd34.log.1")).expect("there"), "first\n");
    }
}
