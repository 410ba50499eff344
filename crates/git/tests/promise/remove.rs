//! Nothing of the user's goes with a worktree, and a removal can be taken back.

use std::fs;
use std::time::Duration;

use pleach_core::error::Explain as _;
use pleach_git::worktree::{self, Head, Removal, State, Unlocked, WorktreeError};

use crate::sample::{Sample, assert_same_files, git, snapshot};

fn refusal(sample: &Sample, name: &str) -> Vec<String> {
    match worktree::remove(&sample.repository(), name, Removal::Careful) {
        Err(WorktreeError::Dirty { what, .. }) => what,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn each_kind_of_work_is_listed_and_keeps_the_worktree() {
    let sample = Sample::rich();
    sample.write(".gitignore", ".env\n*.pyc\n__pycache__/\nfilestore/\nbuild/\n");
    sample.commit("Ignore");
    sample.git(["branch", "work"]);
    let made = sample.add("work", Head::Branch("work".into())).expect("made");
    let write = |path: &str, text: &str| {
        let path = made.path.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    };
    write("addons/module/__pycache__/x.pyc", "cache");
    write("loose.pyc", "cache");
    write("build/__pycache__/y.pyc", "cache");
    write("README.md", "changed\n");
    write("staged.txt", "staged\n");
    git(&made.path, ["add", "staged.txt"]);
    write("loose.txt", "untracked\n");
    write(".env", "SECRET=1\n");
    write("filestore/ab/abc", "attachment");
    assert_eq!(
        refusal(&sample, "work"),
        [
            "modified: README.md",
            "staged: staged.txt",
            "untracked: loose.txt",
            "ignored, but not a cache: .env",
            "ignored, but not a cache: filestore/",
        ]
    );
    assert!(made.path.join(".env").exists());
    git(&made.path, ["reset", "-q", "--hard"]);
    git(&made.path, ["clean", "-qfd"]);
    fs::remove_file(made.path.join(".env")).expect("removed");
    fs::remove_dir_all(made.path.join("filestore")).expect("removed");
    worktree::remove(&sample.repository(), "work", Removal::Careful).expect("only caches are left");
    assert!(!made.path.exists());
    assert_eq!(sample.git(["worktree", "list"]).lines().count(), 1);
    assert_eq!(sample.git(["branch", "--list", "work"]), "  work");
}

#[test]
fn commits_that_are_nowhere_else_keep_the_worktree() {
    let sample = Sample::rich();
    let at = sample.repository().resolve("one").expect("a commit");
    let made = sample.add("loose", Head::Detached(at)).expect("made");
    worktree::remove(&sample.repository(), "loose", Removal::Careful).expect("nothing was done in it");
    worktree::undo(&sample.repository()).expect("brought back");
    git(&made.path, ["commit", "-q", "--allow-empty", "-m", "Only here"]);
    assert_eq!(refusal(&sample, "loose").len(), 1);
    let commit = git(&made.path, ["rev-parse", "HEAD"]);
    worktree::remove(&sample.repository(), "loose", Removal::Discard).expect("asked for");
    sample.git(["gc", "-q", "--prune=now"]);
    assert_eq!(sample.git(["cat-file", "-t", &commit]), "commit", "kept until the trash is emptied");
    worktree::undo(&sample.repository()).expect("brought back");
    assert_eq!(git(&made.path, ["rev-parse", "HEAD"]), commit);
    assert_eq!(sample.git(["for-each-ref", "refs/pleach"]), "");
}

#[test]
fn commits_that_were_not_pushed_keep_the_worktree_where_there_is_a_remote() {
    let sample = Sample::rich();
    git(sample.place.path(), ["clone", "-q", "--bare", "main", "origin.git"]);
    sample.git(["remote", "add", "origin", "../origin.git"]);
    sample.git(["fetch", "-q", "origin"]);
    let made = sample.add("one", Head::Branch("one".into())).expect("made");
    git(&made.path, ["commit", "-q", "--allow-empty", "-m", "Not pushed"]);
    assert_eq!(refusal(&sample, "one").len(), 1);
    git(&made.path, ["push", "-q", "origin", "one"]);
    worktree::remove(&sample.repository(), "one", Removal::Careful).expect("pushed");
}

#[test]
fn undo_brings_back_every_byte() {
    let sample = Sample::rich();
    let made = sample.add("one", Head::Branch("one".into())).expect("made");
    fs::write(made.path.join("loose.txt"), "untracked").expect("written");
    fs::write(made.path.join("README.md"), "changed").expect("written");
    git(&made.path, ["add", "README.md"]);
    let (before, status) = (snapshot(&made.path), git(&made.path, ["status", "--porcelain"]));
    worktree::remove(&sample.repository(), "one", Removal::Discard).expect("removed");
    assert!(!made.path.exists());
    // The branch is free meanwhile, and in the way when it is taken.
    sample.git(["switch", "-q", "one"]);
    assert!(matches!(worktree::undo(&sample.repository()), Err(WorktreeError::CheckedOut { .. })));
    sample.git(["switch", "-q", "main"]);
    let back = worktree::undo(&sample.repository()).expect("brought back");
    assert_eq!(back, made);
    assert_eq!(snapshot(&made.path), before);
    assert_eq!(git(&made.path, ["status", "--porcelain"]), status);
    assert_eq!(worktree::undo(&sample.repository()), Err(WorktreeError::NothingToUndo));
}

#[test]
fn undo_makes_a_branch_again_that_was_deleted_meanwhile() {
    let sample = Sample::rich();
    let repository = sample.repository();
    let made = sample.add("one", Head::Branch("one".into())).expect("made");
    fs::write(made.path.join("README.md"), "changed").expect("written");
    let tip = sample.git(["rev-parse", "one"]);
    worktree::remove(&repository, "one", Removal::Discard).expect("removed");
    sample.git(["branch", "-q", "-D", "one"]);
    let back = worktree::undo(&repository).expect("brought back");
    assert_eq!(back, made);
    assert_eq!(git(&made.path, ["rev-parse", "refs/heads/one"]), tip);
    assert_eq!(git(&made.path, ["status", "--porcelain"]), " M README.md");
    // What moved on meanwhile is not moved back.
    worktree::remove(&repository, "one", Removal::Discard).expect("removed");
    sample.git(["branch", "-q", "-f", "one", "two"]);
    worktree::undo(&repository).expect("brought back");
    assert_eq!(sample.git(["rev-parse", "one"]), sample.git(["rev-parse", "two"]));
}

#[test]
fn undo_refuses_a_branch_whose_commit_is_gone_and_keeps_the_files() {
    let sample = Sample::rich();
    let repository = sample.repository();
    let made = sample.add("one", Head::Branch("one".into())).expect("made");
    let tip = sample.git(["rev-parse", "one"]);
    worktree::remove(&repository, "one", Removal::Careful).expect("removed");
    sample.git(["branch", "-q", "-D", "one"]);
    sample.git(["reflog", "expire", "--expire=now", "--all"]);
    sample.git(["gc", "-q", "--prune=now"]);
    let error = worktree::undo(&sample.repository()).expect_err("the commit was collected");
    assert!(matches!(&error, WorktreeError::BranchGone { commit, .. } if commit.as_str() == tip), "{error}");
    assert!(error.next().expect("a next step").contains(&tip));
    assert!(!made.path.exists());
    sample.git(["branch", "-q", "one", "two"]);
    worktree::undo(&sample.repository()).expect("brought back");
    assert!(made.path.join("only-one.txt").is_file());
}

#[test]
fn prune_forgets_missing_worktrees_but_not_locked_ones() {
    let sample = Sample::rich();
    let repository = sample.repository();
    for name in ["one", "two"] {
        let made = sample.add(name, Head::Branch(name.into())).expect("made");
        fs::remove_dir_all(&made.path).expect("removed");
    }
    sample.git(["worktree", "lock", "--reason", "on a stick", "../two"]);
    let states: Vec<_> = worktree::list(&repository).expect("listed").into_iter().map(|w| w.state).collect();
    assert_eq!(states, [State::Missing, State::Missing]);
    let pruned = worktree::prune(&repository, Duration::from_secs(86_400)).expect("pruned");
    assert_eq!((pruned.missing, pruned.deleted), (vec!["one".to_owned()], Vec::new()));
    let left = worktree::list(&repository).expect("listed");
    assert_eq!((left[0].name.as_str(), left[0].locked.as_deref()), ("two", Some("on a stick")));
    let emptied = worktree::prune(&repository, Duration::ZERO).expect("pruned");
    assert_eq!(emptied.deleted, ["one"]);
    assert_eq!(fs::read_dir(repository.state_dir().join("trash")).expect("a trash").count(), 0);
}

#[test]
fn a_locked_worktree_tells_why_and_stays() {
    let sample = Sample::rich();
    let repository = sample.repository();
    sample.add("one", Head::Branch("one".into())).expect("made");
    worktree::lock(&repository, "one", "release day").expect("locked");
    assert!(sample.git(["worktree", "list", "--porcelain"]).contains("locked release day"));
    for error in [
        worktree::remove(&repository, "one", Removal::Discard).expect_err("locked"),
        worktree::move_to(&repository, "one", &sample.beside("elsewhere")).expect_err("locked"),
        worktree::lock(&repository, "one", "again").expect_err("locked"),
    ] {
        assert_eq!(error, WorktreeError::Locked("one".into(), Some("release day".into())));
        assert!(error.next().expect("a next step").contains("unlock one"));
    }
    assert_eq!(worktree::unlock(&repository, "one"), Ok(Unlocked::TakenAway));
    assert_eq!(worktree::unlock(&repository, "one"), Ok(Unlocked::WasFree), "twice is fine");
    worktree::remove(&repository, "one", Removal::Careful).expect("removed");
}

#[test]
fn a_worktree_moves_and_is_repaired_after_being_moved_by_hand() {
    let sample = Sample::rich();
    let repository = sample.repository();
    let made = sample.add("one", Head::Branch("one".into())).expect("made");
    let moved = worktree::move_to(&repository, "one", &sample.beside("new place/one")).expect("moved");
    assert!(!made.path.exists());
    assert_eq!(git(&moved.path, ["status", "--porcelain"]), "");
    assert!(sample.git(["worktree", "list"]).contains("new place/one"));
    let by_hand = sample.beside("by hand");
    fs::rename(&moved.path, &by_hand).expect("moved");
    assert_eq!(worktree::list(&repository).expect("listed")[0].state, State::Missing);
    assert_eq!(worktree::repair(&repository, std::slice::from_ref(&by_hand)).expect("repaired"), ["one"]);
    assert_eq!(worktree::list(&repository).expect("listed")[0].path, by_hand);
    fs::remove_file(by_hand.join(".git")).expect("removed");
    assert!(matches!(worktree::list(&repository).expect("listed")[0].state, State::Corrupt(_)));
    assert_eq!(worktree::repair(&repository, &[]).expect("repaired"), ["one"]);
    assert_eq!(git(&by_hand, ["status", "--porcelain"]), "");
    sample.git(["worktree", "add", "-q", "--detach", "../judge", "one"]);
    assert_same_files(&by_hand, &sample.beside("judge"));
}

#[test]
fn stock_git_removes_what_was_made_here() {
    let sample = Sample::rich();
    sample.add("one", Head::Branch("one".into())).expect("made");
    sample.git(["worktree", "move", "../one", "../moved"]);
    assert_eq!(worktree::list(&sample.repository()).expect("listed")[0].path, sample.beside("moved"));
    sample.git(["worktree", "remove", "../moved"]);
    assert!(worktree::list(&sample.repository()).expect("listed").is_empty());
    sample.add("one", Head::Branch("one".into())).expect("made again");
}

#[test]
fn a_worktree_knows_what_it_is_for_and_git_does_not_see_it() {
    let sample = Sample::rich();
    let mut wanted = crate::sample::spec("one", sample.beside("one"), Head::Branch("one".into()));
    wanted.environment.insert("PORT".into(), "8101".into());
    let repository = sample.repository();
    for _ in 0..2 {
        let made = worktree::add_many(&repository, std::slice::from_ref(&wanted), &|_| {}, &false.into()).remove(0);
        let made = made.expect("made");
        assert_eq!(made.port(), Some(8101));
        let readme = fs::read_to_string(made.path.join(worktree::README_FILE)).expect("read");
        for part in ["to try one", "`one`", "Sample", "pleach worktree add one", "2"] {
            assert!(readme.contains(part), "{part}: {readme}");
        }
        assert_eq!(fs::read(made.path.join(worktree::ENVIRONMENT_FILE)).expect("read"), b"PORT=8101\n");
        assert_eq!(git(&made.path, ["status", "--porcelain"]), "");
        worktree::remove(&repository, "one", Removal::Careful).expect("removed");
    }
    let exclude = fs::read_to_string(repository.common_dir().join("info/exclude")).expect("read");
    assert_eq!(exclude.matches(worktree::README_FILE).count(), 1, "{exclude}");
    // A variable that somebody added is theirs.
    let made = worktree::add_many(&repository, &[wanted], &|_| {}, &false.into()).remove(0).expect("made");
    fs::write(made.path.join(worktree::ENVIRONMENT_FILE), "PORT=8101\nTOKEN=x\n").expect("written");
    assert_eq!(refusal(&sample, "one"), ["ignored, but not a cache: .env.worktree"]);
}
