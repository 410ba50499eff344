//! Repositories to try things on, made by the system's `git`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use pleach_git::Repository;
use pleach_git::worktree::{self, Head, Worktree, WorktreeError, WorktreeSpec};

/// A repository in a directory of its own; `work` is for worktrees.
pub(crate) struct Sample {
    pub(crate) place: tempfile::TempDir,
    pub(crate) root: PathBuf,
}

impl Sample {
    /// No commit yet.
    pub(crate) fn empty() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let base = fs::canonicalize(place.path()).expect("a path");
        let root = base.join("main");
        fs::create_dir(&root).expect("made");
        let sample = Self { place, root };
        sample.git(["init", "-q", "-b", "main"]);
        sample.git(["config", "user.name", "Sample"]);
        sample.git(["config", "user.email", "sample@example.com"]);
        sample
    }

    /// Two commits on `main` with every kind of file, and branches `one` to `three` with their own changes.
    pub(crate) fn rich() -> Self {
        let sample = Self::empty();
        let root = &sample.root;
        fs::create_dir_all(root.join("addons/module/static/deep/er")).expect("made");
        for number in 0..40 {
            let text = format!("file {number}\n{}", "line\n".repeat(number * 7));
            fs::write(root.join(format!("addons/module/f{number:02}.py")), text).expect("written");
        }
        fs::write(root.join("addons/module/static/deep/er/blob.bin"), [0_u8, 159, 146, 150, 13, 10]).expect("written");
        fs::write(root.join("addons.txt"), "sorts between addons and addons/\n").expect("written");
        fs::write(root.join("empty"), "").expect("written");
        fs::write(root.join("name with spaces é.txt"), "x\n").expect("written");
        fs::write(root.join(OsStr::from_bytes(b"latin-\xe9.txt")), "y\n").expect("written");
        fs::write(root.join("run.sh"), "#!/bin/sh\necho hello\n").expect("written");
        fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o755)).expect("set");
        symlink("run.sh", root.join("link")).expect("linked");
        symlink("nowhere/at/all", root.join("addons/dangling")).expect("linked");
        symlink("module", root.join("addons/alias")).expect("linked");
        sample.commit("First");
        fs::write(root.join("README.md"), "# Sample\n").expect("written");
        sample.commit("Second");
        for branch in ["one", "two", "three"] {
            sample.git(["switch", "-q", "-c", branch, "main"]);
            fs::write(root.join("addons/module/f03.py"), format!("changed on {branch}\n")).expect("written");
            fs::write(root.join(format!("only-{branch}.txt")), "new\n").expect("written");
            fs::remove_file(root.join("addons/module/f07.py")).expect("removed");
            sample.commit(&format!("Work on {branch}"));
        }
        sample.git(["switch", "-q", "main"]);
        sample
    }

    pub(crate) fn repository(&self) -> Repository {
        Repository::discover(&self.root).expect("a repository")
    }

    /// A path beside the main worktree.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.root.with_file_name(name)
    }

    pub(crate) fn git<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        git(&self.root, arguments)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(["add", "-A"]);
        self.git(["commit", "-q", "-m", message]);
        self.git(["rev-parse", "HEAD"])
    }

    /// Adds one worktree on an existing branch, beside the main one.
    pub(crate) fn add(&self, name: &str, head: Head) -> Result<Worktree, WorktreeError> {
        let spec = spec(name, self.beside(name), head);
        let mut made = worktree::add_many(&self.repository(), &[spec], &|_| {}, &AtomicBool::new(false));
        made.pop().expect("one result")
    }
}

pub(crate) fn spec(name: &str, path: PathBuf, head: Head) -> WorktreeSpec {
    WorktreeSpec {
        name: name.to_owned(),
        path,
        head,
        purpose: Some(format!("to try {name}")),
        owner: Some("Sample".to_owned()),
        created_by: format!("pleach worktree add {name}"),
        environment: BTreeMap::new(),
    }
}

/// Runs git and gives its output without the last line end; a failure ends the test.
pub(crate) fn git<'a>(at: &Path, arguments: impl IntoIterator<Item = &'a str>) -> String {
    let arguments: Vec<&str> = arguments.into_iter().collect();
    let output = Command::new("git").arg("-C").arg(at).args(&arguments).output().expect("git runs");
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "git {arguments:?}: {out}{error}");
    out.trim_end().to_owned()
}

/// Everything below a directory but `.git` and our own two files: kind, permission to execute, and content.
pub(crate) fn snapshot(root: &Path) -> BTreeMap<PathBuf, (char, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let relative = path.strip_prefix(root).expect("below").to_owned();
            let ours = [worktree::README_FILE, worktree::ENVIRONMENT_FILE, ".git"];
            if ours.iter().any(|name| relative == Path::new(name)) {
                continue;
            }
            let meta = fs::symlink_metadata(&path).expect("there");
            let seen = if meta.is_symlink() {
                ('l', fs::read_link(&path).expect("a link").as_os_str().as_bytes().to_vec())
            } else if meta.is_dir() {
                open.push(path.clone());
                ('d', Vec::new())
            } else {
                let kind = if meta.permissions().mode() & 0o111 == 0 { 'f' } else { 'x' };
                (kind, fs::read(&path).expect("read"))
            };
            found.insert(relative, seen);
        }
    }
    found
}

/// Both directories hold the same; names the paths that differ.
pub(crate) fn assert_same_files(left: &Path, right: &Path) {
    let (a, b) = (snapshot(left), snapshot(right));
    let differ: Vec<_> = a.keys().chain(b.keys()).filter(|path| a.get(*path) != b.get(*path)).collect();
    assert!(differ.is_empty(), "{} and {} differ in {differ:?}", left.display(), right.display());
}
