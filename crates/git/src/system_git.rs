//! The one place that runs the system's `git`.
//!
//! Only exit codes and porcelain output are read, in a fixed language and without questions on the terminal. What is
//! run, and why, is listed in the crate's documentation.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::{Cause, Error, Result};

/// A path as a shell would take it back.
pub(crate) fn quote(path: &Path) -> String {
    let text = path.to_string_lossy();
    if path.to_str().is_none() || text.chars().any(char::is_control) {
        // Only `printf` gives such bytes back in every shell.
        let octal = |byte: &u8| match byte {
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_') => {
                char::from(*byte).to_string()
            }
            byte => format!("\\{byte:03o}"),
        };
        let bytes: String = path.as_os_str().as_bytes().iter().map(octal).collect();
        return format!("\"$(printf -- '{bytes}')\"");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '+' | ':' | '@' | ',' | '=');
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Runs `git` in `directory` and gives what it printed, whatever its exit code.
pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory).args(arguments).stdin(Stdio::null());
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0");
    let what = arguments.first().copied().unwrap_or_default();
    command.output().map_err(|error| {
        let cause = match error.kind() {
            std::io::ErrorKind::NotFound => Cause::new("`git` is not installed, or not in PATH"),
            _ => error.into(),
        };
        Error::Failed(format!("run `git {what}`"), cause)
    })
}

/// Whether `git` can be run at all.
pub(crate) fn is_installed() -> bool {
    Command::new("git").arg("--version").stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}
