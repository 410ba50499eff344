//! What cannot be made is refused before anything is made, and the message says what to do.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use pleach_core::error::Explain as _;
use pleach_git::worktree::{self, Head, Progress, WorktreeError};

use crate::sample::{Sample, git, spec};

#[test]
fn a_branch_in_use_names_its_holder_and_offers_detach() {
    let sample = Sample::rich();
    sample.add("first", Head::Branch("one".into())).expect("made");
    let error = sample.add("second", Head::Branch("one".into())).expect_err("in use");
    let holder = sample.beside("first");
    assert_eq!(error, WorktreeError::CheckedOut { branch: "one".into(), at: holder.clone() });
    assert!(error.next().expect("a next step").contains("--detach"));
    let commit = sample.repository().resolve("one").expect("a commit");
    let second = sample.add("second", Head::Detached(commit.clone())).expect("made");
    assert_eq!((second.branch, second.commit), (None, Some(commit)));
    assert!(!sample.beside("second").join("nothing").exists());
}

#[test]
fn a_branch_that_is_being_rebased_is_in_use() {
    let sample = Sample::rich();
    sample.git(["worktree", "add", "-q", "../other", "one"]);
    let other = sample.beside("other");
    let status = std::process::Command::new("git")
        .args(["-C", &other.to_string_lossy(), "rebase", "two"])
        .output()
        .expect("git runs")
        .status;
    assert!(!status.success(), "the rebase stops at a conflict");
    let error = sample.add("again", Head::Branch("one".into())).expect_err("in use");
    assert!(matches!(error, WorktreeError::CheckedOut { .. }), "{error}");
}

#[test]
fn names_and_paths_in_use_are_refused_and_left_alone() {
    let sample = Sample::rich();
    sample.add("taken", Head::Branch("one".into())).expect("made");
    let full = sample.beside("full");
    fs::create_dir(&full).expect("made");
    fs::write(full.join("mine"), "x").expect("written");
    let file = sample.beside("file");
    fs::write(&file, "x").expect("written");
    let link = sample.beside("link");
    symlink("elsewhere", &link).expect("linked");
    let two = || Head::Branch("two".into());
    let mut specs = vec![spec("taken", sample.beside("new"), two())];
    specs.extend([&full, &file, &link].map(|path| spec("x", path.clone(), two())));
    specs.push(spec("y", sample.beside("taken"), two()));
    specs.push(spec("z", sample.root.clone(), two()));
    for name in ["", "../x", "a/b", "-x", "a b", "x.lock", "a..b"] {
        specs.push(spec(name, sample.beside("new"), two()));
    }
    for made in worktree::add_many(&sample.repository(), &specs, &|_| {}, &AtomicBool::new(false)) {
        let error = made.expect_err("refused");
        assert!(error.next().is_some(), "{error}");
    }
    assert_eq!(fs::read(full.join("mine")).expect("still there"), b"x");
    assert_eq!(sample.git(["worktree", "list"]).lines().count(), 2);
}

#[test]
fn an_empty_directory_odd_names_and_linked_parents_are_fine() {
    let sample = Sample::rich();
    let empty = sample.beside("leer und ü'\"");
    fs::create_dir(&empty).expect("made");
    let real = sample.beside("real");
    fs::create_dir(&real).expect("made");
    symlink(&real, sample.beside("alias")).expect("linked");
    let specs = [
        spec("a", empty.clone(), Head::Branch("one".into())),
        spec("b", sample.beside("alias").join("deep/er"), Head::Branch("two".into())),
    ];
    let made = worktree::add_many(&sample.repository(), &specs, &|_| {}, &AtomicBool::new(false));
    assert_eq!(made[0].as_ref().expect("made").path, empty);
    assert_eq!(made[1].as_ref().expect("made").path, real.join("deep/er"));
    assert_eq!(git(&empty, ["status", "--porcelain"]), "");
    assert_eq!(git(&real.join("deep/er"), ["status", "--porcelain"]), "");
}

#[test]
fn a_new_branch_starts_where_it_is_told_and_goes_with_a_failed_worktree() {
    let sample = Sample::rich();
    let at = sample.repository().resolve("one").expect("a commit");
    let fresh = |name: &str| Head::NewBranch { name: name.into(), at: at.clone() };
    let made = sample.add("topic", fresh("topic/x")).expect("made");
    assert_eq!((made.branch.as_deref(), made.commit.as_ref()), (Some("topic/x"), Some(&at)));
    assert!(sample.add("again", fresh("topic/x")).is_err());
    // The path's parent is a file: the failure comes after the branch was made.
    fs::write(sample.beside("file"), "x").expect("written");
    let broken = [spec("broken", sample.beside("file").join("below"), fresh("topic/y"))];
    let made = worktree::add_many(&sample.repository(), &broken, &|_| {}, &AtomicBool::new(false));
    assert!(made[0].is_err());
    assert_eq!(sample.git(["branch", "--list", "topic/y"]), "");
    assert_eq!(sample.git(["worktree", "list"]).lines().count(), 2);
}

#[test]
fn an_interruption_takes_back_what_is_not_complete() {
    let sample = Sample::rich();
    let stop = AtomicBool::new(false);
    let specs = ["one", "two"].map(|name| spec(name, sample.beside(name), Head::Branch(name.to_owned())));
    let after_registration = |progress: Progress| {
        if progress == Progress::Registered("two".to_owned()) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    for made in worktree::add_many(&sample.repository(), &specs, &after_registration, &stop) {
        assert_eq!(made.expect_err("stopped").kind(), pleach_core::error::Kind::Cancelled);
    }
    assert!(!sample.beside("one").exists() && !sample.beside("two").exists());
    assert_eq!(sample.git(["worktree", "list"]).lines().count(), 1);
    assert!(worktree::list(&sample.repository()).expect("listed").is_empty());
}

#[test]
fn a_path_that_escapes_is_never_written() {
    let sample = Sample::rich();
    let blob = sample.git(["hash-object", "-w", "README.md"]);
    let tree = std::process::Command::new("sh")
        .args(["-c", &format!("printf '100644 blob {blob}\\t.git\\n' | git mktree --missing")])
        .current_dir(&sample.root)
        .output()
        .expect("git runs");
    let tree = String::from_utf8_lossy(&tree.stdout).trim().to_owned();
    let commit = sample.git(["commit-tree", &tree, "-m", "Evil"]);
    let head = Head::Detached(pleach_core::word::CommitId::new(commit).expect("an id"));
    let error = sample.add("evil", head).expect_err("refused");
    assert!(error.to_string().contains(".git"), "{error}");
    assert!(!sample.beside("evil").exists());
}
