//! What Pleach knows of a worktree beyond git, and the two files in it that tell people and programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use jiff::Timestamp;
use pleach_core::word::CommitId;
use serde::{Deserialize, Serialize};

use crate::error::{Cause, Error, Result};

/// Tells people what a worktree is for; hidden from git.
pub const README_FILE: &str = "README_WORKTREE.md";
/// Variables of this worktree alone (`PORT=8101`), one a line; hidden from git.
pub const ENVIRONMENT_FILE: &str = ".env.worktree";
/// In the worktree's directory below `.git/worktrees`.
const NOTE_FILE: &str = "pleach.json";

/// Kept beside git's own files, so that it goes where the worktree goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) version: u32,
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) branch: Option<String>,
    /// The commit that it started at: what came later is work done in it.
    pub(crate) base: CommitId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    pub(crate) created_by: String,
    pub(crate) created_at: Timestamp,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) environment: BTreeMap<String, String>,
}

impl Note {
    pub(crate) fn load(admin: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(admin.join(NOTE_FILE)).ok()?).ok()
    }

    pub(crate) fn store(&self, admin: &Path) -> Result<()> {
        let path = admin.join(NOTE_FILE);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::file("write", &path)(Cause::new(error.to_string())))?;
        fs::write(&path, text).map_err(Error::file("write", &path))
    }

    fn readme(&self) -> String {
        let mut text = format!("# Worktree `{}`\n\n", self.name);
        let row = |text: &mut String, label: &str, value: &str| {
            let _ = writeln!(text, "- {label}: {value}");
        };
        row(&mut text, "Purpose", self.purpose.as_deref().unwrap_or("not given"));
        match &self.branch {
            Some(branch) => row(&mut text, "Branch", &format!("`{branch}`")),
            None => row(&mut text, "Commit", &format!("`{}`, on no branch", self.base)),
        }
        row(&mut text, "Owner", self.owner.as_deref().unwrap_or("not given"));
        row(&mut text, "Created by", &format!("`{}`", self.created_by));
        row(&mut text, "Created at", &self.created_at.to_string());
        if !self.environment.is_empty() {
            row(&mut text, "Environment", &format!("`{ENVIRONMENT_FILE}`"));
        }
        let _ = write!(
            text,
            "\nGit does not see this file. Remove the worktree with `pleach worktree remove {}`.\n",
            self.name
        );
        text
    }

    fn environment_text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.environment {
            let plain = |c: char| c.is_ascii_alphanumeric() || "/.-_+:@,=%".contains(c);
            if value.chars().all(plain) {
                let _ = writeln!(text, "{name}={value}");
            } else {
                let _ = writeln!(text, "{name}='{}'", value.replace('\'', r"'\''"));
            }
        }
        text
    }

    /// Writes both files, unless the commit has files of these names itself, or they are there already.
    pub(crate) fn write_files(&self, work_dir: &Path) -> Result<()> {
        for (name, text) in [(README_FILE, self.readme()), (ENVIRONMENT_FILE, self.environment_text())] {
            let path = work_dir.join(name);
            match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(mut file) => file.write_all(text.as_bytes()).map_err(Error::file("write", &path))?,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::file("write", &path)(error)),
            }
        }
        Ok(())
    }

    /// Whether the file at `path` in the worktree is one of ours and nobody added to it.
    pub(crate) fn wrote(&self, work_dir: &Path, path: &str) -> bool {
        let text = match path {
            README_FILE => self.readme(),
            ENVIRONMENT_FILE => self.environment_text(),
            _ => return false,
        };
        fs::read(work_dir.join(path)).is_ok_and(|bytes| bytes == text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> Note {
        Note {
            version: 1,
            name: "deploy".into(),
            branch: Some("main".into()),
            base: CommitId::new("a".repeat(40)).expect("an id"),
            purpose: Some("deployments".into()),
            owner: None,
            created_by: "pleach worktree add deploy".into(),
            created_at: "2026-01-02T03:04:05Z".parse().expect("a time"),
            environment: [("PORT".to_owned(), "8101".to_owned()), ("NAME".to_owned(), "it's".to_owned())].into(),
        }
    }

    #[test]
    fn the_environment_file_can_be_sourced_by_a_shell() {
        let place = tempfile::tempdir().expect("a directory");
        note().write_files(place.path()).expect("written");
        let script = format!(". ./{ENVIRONMENT_FILE} && printf '%s %s' \"$PORT\" \"$NAME\"");
        let output = std::process::Command::new("sh").arg("-c").arg(script).current_dir(place.path()).output();
        assert_eq!(output.expect("a shell").stdout, b"8101 it's");
    }

    #[test]
    fn a_file_that_somebody_added_to_is_no_longer_ours() {
        let place = tempfile::tempdir().expect("a directory");
        note().write_files(place.path()).expect("written");
        assert!(note().wrote(place.path(), ENVIRONMENT_FILE));
        fs::write(place.path().join(ENVIRONMENT_FILE), "SECRET=x\n").expect("written");
        assert!(!note().wrote(place.path(), ENVIRONMENT_FILE));
        assert!(note().wrote(place.path(), README_FILE));
    }
}
