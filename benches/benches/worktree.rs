//! Five worktrees of a large repository, and 64 of a small one at once, beside `git worktree add`.
//!
//! `cargo bench -p pleach-bench --bench worktree`. `PLEACH_BENCH_DIR` names the disk; `PLEACH_BENCH_FILES` the size of
//! the large repository (40,000); `PLEACH_BENCH_ROUNDS` the rounds (5) and `PLEACH_BENCH_SMALL_ROUNDS` those of the
//! small one (100).

#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong, and prints rounded figures"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use pleach_bench::{BRANCHES, FILES, Table, Variant, describe_machine, ensure_large, git, in_turn, median, scratch};
use pleach_git::Repository;
use pleach_git::worktree::{self, Head, WorktreeSpec};

/// Set in a child that adds one worktree or more and ends.
const CHILD: &str = "PLEACH_BENCH_ADD";

fn main() {
    if let Some(words) = std::env::var_os(CHILD) {
        let words = words.to_string_lossy().into_owned();
        let mut words = words.split('\n');
        let (repository, folder) = (words.next().expect("a repository"), words.next().expect("a folder"));
        add(Path::new(repository), Path::new(folder), &words.collect::<Vec<_>>());
        return;
    }
    println!("{}", describe_machine());
    five_of_a_large_one();
    many_of_a_small_one();
}

fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn five_of_a_large_one() {
    let folder = scratch("worktree");
    let repository = folder.path().join("large");
    let (files, rounds) = (number("PLEACH_BENCH_FILES", FILES), number("PLEACH_BENCH_ROUNDS", 5));
    ensure_large(&repository, files);
    let trees = folder.path().join("trees");
    let clear = || clear(&repository, &trees);
    let add_all = || {
        for branch in BRANCHES {
            git(&repository, &["worktree", "add", "-q", &place(&trees, branch), branch]);
        }
    };
    let figures = in_turn(
        rounds,
        vec![
            Variant::new("pleach, one process", || in_child(&repository, &trees, &BRANCHES)).prepared(clear),
            Variant::new("pleach, five processes at once", || {
                side_by_side(BRANCHES.iter().map(|branch| child(&repository, &trees, &[branch])));
            })
            .prepared(clear),
            Variant::new("git worktree add, five at once", || {
                let add = |branch: &&str| {
                    git_command(&repository, &["worktree", "add", "-q", &place(&trees, branch), branch])
                };
                side_by_side(BRANCHES.iter().map(add));
            })
            .prepared(clear),
            Variant::new("bytes alone: the same files from memory", {
                let mut content = None;
                let (repository, trees) = (repository.clone(), trees.clone());
                move || write_bytes(content.get_or_insert_with(|| read_all(&repository)), &trees)
            })
            .prepared(clear),
            Variant::new("git worktree add, one after the other (peer)", add_all).prepared(clear),
        ],
    );
    let mut table =
        Table::new(format!("Five worktrees of a repository of {files} files, median of {rounds}"), &Table::FIGURES);
    table.figures(&figures);
    table.print();
    clear();
}

/// Every round adds 64 worktrees from 64 processes at once; the peer adds them one after the other.
fn many_of_a_small_one() {
    const MANY: usize = 64;
    let rounds = number("PLEACH_BENCH_SMALL_ROUNDS", 100);
    let folder = scratch("worktree");
    let repository = folder.path().join("small");
    ensure_large(&repository, 100);
    let branches: Vec<String> = (0..MANY).map(|at| format!("b{at}")).collect();
    for branch in &branches {
        git(&repository, &["branch", branch, "main"]);
    }
    let trees = folder.path().join("trees");
    let (mut ours, mut together, mut serial, mut failed) = (Vec::new(), Vec::new(), Vec::new(), [0, 0]);
    for _ in 0..rounds {
        clear(&repository, &trees);
        let begin = Instant::now();
        let children = branches.iter().map(|branch| child(&repository, &trees, &[branch]));
        failed[0] += failures(children);
        ours.push(begin.elapsed());
        clear(&repository, &trees);
        let begin = Instant::now();
        let add =
            |branch: &String| git_command(&repository, &["worktree", "add", "-q", &place(&trees, branch), branch]);
        failed[1] += failures(branches.iter().map(add));
        together.push(begin.elapsed());
        clear(&repository, &trees);
        let begin = Instant::now();
        for branch in &branches {
            git(&repository, &["worktree", "add", "-q", &place(&trees, branch), branch]);
        }
        serial.push(begin.elapsed());
    }
    clear(&repository, &trees);
    let peer = median(&serial).as_secs_f64();
    let mut table = Table::new(
        format!("{MANY} worktrees of a repository of 100 files, {rounds} rounds"),
        &["variant", "median", "ratio", "failures"],
    );
    let names = [
        "pleach, 64 processes at once",
        "git worktree add, 64 at once",
        "git worktree add, one after the other (peer)",
    ];
    for (name, (times, failed)) in names.iter().zip([(&ours, failed[0]), (&together, failed[1]), (&serial, 0)]) {
        let time = median(times).as_secs_f64();
        table.row(vec![(*name).into(), format!("{time:.3} s"), format!("{:.2}", time / peer), failed.to_string()]);
    }
    table.print();
}

fn place(trees: &Path, branch: &str) -> String {
    trees.join(branch.replace('/', "-")).to_string_lossy().into_owned()
}

/// Back to no worktrees. What was written is flushed, so that one variant does not pay for another's pages.
fn clear(repository: &Path, trees: &Path) {
    let _ = fs::remove_dir_all(trees);
    fs::create_dir_all(trees).expect("a folder");
    let _ = fs::remove_dir_all(repository.join(".git/worktrees"));
    let _ = fs::remove_dir_all(repository.join(".git/pleach"));
    let _ = Command::new("sync").status();
}

fn add(repository: &Path, folder: &Path, branches: &[&str]) {
    let repository = Repository::discover(repository).expect("a repository");
    let spec = |branch: &&str| WorktreeSpec {
        name: branch.replace('/', "-"),
        path: folder.join(branch.replace('/', "-")),
        head: Head::Branch((*branch).to_owned()),
        purpose: None,
        owner: None,
        created_by: "bench".into(),
        environment: BTreeMap::new(),
    };
    let specs: Vec<WorktreeSpec> = branches.iter().map(spec).collect();
    for added in worktree::add_many(&repository, &specs, &|_| {}, &AtomicBool::new(false)) {
        added.expect("a worktree");
    }
}

/// This program again, adding worktrees: start to exit, as a user pays for it.
fn child(repository: &Path, folder: &Path, branches: &[&str]) -> Command {
    let program = std::env::current_exe().expect("this program has a path");
    let mut words = vec![repository.to_string_lossy().into_owned(), folder.to_string_lossy().into_owned()];
    words.extend(branches.iter().map(ToString::to_string));
    let mut command = Command::new(program);
    command.env(CHILD, words.join("\n")).stdout(Stdio::null());
    command
}

fn in_child(repository: &Path, folder: &Path, branches: &[&str]) {
    side_by_side(std::iter::once(child(repository, folder, branches)));
}

fn git_command(repository: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(repository).stdout(Stdio::null()).stderr(Stdio::null());
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

/// How many of the commands, all started at once, failed.
fn failures(commands: impl Iterator<Item = Command>) -> usize {
    let children: Vec<_> = commands.map(|mut command| command.spawn().expect("it starts")).collect();
    children.into_iter().filter_map(|mut child| child.wait().ok()).filter(|status| !status.success()).count()
}

fn side_by_side(commands: impl Iterator<Item = Command>) {
    failures(commands);
}

/// The paths and contents of all files of the main worktree.
fn read_all(repository: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![repository.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                if !path.ends_with(".git") {
                    folders.push(path);
                }
            } else {
                let content = fs::read(&path).expect("a file");
                files.push((path.strip_prefix(repository).expect("below it").to_owned(), content));
            }
        }
    }
    files.sort();
    files
}

/// What no way of making five worktrees can avoid: creating the files and writing the bytes, on two threads.
fn write_bytes(files: &[(PathBuf, Vec<u8>)], trees: &Path) {
    std::thread::scope(|scope| {
        for half in [0, 1] {
            scope.spawn(move || {
                for tree in (0..5).filter(|tree| tree % 2 == half) {
                    let root = trees.join(tree.to_string());
                    let mut last = PathBuf::new();
                    for (path, content) in files {
                        let parent = path.parent().unwrap_or(Path::new(""));
                        if last != parent {
                            fs::create_dir_all(root.join(parent)).expect("a folder");
                            last = parent.to_owned();
                        }
                        fs::write(root.join(path), content).expect("a file");
                    }
                }
            });
        }
    });
}
