//! Killed anywhere, side by side with others, or out of space: a worktree is whole or gone at the next call.
//!
//! The test binary runs itself as a child, with the one test [`child`] and its orders in the environment.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::AtomicBool;

use pleach_core::word::CommitId;
use pleach_git::Repository;
use pleach_git::worktree::{self, Head, Progress, State};

use crate::sample::{Sample, git, spec};

/// `ROOT|KILL AT|NAME:BRANCH,NAME:BRANCH…`; a branch that starts with `+` is new.
const ORDERS: &str = "PLEACH_TEST_ORDERS";

#[test]
fn child() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let [root, kill_at, wanted] = orders.split('|').collect::<Vec<_>>()[..] else { panic!("{orders}") };
    let repository = Repository::discover(Path::new(root)).expect("a repository");
    let specs: Vec<_> = wanted
        .split(',')
        .map(|pair| {
            let (name, branch) = pair.split_once(':').expect("name and branch");
            let head = match branch.strip_prefix('+') {
                Some(new) => {
                    Head::NewBranch { name: new.to_owned(), at: repository.resolve("main").expect("a commit") }
                }
                None => Head::Branch(branch.to_owned()),
            };
            spec(name, Path::new(root).with_file_name(name), head)
        })
        .collect();
    let seen = Cell::new(0);
    let count = |progress: Progress| {
        let step = match progress {
            Progress::Registered(_) => "registered",
            Progress::Writing { .. } => "writing",
            Progress::Finished(_) => "finished",
        };
        seen.set(seen.get() + 1);
        if kill_at == step || kill_at == format!("{}", seen.get()) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    };
    let made = worktree::add_many(&repository, &specs, &count, &AtomicBool::new(false));
    let failed: Vec<String> = made.into_iter().filter_map(|made| made.err().map(|error| error.to_string())).collect();
    println!("FAILED {}", failed.len());
    for error in &failed {
        println!("WHY {error}");
    }
}

fn command(sample: &Sample, kill_at: &str, wanted: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", "crash::child", "--nocapture"]);
    command.env(ORDERS, format!("{}|{kill_at}|{wanted}", sample.root.display())).stdin(Stdio::null());
    command
}

fn failures(output: &Output) -> usize {
    let told = String::from_utf8_lossy(&output.stdout);
    let count = told.lines().find_map(|line| line.split("FAILED ").nth(1)).expect("an answer");
    count.trim().parse().expect("a number")
}

/// What git and we say of the repository is consistent and every worktree is whole.
fn assert_whole(sample: &Sample, names: &[&str]) {
    let found = worktree::list(&sample.repository()).expect("listed");
    for made in &found {
        assert_eq!(made.state, State::Ok, "{made:?}");
        assert_eq!(made.locked, None);
        assert_eq!(git(&made.path, ["status", "--porcelain"]), "", "{}", made.name);
    }
    for name in names.iter().filter(|name| found.iter().all(|made| made.name != **name)) {
        assert!(!sample.beside(name).exists(), "{name} is half there");
    }
    assert_eq!(sample.git(["worktree", "list"]).lines().count(), found.len() + 1);
    sample.git(["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn a_kill_at_any_step_leaves_whole_worktrees_or_none_and_the_next_call_succeeds() {
    for kill_at in ["1", "2", "3", "writing", "finished", "5", "6"] {
        let sample = Sample::rich();
        let output = command(&sample, kill_at, "one:one,two:+fresh,three:three").output().expect("ran");
        assert!(!output.status.success(), "{kill_at}: the child was killed");
        assert_whole(&sample, &["one", "two", "three"]);
        let repository = sample.repository();
        let left: Vec<String> = worktree::list(&repository).expect("listed").into_iter().map(|w| w.name).collect();
        let branches = sample.git(["branch", "--list", "fresh"]);
        assert_eq!(!branches.is_empty(), left.contains(&"two".to_owned()), "{kill_at}: {left:?}");
        let missing: Vec<&str> = ["one:one", "two:+fresh", "three:three"]
            .into_iter()
            .filter(|w| !left.contains(&w.split(':').next().unwrap_or_default().to_owned()))
            .collect();
        if !missing.is_empty() {
            let again = command(&sample, "", &missing.join(",")).output().expect("ran");
            assert_eq!(failures(&again), 0, "{kill_at}: {}", String::from_utf8_lossy(&again.stdout));
        }
        assert_whole(&sample, &[]);
        assert_eq!(worktree::list(&repository).expect("listed").len(), 3);
    }
}

#[test]
fn many_processes_at_once_get_each_worktree_once() {
    let sample = Sample::rich();
    let mut children = Vec::new();
    for number in 0..8 {
        sample.git(["branch", &format!("b{number}"), "one"]);
    }
    for number in 0..8 {
        // Each of its own, and all of them want the same one as well.
        let wanted = format!("w{number}:b{number},same{number}:two");
        let child = command(&sample, "", &wanted).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        children.push(child.expect("started"));
    }
    let mut failed = 0;
    for child in children {
        failed += failures(&child.wait_with_output().expect("ended"));
    }
    assert_eq!(failed, 7, "one of eight gets the branch that all want");
    assert_whole(&sample, &[]);
    assert_eq!(worktree::list(&sample.repository()).expect("listed").len(), 9);
}

#[test]
fn running_out_of_space_takes_everything_back() {
    let sample = Sample::rich();
    sample.git(["switch", "-q", "-c", "big"]);
    fs::write(sample.root.join("zz-big.bin"), vec![7_u8; 3 << 20]).expect("written");
    sample.commit("Big");
    sample.git(["switch", "-q", "main"]);
    // No file above one megabyte: writing fails as on a full disk, half-way through the last file.
    let child = command(&sample, "", "big:big,one:one");
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$@\"", "sh"]).arg(child.get_program());
    limited.args(child.get_args()).envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = limited.output().expect("ran");
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(failures(&output), 1, "{told}");
    assert!(told.contains("WHY could not write") && told.contains("zz-big.bin"), "{told}");
    assert!(!sample.beside("big").exists());
    assert_eq!(worktree::list(&sample.repository()).expect("listed").len(), 1);
    assert_whole(&sample, &["big"]);
}

#[test]
fn sixty_four_at_once_are_all_made() {
    let sample = Sample::rich();
    let at = CommitId::new(sample.git(["rev-parse", "two"])).expect("an id");
    let names: Vec<String> = (0..64).map(|number| format!("w{number:02}")).collect();
    let specs: Vec<_> = names.iter().map(|name| spec(name, sample.beside(name), Head::Detached(at.clone()))).collect();
    let made = worktree::add_many(&sample.repository(), &specs, &|_| {}, &AtomicBool::new(false));
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    assert_eq!(sample.git(["worktree", "list"]).lines().count(), 65);
    assert_eq!(git(&sample.beside("w63"), ["status", "--porcelain"]), "");
}
