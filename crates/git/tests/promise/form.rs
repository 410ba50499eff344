//! Clones and formats that are not as git makes them by default are told for what they are.

use std::fs;
use std::path::Path;

use pleach_core::error::{Explain as _, Kind};
use pleach_git::worktree::{self, Head};
use pleach_git::{Error, Repository};

use crate::sample::{Sample, git};

#[test]
fn other_formats_are_unsupported_with_a_way_out() {
    let place = tempfile::tempdir().expect("a directory");
    for (name, option, word) in
        [("table", "--ref-format=reftable", "reftable"), ("sha256", "--object-format=sha256", "SHA-256")]
    {
        git(place.path(), ["init", "-q", option, name]);
        let error = Repository::discover(&place.path().join(name)).expect_err("not read");
        let Error::Format(_, cause, next) = &error else { panic!("{error}") };
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(cause.to_string().contains(word) && next.contains("git "), "{cause}: {next}");
    }
}

#[test]
fn what_a_partial_clone_left_out_is_told_once_with_what_gets_it() {
    let sample = Sample::rich();
    sample.git(["config", "uploadpack.allowFilter", "true"]);
    let from = format!("file://{}", sample.root.display());
    git(sample.place.path(), ["clone", "-q", "--filter=blob:none", "--no-checkout", &from, "partial"]);
    let partial = sample.beside("partial");
    let repository = Repository::discover(&partial).expect("found");
    let main = repository.resolve("main").expect("a commit");
    let error = repository.read_file(&main, Path::new("README.md")).expect_err("left out");
    assert!(matches!(error, Error::LeftOut { .. }), "{error}");
    let error = repository.require_directory(&main, Path::new("addons")).expect_err("left out");
    assert!(matches!(error, Error::LeftOut { .. }), "told before anything is begun: {error}");
    let out = tempfile::tempdir().expect("a directory");
    let error = repository.export(&main, Path::new(""), out.path()).expect_err("left out");
    assert_eq!(error.kind(), Kind::Rejected, "trying again gives the same: {error}");
    let next = error.next().expect("a next step");
    let shell = std::process::Command::new("sh").args(["-c", next.trim_matches('`')]).current_dir(&partial).output();
    assert!(shell.as_ref().is_ok_and(|output| output.status.success()), "{next}: {shell:?}");
    let out = tempfile::tempdir().expect("a directory");
    let repository = Repository::discover(&partial).expect("found");
    repository.require_directory(&main, Path::new("")).expect("all is there");
    repository.export(&main, Path::new(""), out.path()).expect("all is there");
    assert_eq!(fs::read(out.path().join("README.md")).expect("read"), b"# Sample\n");
}

#[test]
fn a_worktree_whose_repository_was_moved_names_what_repairs_it() {
    let sample = Sample::rich();
    let made = sample.add("one", Head::Branch("one".into())).expect("made");
    let moved = sample.beside("moved");
    fs::rename(&sample.root, &moved).expect("moved");
    let repository = Repository::discover(&moved).expect("found");
    for error in [
        Repository::discover(&made.path.join("addons")).expect_err("no repository"),
        match worktree::status_at(&repository, &made.path).expect_err("no repository") {
            worktree::WorktreeError::Repository(error) => error,
            other => panic!("{other}"),
        },
    ] {
        assert!(matches!(error, Error::Unlinked(..)), "{error}");
        let next = error.next().expect("a next step");
        assert!(next.contains(&format!("pleach worktree repair {}", made.path.display())), "{next}");
    }
    assert_eq!(worktree::repair(&repository, &[]).expect("repaired"), ["one"]);
    worktree::status_at(&repository, &made.path).expect("linked again");
}

#[test]
fn main_is_what_the_remote_says_and_told_when_it_is_not_here() {
    let sample = Sample::rich();
    git(sample.place.path(), ["clone", "-q", "main", "clone"]);
    let clone = sample.beside("clone");
    git(&clone, ["switch", "-q", "one"]);
    let open = || Repository::discover(&clone).expect("found");
    assert_eq!(open().default_branch().expect("one").name, "main");
    git(&clone, ["branch", "-q", "-D", "main"]);
    let gone = Error::OnlyRemote { name: "main".into(), remote: "origin".into() };
    assert_eq!(open().default_branch(), Err(gone.clone()));
    assert_eq!(open().require_branch("main"), Err(gone.clone()));
    // As after `git remote add` and `git fetch`, and on no branch.
    git(&clone, ["remote", "set-head", "origin", "--delete"]);
    git(&clone, ["checkout", "-q", "--detach", "origin/two"]);
    git(&clone, ["branch", "-q", "-D", "one"]);
    assert_eq!(open().default_branch(), Err(gone.clone()));
    assert_eq!(gone.next().as_deref(), Some("`git branch main origin/main`"));
    git(&clone, ["branch", "-q", "main", "origin/main"]);
    assert_eq!(open().default_branch().expect("one").name, "main");
    git(&clone, ["branch", "-q", "-D", "main"]);
    git(&clone, ["remote", "remove", "origin"]);
    assert!(matches!(open().default_branch(), Err(Error::NoBranches(_))), "there are commits");
}

#[test]
fn a_path_that_is_a_file_is_told_apart_from_one_that_is_not_there() {
    let sample = Sample::rich();
    let repository = sample.repository();
    let main = repository.resolve("main").expect("a commit");
    for (path, is_file) in [("run.sh", true), ("addons/module/f03.py", true), ("nowhere", false), ("addons/x", false)] {
        let out = tempfile::tempdir().expect("a directory");
        for error in [
            repository.require_directory(&main, Path::new(path)).expect_err("no directory"),
            repository.export(&main, Path::new(path), out.path()).expect_err("no directory"),
        ] {
            assert_eq!(matches!(error, Error::NotADirectory(..)), is_file, "{path}: {error}");
            assert!(error.next().expect("a next step").contains(main.short()), "{path}");
        }
    }
    repository.require_directory(&main, Path::new("addons/module")).expect("a directory");
}
