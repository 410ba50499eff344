//! Attributes and filters give the same bytes as `git worktree add`.

use std::sync::atomic::AtomicBool;

use pleach_git::worktree::{self, Head};

use crate::sample::{Sample, assert_same_files, git, spec};

fn all_equal_git(sample: &Sample, branches: &[&str]) {
    let specs: Vec<_> =
        branches.iter().map(|name| spec(name, sample.beside(name), Head::Branch((*name).to_owned()))).collect();
    for made in worktree::add_many(&sample.repository(), &specs, &|_| {}, &AtomicBool::new(false)) {
        let made = made.expect("made");
        sample.git(["worktree", "add", "-q", "--detach", "../judge", &made.name]);
        assert_same_files(&made.path, &sample.beside("judge"));
        sample.git(["worktree", "remove", "--force", "../judge"]);
        assert_eq!(git(&made.path, ["status", "--porcelain"]), "", "{}", made.name);
    }
}

#[test]
fn line_ends_identifiers_and_encodings_are_converted_for_each_branch_by_its_own_attributes() {
    let sample = Sample::empty();
    sample.write("a.txt", "one\ntwo\n");
    sample.write("b.bin", "one\ntwo\n");
    sample.write("sub/c.txt", "three\nfour\n");
    sample.write("id.txt", "$Id$\n");
    sample.write("wide.txt", "text\n");
    sample.commit("Plain");
    sample.git(["switch", "-q", "-c", "windows"]);
    sample.write(".gitattributes", "*.txt text eol=crlf\n*.bin -text\nid.txt ident\n");
    sample.write("sub/.gitattributes", "c.txt eol=lf\n");
    sample.commit("Windows");
    sample.git(["switch", "-q", "-c", "wide", "main"]);
    sample.write(".gitattributes", "wide.txt text working-tree-encoding=UTF-16LE-BOM\n");
    sample.git(["add", ".gitattributes"]);
    sample.git(["commit", "-q", "-m", "Wide"]);
    sample.git(["switch", "-q", "main"]);
    sample.git(["branch", "plain"]);
    all_equal_git(&sample, &["windows", "wide", "plain"]);
}

#[test]
fn filter_drivers_run_only_where_attributes_ask_for_them() {
    let sample = Sample::empty();
    sample.git(["config", "filter.shout.smudge", "tr a-z A-Z"]);
    sample.git(["config", "filter.shout.clean", "tr A-Z a-z"]);
    sample.git(["config", "filter.shout.required", "true"]);
    sample.write("loud.txt", "quiet words\n");
    sample.write("other.txt", "quiet words\n");
    sample.commit("Words");
    sample.git(["branch", "plain"]);
    sample.git(["switch", "-q", "-c", "loud"]);
    sample.write(".gitattributes", "loud.txt filter=shout\n");
    sample.commit("Loud");
    sample.git(["switch", "-q", "main"]);
    all_equal_git(&sample, &["loud", "plain"]);
    let loud = std::fs::read_to_string(sample.beside("loud").join("loud.txt")).expect("read");
    assert_eq!(loud, "QUIET WORDS\n");
}

#[test]
fn automatic_line_ends_of_the_user_are_honoured() {
    let sample = Sample::empty();
    sample.write("a.txt", "one\ntwo\n");
    sample.commit("Text");
    sample.git(["config", "core.autocrlf", "true"]);
    sample.git(["branch", "b"]);
    all_equal_git(&sample, &["b"]);
    assert_eq!(std::fs::read(sample.beside("b").join("a.txt")).expect("read"), b"one\r\ntwo\r\n");
}

#[test]
fn a_sparse_repository_gives_sparse_worktrees() {
    let sample = Sample::rich();
    sample.git(["sparse-checkout", "set", "addons"]);
    all_equal_git(&sample, &["one"]);
    assert!(!sample.beside("one").join("nothing").exists());
}

#[test]
fn a_failing_required_filter_takes_only_its_own_worktree_back() {
    let sample = Sample::empty();
    sample.git(["config", "filter.broken.smudge", "false"]);
    sample.git(["config", "filter.broken.clean", "cat"]);
    sample.git(["config", "filter.broken.required", "true"]);
    sample.write("a.txt", "text\n");
    sample.commit("Text");
    sample.git(["branch", "fine"]);
    sample.git(["switch", "-q", "-c", "broken"]);
    sample.write(".gitattributes", "a.txt filter=broken\n");
    sample.commit("Broken");
    sample.git(["-c", "filter.broken.smudge=cat", "switch", "-q", "main"]);
    let specs: Vec<_> =
        ["broken", "fine"].map(|name| spec(name, sample.beside(name), Head::Branch(name.to_owned()))).into();
    let made = worktree::add_many(&sample.repository(), &specs, &|_| {}, &AtomicBool::new(false));
    assert!(made[0].is_err(), "{made:?}");
    assert!(made[1].is_ok(), "{made:?}");
    assert!(!sample.beside("broken").exists());
    assert_eq!(sample.git(["worktree", "list"]).lines().count(), 2);
}
