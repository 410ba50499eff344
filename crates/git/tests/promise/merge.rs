//! A merge is whole or leaves no trace.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use pleach_core::error::Explain as _;
use pleach_git::worktree::{Head, WorktreeError};
use pleach_git::{MergeError, MergeOutcome, MergeRequest};

use crate::sample::{Sample, git, snapshot};

fn request(sample: &Sample, into: &str, branch: &str) -> MergeRequest {
    MergeRequest {
        into: into.to_owned(),
        branch: branch.to_owned(),
        message: format!("Merge {branch} into {into}\n\nDeployment 0007, healthy."),
        identity: sample.repository().identity().expect("configured"),
    }
}

#[test]
fn a_merge_makes_the_tree_that_git_makes_and_brings_the_worktree_along() {
    let sample = Sample::rich();
    sample.git(["switch", "-q", "two"]);
    sample.write("addons/module/f03.py", "line\n");
    sample.git(["checkout", "-q", "main", "--", "addons/module/f03.py"]);
    sample.git(["commit", "-q", "-am", "As on main"]);
    sample.git(["switch", "-q", "main"]);
    fs::write(sample.root.join("README.md"), "my own change\n").expect("written");
    let judge = sample.git(["merge-tree", "--write-tree", "main", "two"]);
    let outcome = sample.repository().merge(&request(&sample, "main", "two")).expect("merged");
    let MergeOutcome::Merged { commit, updated, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(updated.as_deref(), Some(sample.root.as_path()));
    assert_eq!(sample.git(["rev-parse", "main^{tree}"]), judge);
    assert_eq!(sample.git(["rev-parse", "HEAD"]), commit.to_string());
    assert_eq!(sample.git(["rev-list", "--parents", "-1", "main"]).split(' ').count(), 3);
    assert_eq!(sample.git(["log", "-1", "--format=%s", "main"]), "Merge two into main");
    assert_eq!(sample.git(["status", "--porcelain"]), " M README.md");
    sample.git(["fsck", "--strict", "--no-dangling"]);
    let again = sample.repository().merge(&request(&sample, "main", "two")).expect("nothing to do");
    assert_eq!(again, MergeOutcome::AlreadyMerged { at: commit });
}

#[test]
fn a_branch_that_nobody_has_checked_out_is_merged_without_files() {
    let sample = Sample::rich();
    sample.git(["branch", "release", "main"]);
    let outcome = sample.repository().merge(&request(&sample, "release", "one")).expect("merged");
    assert!(matches!(outcome, MergeOutcome::Merged { updated: None, .. }), "a fast-forward would have done");
    assert_eq!(sample.git(["rev-list", "--count", "main..release"]), "2");
    assert_eq!(sample.git(["status", "--porcelain"]), "");
}

#[test]
fn a_conflict_names_files_and_commands_and_changes_nothing() {
    let sample = Sample::rich();
    let made = sample.add("one", Head::Branch("one".into())).expect("made");
    let before = (snapshot(&made.path), sample.git(["for-each-ref"]), sample.git(["count-objects"]));
    let error = sample.repository().merge(&request(&sample, "one", "two")).expect_err("a conflict");
    let MergeError::Conflict { files, commands, .. } = &error else { panic!("{error}") };
    assert_eq!(*files, [PathBuf::from("addons/module/f03.py")]);
    assert_eq!(commands[0], format!("cd {}", made.path.display()));
    assert!(error.next().expect("a next step").contains("git merge --no-ff two"));
    assert_eq!(before, (snapshot(&made.path), sample.git(["for-each-ref"]), sample.git(["count-objects"])));
    assert_eq!(git(&made.path, ["status", "--porcelain"]), "");
}

#[test]
fn what_a_conflict_says_to_do_next_can_be_pasted() {
    let sample = Sample::rich();
    let odd = ["-n it's.txt", "a*.txt", "two\nlines"];
    for (branch, text) in [("left", "left\n"), ("right", "right\n")] {
        sample.git(["switch", "-q", "-c", branch, "main"]);
        odd.iter().for_each(|name| sample.write(name, text));
        fs::write(sample.root.join(std::ffi::OsStr::from_bytes(b"latin-\xe9.txt")), text).expect("written");
        sample.write("addons/module/f03.py", text);
        sample.commit(branch);
    }
    sample.git(["tag", "right", "main"]);
    sample.git(["switch", "-q", "main"]);
    let editor = sample.beside("editor.sh");
    fs::write(&editor, "#!/bin/sh\nfor file; do echo resolved > \"$file\"; done\n").expect("written");
    fs::set_permissions(&editor, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    let made = sample.add("left", Head::Branch("left".into())).expect("made");
    fs::write(made.path.join("axis.txt"), "not part of it\n").expect("written");
    let error = sample.repository().merge(&request(&sample, "left", "right")).expect_err("a conflict");
    let next = error.next().expect("a next step");
    let output = std::process::Command::new("sh")
        .args(["-c", next.trim_matches('`')])
        .current_dir(sample.place.path())
        .env("EDITOR", &editor)
        .output()
        .expect("sh runs");
    assert!(output.status.success(), "{next}: {output:?}");
    assert_eq!(git(&made.path, ["rev-parse", "HEAD^2"]), sample.git(["rev-parse", "refs/heads/right"]));
    assert_eq!(git(&made.path, ["status", "--porcelain"]), "?? axis.txt");
    for name in odd {
        assert_eq!(fs::read(made.path.join(name)).expect("there"), b"resolved\n", "{name}");
    }
}

#[test]
fn a_change_in_a_file_that_the_merge_would_write_stops_it() {
    let sample = Sample::rich();
    fs::write(sample.root.join("addons/module/f03.py"), "mine\n").expect("written");
    fs::write(sample.root.join("README.md"), "mine too\n").expect("written");
    let error = sample.repository().merge(&request(&sample, "main", "one")).expect_err("in the way");
    match &error {
        MergeError::Worktree(WorktreeError::Changed(_, lines)) => {
            assert_eq!(*lines, ["modified: addons/module/f03.py"]);
        }
        other => panic!("{other}"),
    }
    assert_eq!(sample.git(["rev-parse", "main"]), sample.git(["rev-parse", "HEAD"]));
    assert_eq!(fs::read(sample.root.join("addons/module/f03.py")).expect("read"), b"mine\n");
}

#[test]
fn unrelated_histories_and_unknown_branches_are_told_apart() {
    let sample = Sample::rich();
    sample.git(["switch", "-q", "--orphan", "island"]);
    sample.write("island.txt", "x\n");
    sample.commit("Island");
    sample.git(["switch", "-q", "main"]);
    let unrelated = sample.repository().merge(&request(&sample, "main", "island")).expect_err("unrelated");
    assert!(matches!(unrelated, MergeError::Unrelated(..)), "{unrelated}");
    let unknown = sample.repository().merge(&request(&sample, "main", "tree")).expect_err("unknown");
    assert!(unknown.next().expect("a next step").contains("three"), "{unknown}");
}

#[test]
fn a_shallow_clone_is_told_to_get_the_rest_of_its_history() {
    let sample = Sample::rich();
    sample.git(["switch", "-q", "main"]);
    sample.write("more.txt", "x\n");
    sample.commit("More");
    let from = format!("file://{}", sample.root.display());
    git(sample.place.path(), ["clone", "-q", "--depth", "1", "--no-single-branch", &from, "shallow"]);
    let shallow = sample.beside("shallow");
    git(&shallow, ["branch", "-q", "one", "origin/one"]);
    let repository = pleach_git::Repository::discover(&shallow).expect("found");
    let error = repository.merge(&request(&sample, "main", "one")).expect_err("cut off");
    assert!(matches!(error, MergeError::Shallow(..)), "{error}");
    assert!(error.next().expect("a next step").contains("git fetch --unshallow"));
    git(&shallow, ["fetch", "-q", "--unshallow"]);
    let repository = pleach_git::Repository::discover(&shallow).expect("found");
    repository.merge(&request(&sample, "main", "one")).expect("merged");
}
