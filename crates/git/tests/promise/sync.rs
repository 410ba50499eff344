//! A worktree comes up to date by going forwards only.

use std::fs;

use pleach_git::Error;
use pleach_git::worktree::{self, Head, Onto, Synced, WorktreeError};

use crate::sample::{Sample, assert_same_files, git};

#[test]
fn going_forward_brings_files_branch_and_index_along() {
    let sample = Sample::rich();
    sample.git(["branch", "release", "main"]);
    let made = sample.add("release", Head::Branch("release".into())).expect("made");
    fs::write(made.path.join("mine.txt"), "untracked").expect("written");
    sample.git(["switch", "-q", "three"]);
    sample.git(["rm", "-rq", "addons/module/static"]);
    sample.git(["rm", "-q", "link"]);
    sample.write("link/now a directory", "x\n");
    sample.git(["rm", "-q", "empty"]);
    sample.git(["update-index", "--chmod=-x", "run.sh"]);
    sample.git(["commit", "-q", "-m", "Mode"]);
    sample.git(["checkout", "-q", "--", "run.sh"]);
    let to = sample.commit("Shape");
    sample.git(["switch", "-q", "main"]);
    let synced = worktree::sync(&sample.repository(), "release", &Onto::Revision("three".into())).expect("synced");
    assert!(matches!(synced, Synced::Forwarded { to: at, .. } if at.as_str() == to));
    assert_eq!(git(&made.path, ["status", "--porcelain"]), "?? mine.txt");
    assert_eq!(git(&made.path, ["rev-parse", "HEAD"]), to);
    fs::remove_file(made.path.join("mine.txt")).expect("removed");
    sample.git(["worktree", "add", "-q", "--detach", "../judge", "three"]);
    assert_same_files(&made.path, &sample.beside("judge"));
    assert_eq!(git(&made.path, ["write-tree"]), git(&made.path, ["rev-parse", "HEAD^{tree}"]));
    let again = worktree::sync(&sample.repository(), "release", &Onto::Revision("main".into())).expect("synced");
    assert!(matches!(again, Synced::UpToDate { ahead: 3, .. }), "{again:?}");
}

#[test]
fn changes_and_files_in_the_way_stop_it_before_anything_is_written() {
    let sample = Sample::rich();
    sample.git(["branch", "release", "main"]);
    let made = sample.add("release", Head::Branch("release".into())).expect("made");
    let sync = || worktree::sync(&sample.repository(), "release", &Onto::Revision("three".into()));
    fs::write(made.path.join("README.md"), "mine").expect("written");
    assert!(matches!(sync(), Err(WorktreeError::Changed(_, lines)) if lines == ["modified: README.md"]));
    git(&made.path, ["checkout", "-q", "--", "README.md"]);
    fs::write(made.path.join("only-three.txt"), "mine").expect("written");
    assert!(matches!(sync(), Err(WorktreeError::Changed(_, lines)) if lines == ["not tracked: only-three.txt"]));
    assert_eq!(fs::read(made.path.join("only-three.txt")).expect("read"), b"mine");
    assert_eq!(git(&made.path, ["rev-parse", "HEAD"]), sample.git(["rev-parse", "main"]));
    fs::remove_file(made.path.join("only-three.txt")).expect("removed");
    sync().expect("nothing is in the way");
}

#[test]
fn histories_that_went_apart_are_not_forced_together() {
    let sample = Sample::rich();
    sample.add("one", Head::Branch("one".into())).expect("made");
    let error = worktree::sync(&sample.repository(), "one", &Onto::Revision("two".into())).expect_err("apart");
    assert!(matches!(error, WorktreeError::Repository(Error::NotFastForward(..))), "{error}");
}

#[test]
fn a_worktree_follows_its_upstream() {
    let sample = Sample::rich();
    git(sample.place.path(), ["clone", "-q", "main", "clone"]);
    let clone = sample.beside("clone");
    git(&clone, ["config", "user.name", "Sample"]);
    git(&clone, ["config", "user.email", "sample@example.com"]);
    git(&clone, ["branch", "-q", "one", "origin/one"]);
    let repository = pleach_git::Repository::discover(&clone).expect("found");
    let spec = crate::sample::spec("one", sample.beside("w"), Head::Branch("one".into()));
    worktree::add_many(&repository, &[spec], &|_| {}, &false.into()).remove(0).expect("made");
    sample.git(["switch", "-q", "one"]);
    let to = {
        sample.write("later.txt", "later\n");
        sample.commit("Later")
    };
    for backend in [pleach_git::FetchBackend::Native, pleach_git::FetchBackend::Git] {
        repository.fetch("origin", backend, &false.into()).expect("fetched");
    }
    assert!(matches!(worktree::sync(&repository, "one", &Onto::Upstream).expect("synced"), Synced::Forwarded { .. }));
    assert_eq!(git(&sample.beside("w"), ["rev-parse", "HEAD"]), to);
    assert!(matches!(
        repository.fetch("nowhere", pleach_git::FetchBackend::Auto, &false.into()),
        Err(Error::NoRemote(_))
    ));
}

#[test]
fn a_detached_worktree_goes_forward_too() {
    let sample = Sample::rich();
    let at = sample.repository().resolve("main").expect("a commit");
    let made = sample.add("loose", Head::Detached(at)).expect("made");
    worktree::sync(&sample.repository(), "loose", &Onto::Revision("two".into())).expect("synced");
    assert_eq!(git(&made.path, ["rev-parse", "HEAD"]), sample.git(["rev-parse", "two"]));
    assert_eq!(git(&made.path, ["status", "--porcelain"]), "");
    assert_eq!(sample.git(["rev-parse", "main"]), sample.repository().resolve("main").expect("a commit").to_string());
}
