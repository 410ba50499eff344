//! A repository is found, or the reason why not is told with what to do next.

use std::fs;
use std::path::Path;

use pleach_core::error::Explain as _;
use pleach_git::worktree::Head;
use pleach_git::{Error, Layout, Repository};

use crate::sample::{Sample, git};

#[test]
fn a_directory_without_a_repository_is_told_how_to_get_one() {
    let place = tempfile::tempdir().expect("a directory");
    let error = Repository::discover(place.path()).expect_err("no repository");
    assert!(matches!(error, Error::NotARepository(_)));
    assert!(error.next().expect("a next step").contains("git init"));
}

#[test]
fn a_worktree_leads_to_its_repository_through_links_and_odd_names() {
    let sample = Sample::rich();
    let made = sample.add("odd", Head::Branch("one".into())).expect("made");
    let inside = made.path.join("addons");
    let link = sample.beside("ein Verweis ü");
    std::os::unix::fs::symlink(&inside, &link).expect("linked");
    let repository = Repository::discover(&link).expect("found");
    assert_eq!(repository.root(), sample.root);
    assert_eq!(repository.current_worktree(), made.path);
    assert_eq!(repository.common_dir(), sample.root.join(".git"));
}

#[test]
fn a_repository_without_commits_is_found_and_says_so_when_a_commit_is_needed() {
    let sample = Sample::empty();
    let repository = sample.repository();
    assert!(repository.branches().expect("listed").is_empty());
    for rev in ["HEAD", "main"] {
        let error = repository.resolve(rev).expect_err("no commit");
        assert!(matches!(error, Error::NoCommits(_)), "{rev}: {error}");
        assert!(error.next().expect("a next step").contains("git commit"));
    }
    let error = sample.add("x", Head::Branch("main".into())).expect_err("refused");
    assert!(error.to_string().contains("is checked out") || error.to_string().contains("has no commits"), "{error}");
}

#[test]
fn a_bare_repository_is_reported_and_takes_worktrees() {
    let sample = Sample::rich();
    let bare = sample.beside("bare.git");
    git(sample.place.path(), ["clone", "-q", "--bare", "main", "bare.git"]);
    let repository = Repository::discover(&bare).expect("found");
    assert_eq!(repository.layout(), Layout::Bare);
    assert_eq!(repository.root(), bare);
    let spec = crate::sample::spec("one", sample.beside("from bare"), Head::Branch("one".into()));
    let made = pleach_git::worktree::add_many(&repository, &[spec], &|_| {}, &false.into()).remove(0).expect("made");
    assert_eq!(git(&made.path, ["status", "--porcelain"]), "");
    assert_eq!(Repository::discover(&made.path).expect("found").layout(), Layout::Bare);
}

#[test]
fn a_misspelt_branch_gets_the_nearest_name() {
    let sample = Sample::rich();
    let error = sample.repository().resolve("thee").expect_err("unknown");
    assert_eq!(error, Error::UnknownRevision("thee".into(), Some("three".into())));
}

#[test]
fn a_branch_comes_before_a_tag_of_the_same_name() {
    let sample = Sample::rich();
    sample.git(["tag", "main", "refs/heads/two"]);
    let repository = sample.repository();
    assert_eq!(repository.resolve("main").expect("a commit").as_str(), sample.git(["rev-parse", "refs/heads/main"]));
    assert_eq!(repository.resolve("tags/main").expect("a tag").as_str(), sample.git(["rev-parse", "refs/heads/two"]));
    let divergence = repository.ahead_behind("two", "main").expect("counted");
    assert_eq!((divergence.ahead, divergence.behind), (1, 0));
    // A branch named like an id does not stand for it.
    let (one, two) = (sample.git(["rev-parse", "one"]), sample.git(["rev-parse", "two"]));
    sample.git(["update-ref", &format!("refs/heads/{one}"), &two]);
    assert_eq!(repository.resolve(&one).expect("a commit").as_str(), one);
}

#[test]
fn branches_tell_where_they_are_checked_out_and_what_they_follow() {
    let sample = Sample::rich();
    let bare = sample.beside("origin.git");
    git(sample.place.path(), ["clone", "-q", "--bare", "main", "origin.git"]);
    sample.git(["remote", "add", "origin", &bare.to_string_lossy()]);
    sample.git(["fetch", "-q", "origin"]);
    sample.git(["branch", "-q", "-u", "origin/one", "one"]);
    sample.add("two", Head::Branch("two".into())).expect("made");
    let branches = sample.repository().branches().expect("listed");
    let find = |name: &str| branches.iter().find(|branch| branch.name == name).expect("there");
    assert_eq!(find("one").upstream.as_deref(), Some("origin/one"));
    assert_eq!(find("two").checked_out_in.as_deref(), Some(sample.beside("two").as_path()));
    assert_eq!(find("main").checked_out_in.as_deref(), Some(sample.root.as_path()));
    assert_eq!(find("three").checked_out_in, None);
    assert_eq!(sample.repository().default_branch().expect("one").name, "main");
    let divergence = sample.repository().ahead_behind("one", "two").expect("counted");
    assert_eq!((divergence.ahead, divergence.behind), (1, 1));
}

#[test]
fn files_of_a_commit_are_read_without_checking_it_out() {
    let sample = Sample::rich();
    let repository = sample.repository();
    let one = repository.resolve("one").expect("a commit");
    let names: Vec<_> = repository.tree(&one, Path::new("")).expect("listed").into_iter().map(|e| e.path).collect();
    let expected = sample.git(["ls-tree", "-r", "--name-only", "-z", "one"]);
    assert_eq!(names.len(), expected.split('\0').filter(|name| !name.is_empty()).count());
    let read = |path: &str| repository.read_file(&one, Path::new(path)).expect("read");
    assert_eq!(read("only-one.txt").as_deref(), Some(b"new\n".as_slice()));
    assert_eq!(read("only-two.txt"), None);
    assert_eq!(repository.commit_info(&one).expect("read").subject, "Work on one");
    fs::write(sample.root.join("README.md"), "changed").expect("written");
    assert_eq!(read("README.md").as_deref(), Some(b"# Sample\n".as_slice()));
}
