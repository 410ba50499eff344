//! A worktree made here is the one that git would have made.

use std::sync::atomic::AtomicBool;

use pleach_git::worktree::{self, Head, State};

use crate::sample::{Sample, assert_same_files, git, spec};

#[test]
fn many_at_once_equal_what_git_makes() {
    let sample = Sample::rich();
    let repository = sample.repository();
    let specs: Vec<_> =
        ["one", "two", "three"].map(|name| spec(name, sample.beside(name), Head::Branch(name.to_owned()))).into();
    for made in worktree::add_many(&repository, &specs, &|_| {}, &AtomicBool::new(false)) {
        let made = made.expect("made");
        assert_eq!(made.state, State::Ok);
        sample.git(["worktree", "add", "-q", "--detach", "../judge", &made.name]);
        assert_same_files(&made.path, &sample.beside("judge"));
        sample.git(["worktree", "remove", "../judge"]);
        assert_eq!(git(&made.path, ["status", "--porcelain"]), "", "{}", made.name);
        assert_eq!(git(&made.path, ["branch", "--show-current"]), made.name);
    }
    sample.git(["fsck", "--strict", "--no-dangling"]);
    assert_eq!(sample.git(["worktree", "list"]).lines().count(), 4);
    assert_eq!(sample.git(["status", "--porcelain"]), "");
}
