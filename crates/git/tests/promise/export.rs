//! An export is what a check-out of that directory would hold.

use std::fs;
use std::path::Path;

use pleach_core::port::{Source as _, SourceRef};
use pleach_git::{Error, GitSource};

use crate::sample::{Sample, assert_same_files, git};

#[test]
fn a_subdirectory_is_exported_with_the_attributes_above_it() {
    let sample = Sample::rich();
    sample.write(".gitattributes", "*.py text eol=crlf\n");
    sample.write("addons/.gitattributes", "f01.py -text\n");
    sample.commit("Attributes");
    let repository = sample.repository();
    let commit = repository.resolve("main").expect("a commit");
    sample.git(["worktree", "add", "-q", "--detach", "../judge", "main"]);
    for (path, name) in [("", "all"), ("addons/module", "part"), ("./addons/module/", "dotted")] {
        let destination = sample.beside(name);
        fs::create_dir(&destination).expect("made");
        let summary = repository.export(&commit, Path::new(path), &destination).expect("exported");
        assert_same_files(&destination, &sample.beside("judge").join(path));
        assert!(summary.files > 30 && summary.bytes > 1000, "{summary:?}");
    }
    let source = repository.source(&commit, Path::new("addons/module")).expect("a source");
    for entry in source.list().expect("listed").iter().filter(|entry| entry.mode == pleach_git::Mode::File) {
        let content = source.read(entry).expect("read");
        assert_eq!(content, fs::read(sample.beside("part").join(&entry.path)).expect("read"), "{:?}", entry.path);
    }
    let converted = fs::read(sample.beside("part").join("f02.py")).expect("read");
    assert!(converted.windows(2).any(|pair| pair == b"\r\n"));
}

#[tokio::test]
async fn a_source_walks_a_tree_once_and_not_for_each_file_and_keeps_commits_apart() {
    let sample = Sample::empty();
    let mut trees = Vec::new();
    for (attributes, expected) in [("", "one\n"), ("*.txt text eol=crlf\n", "one\r\n")] {
        sample.write(".gitattributes", attributes);
        sample.write("a.txt", "one\n");
        sample.commit("Attributes");
        let commit = sample.repository().resolve("main").expect("a commit");
        trees.push((SourceRef { commit, path: "".into() }, expected));
    }
    let source = GitSource::new(sample.repository());
    for round in 0..2 {
        for (tree, expected) in &trees {
            let object = sample.git(["rev-parse", &format!("{}^{{tree}}", tree.commit)]);
            let (folder, name) = object.trim().split_at(2);
            let place = sample.root.join(".git/objects").join(folder).join(name);
            let aside = place.with_extension("aside");
            let entries = source.list(tree).await.expect("listed");
            // Without its tree, no walk can succeed.
            fs::rename(&place, &aside).expect("a loose object");
            let file = entries.iter().find(|entry| entry.path == Path::new("a.txt")).expect("listed");
            let content = source.read(tree, file).await.expect("read");
            fs::rename(&aside, &place).expect("put back");
            assert_eq!(content, expected.as_bytes(), "{round}");
        }
    }
}

#[test]
fn a_missing_path_and_a_directory_in_use_are_refused() {
    let sample = Sample::rich();
    let repository = sample.repository();
    let commit = repository.resolve("main").expect("a commit");
    let place = sample.beside("out");
    fs::create_dir(&place).expect("made");
    let error = repository.export(&commit, Path::new("services/none"), &place).expect_err("refused");
    assert!(matches!(error, Error::NoPath(..)), "{error}");
    fs::write(place.join("mine"), "x").expect("written");
    let error = repository.export(&commit, Path::new(""), &place).expect_err("refused");
    assert!(matches!(error, Error::File(..)), "{error}");
    assert_eq!(fs::read(place.join("mine")).expect("still there"), b"x");
}

#[test]
fn files_are_committed_without_a_worktree() {
    let sample = Sample::rich();
    let repository = sample.repository();
    let before = repository.resolve("one").expect("a commit");
    let changes = [
        pleach_git::FileChange::Write {
            path: "deploy/run.sh".into(),
            content: b"#!/bin/sh\n".to_vec(),
            mode: pleach_git::FileMode::Executable,
        },
        pleach_git::FileChange::Remove { path: "only-one.txt".into() },
    ];
    let identity = repository.identity().expect("configured");
    let after = repository.commit_files("one", &before, &changes, "Deploy", &identity).expect("committed");
    let told = git(&sample.root, ["diff", "--name-status", "one~1", "one"]);
    assert_eq!(told, "A\tdeploy/run.sh\nD\tonly-one.txt");
    assert_eq!(sample.git(["ls-tree", "one", "deploy/run.sh"]).split(' ').next(), Some("100755"));
    sample.git(["fsck", "--strict"]);
    let stale = repository.commit_files("one", &before, &changes, "Again", &identity).expect_err("moved since");
    assert!(matches!(stale, Error::Moved { .. }), "{stale}");
    assert_eq!(repository.resolve("one").expect("a commit"), after);
    let busy = repository.commit_files("main", &before, &changes, "Busy", &identity).expect_err("checked out");
    assert!(matches!(busy, Error::CheckedOut(..)), "{busy}");
}
