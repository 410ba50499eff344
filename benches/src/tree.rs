//! A tree in two versions, as folders and as commits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::git;
use crate::repository::{Numbers, text_of};

/// Two versions of a tree: the second has one in a hundred changed.
pub struct TwoTrees {
    /// Both as folders; what is the same has the same times.
    pub folders: [PathBuf; 2],
    /// A repository that has both.
    pub repository: PathBuf,
    /// Their commits.
    pub commits: [String; 2],
    /// Bytes of the first.
    pub bytes: u64,
    /// Files of each.
    pub files: usize,
}

impl TwoTrees {
    /// So many files, each of so many bytes, given the number of the file. Of one file a hundredth of its bytes changes in
    /// fifty places, of many files one in a hundred changes as a whole.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn make(place: &Path, files: usize, size: impl Fn(usize) -> usize) -> Self {
        let mut numbers = Numbers(7);
        let [first, second, repository] = ["first", "second", "repository"].map(|name| place.join(name));
        let mut bytes = 0;
        for file in 0..files {
            let content = text_of(&mut numbers, size(file));
            bytes += content.len() as u64;
            write(&first.join(name(file)), &content);
        }
        run(Command::new("cp").arg("-a").args([&first, &second]));
        for file in (0..files).step_by(100) {
            let path = second.join(name(file));
            let mut content = fs::read(&path).expect("it was written");
            if files == 1 {
                let (step, part) = (content.len() / 50, content.len() / 5000);
                for at in (0..content.len() - part).step_by(step) {
                    content.splice(at..at + part, text_of(&mut numbers, part).into_iter().take(part));
                }
                // Of equal size and time, `rsync` would take it for the same.
                content.push(b'\n');
            } else {
                content = text_of(&mut numbers, content.len() + 7);
            }
            write(&path, &content);
        }
        git(place, &["init", "-q", "-b", "main", &repository.to_string_lossy()]);
        let commits = [&first, &second].map(|folder| commit(&repository, folder));
        git(&repository, &["repack", "-a", "-d", "-q"]);
        Self { folders: [first, second], repository, commits, bytes, files }
    }

    /// Whether what lies there is one of the two, byte by byte.
    pub fn is(&self, version: usize, there: &Path) -> bool {
        let mut diff = Command::new("diff");
        diff.args(["-rq", "--no-dereference"]).arg(&self.folders[version]).arg(there);
        diff.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

fn name(file: usize) -> String {
    format!("part_{:03}/group_{}/file_{file:05}.txt", file / 100, file / 10 % 10)
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder");
    fs::write(path, content).expect("room for the tree");
}

fn commit(repository: &Path, folder: &Path) -> String {
    let tree = folder.to_string_lossy();
    git(repository, &["--work-tree", &tree, "add", "-A"]);
    git(repository, &["--work-tree", &tree, "commit", "-qm", "bench"]);
    let told = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(repository).output().expect("git starts");
    String::from_utf8_lossy(&told.stdout).trim().to_owned()
}

/// Runs a command that must succeed.
///
/// # Panics
/// When it does not.
pub fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
