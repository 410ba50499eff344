//! The machine: programs and limits.

use std::process::{Command, Stdio};

use rustix::process::{Resource, getrlimit};

use super::Finding;

/// A lane keeps a few files open: its log, its child's pipes, sockets.
const FILES_WANTED: u64 = 1024;
const FILES_NEEDED: u64 = 128;

/// Programs and limits.
pub(crate) fn machine_findings() -> Vec<Finding> {
    vec![
        match version("git") {
            Some(version) if is_old(&version) => Finding::warn(
                "git",
                format!("{version}: worktrees by older gits have gaps"),
                "sudo apt-get install git",
            ),
            Some(version) => Finding::ok("git", version),
            None => Finding::warn(
                "git",
                "not found: pushing over SSH or with a credential helper needs it",
                "sudo apt-get install git",
            ),
        },
        match version("rustc") {
            Some(version) => Finding::ok("rustc", version),
            None => Finding::warn(
                "rustc",
                "not found: `pleach demo` needs it, nothing else",
                "sudo apt-get install rustc gcc",
            ),
        },
        files(),
    ]
}

/// The first line of `PROGRAM --version`.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}

/// Before 2.20, worktrees had no configuration of their own.
fn is_old(version: &str) -> bool {
    let mut numbers =
        version.trim_start_matches(|c: char| !c.is_ascii_digit()).split('.').map(|part| part.parse().ok());
    let first: Option<u32> = numbers.next().flatten();
    let second: Option<u32> = numbers.next().flatten();
    first.zip(second).is_some_and(|version| version < (2, 20))
}

fn files() -> Finding {
    let limit = getrlimit(Resource::Nofile);
    let mend = format!("ulimit -n {FILES_WANTED}");
    match limit.current {
        None => Finding::ok("open files", "no limit"),
        Some(now) if now < FILES_NEEDED => Finding::fail("open files", format!("at most {now}"), mend),
        Some(now) if now < FILES_WANTED => {
            Finding::warn("open files", format!("at most {now}: enough for a few services"), mend)
        }
        Some(now) => Finding::ok("open files", format!("at most {now}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_old("git version 2.9.5"));
        assert!(!is_old("git version 2.47.3"));
        assert!(!is_old("git version 3.0"));
        assert!(!is_old("something else"), "what cannot be read is not called old");
    }
}
