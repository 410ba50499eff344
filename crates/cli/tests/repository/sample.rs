//! Repositories in temporary directories, and the command run in them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A repository `shop` with a commit on `main`; everything is gone when it is dropped.
pub(crate) struct Sample {
    place: TempDir,
    root: PathBuf,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sample {
    /// A repository with these files on `main`.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        Self::named("shop", files)
    }

    /// The same in a directory of another name.
    pub(crate) fn named(name: &str, files: &[(&str, &str)]) -> Self {
        let place = tempfile::tempdir().expect("a temporary directory");
        let root = place.path().canonicalize().expect("it is there").join(name);
        std::fs::create_dir(&root).expect("made");
        let sample = Self { place, root };
        sample.git(&["init", "-q", "-b", "main"]);
        sample.commit("start", files);
        sample
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory that the repository lies in.
    pub(crate) fn place(&self) -> PathBuf {
        self.place.path().canonicalize().expect("it is there")
    }

    /// Runs git in the repository.
    pub(crate) fn git(&self, words: &[&str]) -> String {
        self.git_in(&self.root, words)
    }

    /// Runs git elsewhere.
    pub(crate) fn git_in(&self, directory: &Path, words: &[&str]) -> String {
        let output = isolated(Command::new("git").args(words).current_dir(directory)).output().expect("git runs");
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    }

    /// Writes files and commits them on the branch that is checked out.
    pub(crate) fn commit(&self, subject: &str, files: &[(&str, &str)]) {
        for (path, text) in files {
            self.write(path, text);
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", subject]);
    }

    /// Makes a branch from main with one commit on top, and goes back to main.
    pub(crate) fn branch(&self, name: &str, files: &[(&str, &str)]) {
        self.git(&["switch", "-q", "-c", name, "main"]);
        self.commit(&format!("work on {name}"), files);
        self.git(&["switch", "-q", "main"]);
    }

    /// Writes a file without committing it.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().expect("in the repository")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    /// Runs the command in the repository.
    pub(crate) fn pleach(&self, words: &[&str]) -> Said {
        self.pleach_in(&self.root, words)
    }

    /// Runs the command elsewhere.
    pub(crate) fn pleach_in(&self, directory: &Path, words: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pleach"));
        said(isolated(command.args(words).current_dir(directory)).output().expect("pleach runs"))
    }

    /// Runs the command in the repository, which must end with 0, and gives what it answered.
    pub(crate) fn done(&self, words: &[&str]) -> String {
        let said = self.pleach(words);
        assert_eq!(said.code, 0, "pleach {words:?}: {said:#?}");
        said.stdout
    }

    /// The same with `--json`.
    pub(crate) fn json(&self, words: &[&str]) -> serde_json::Value {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.done(&words)).expect("JSON")
    }
}

/// No configuration of the machine, a known identity.
pub(crate) fn isolated(command: &mut Command) -> &mut Command {
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.com")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.com")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env("NO_COLOR", "1")
        .stdin(std::process::Stdio::null())
}

fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}
