//! `pleach merge` takes into main what is deployed and healthy, and nothing else.

use std::fs;
use std::process::Command;

use crate::sample::{Sample, isolated};

/// Two services of files alone, deployed as they stand.
fn deployed() -> Sample {
    let config = "[project]\nname = \"shop\"\n\n[services.mail]\nbranch = \"service/mail\"\npath = \"mail\"\n\n\
        [services.pay]\nbranch = \"service/pay\"\npath = \"pay\"\n\n[environments.local.targets.here]\nkind = \"directory\"\n\
        path = \"../deployed\"\n";
    let sample = Sample::new(&[("pleach.toml", config), ("price.txt", "10\n")]);
    sample.branch("service/mail", &[("mail/letter.txt", "one\n"), ("price.txt", "11\n")]);
    sample.branch("service/pay", &[("pay/coin.txt", "one\n")]);
    sample.done(&["deploy", "local", "--yes"]);
    sample
}

fn parents(sample: &Sample) -> usize {
    sample.git(&["log", "-1", "--format=%P", "main"]).split_whitespace().count()
}

#[test]
fn what_is_deployed_is_merged_with_what_was_seen_of_it() {
    let sample = deployed();
    let before = sample.git(&["rev-parse", "main"]);
    let merged = sample.json(&["merge"]);
    assert_eq!((&merged[0]["result"], &merged[1]["result"]), (&"merged".into(), &"merged".into()), "{merged:#}");
    assert_eq!(parents(&sample), 2, "no fast-forward");
    let message = sample.git(&["log", "-1", "--format=%B", "main"]);
    for part in ["service/pay", "Service: pay", "Deployed-to: here in local", "Release: 0001-", "Run: ", "Health: "] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(sample.git(&["rev-parse", "main^1^1"]), before);
    assert!(sample.root().join("mail/letter.txt").is_file(), "the main worktree came along");
    assert_eq!(sample.git(&["status", "--porcelain"]), "");
    let again = sample.json(&["merge", "mail", "pay"]);
    assert_eq!(again[0]["result"], "already-merged", "{again:#}");
}

#[test]
fn a_branch_that_is_ahead_of_what_runs_is_refused_and_the_others_go_on() {
    let sample = deployed();
    sample.git(&["switch", "-q", "service/pay"]);
    sample.commit("more", &[("pay/coin.txt", "two\n")]);
    sample.git(&["switch", "-q", "main"]);
    let said = sample.pleach(&["merge"]);
    assert_eq!(said.code, 102, "{said:#?}");
    assert!(said.stderr.contains("the branch is 1 commit ahead of"), "{}", said.stderr);
    assert!(said.stderr.contains("pleach deploy local --only pay"), "{}", said.stderr);
    assert!(sample.root().join("mail").is_dir());
    assert!(!sample.root().join("pay").exists());
}

#[test]
fn what_was_never_deployed_is_refused() {
    let sample = deployed();
    let config = fs::read_to_string(sample.root().join("pleach.toml")).expect("there");
    sample.branch("service/new", &[("new/x", "")]);
    sample.commit(
        "one more",
        &[("pleach.toml", &format!("{config}\n[services.new]\nbranch = \"service/new\"\npath = \"new\"\n"))],
    );
    let said = sample.pleach(&["merge", "new"]);
    assert_eq!(said.code, 102, "{said:#?}");
    assert!(said.stderr.contains("never deployed"), "{}", said.stderr);
    let all = sample.pleach(&["merge"]);
    assert_eq!(all.code, 0, "without names, only what is deployed is meant: {all:#?}");
}

#[test]
fn a_conflict_leaves_no_trace_and_tells_how_to_resolve_it() {
    let sample = deployed();
    sample.commit("prices fall", &[("price.txt", "9\n")]);
    let before = sample.git(&["rev-parse", "main"]);
    let said = sample.pleach(&["merge", "mail"]);
    assert_eq!(said.code, 102, "{said:#?}");
    for part in ["price.txt", "git merge --no-ff service/mail", "git add"] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
    assert_eq!(sample.git(&["rev-parse", "main"]), before);
    assert_eq!(sample.git(&["status", "--porcelain"]), "");
    assert!(!sample.root().join(".git/MERGE_HEAD").exists());
    assert_eq!(fs::read_to_string(sample.root().join("price.txt")).expect("there"), "9\n");
}

#[test]
fn a_merge_that_nobody_can_sign_is_told_in_all_its_parts() {
    let sample = deployed();
    sample.git(&["config", "user.useConfigOnly", "true"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pleach"));
    isolated(command.args(["merge", "pay"]).current_dir(sample.root()));
    for name in ["NAME", "EMAIL"] {
        command.env_remove(format!("GIT_COMMITTER_{name}")).env_remove(format!("GIT_AUTHOR_{name}"));
    }
    let output = command.env_remove("EMAIL").output().expect("pleach runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(102), "{said}");
    for part in ["error: there is no name and mail address", "\n  state: ", "\n  next: `git config user.name"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let nowhere = sample.pleach(&["merge", "--into", "nowhere"]);
    assert!(nowhere.stderr.contains("there is no branch `nowhere`\n  state: "), "{nowhere:#?}");
}

#[test]
fn a_dirty_main_worktree_is_refused() {
    let sample = deployed();
    sample.write("price.txt", "12\n");
    let said = sample.pleach(&["merge"]);
    assert_eq!(said.code, 102, "{said:#?}");
    assert!(said.stderr.contains("price.txt"), "{}", said.stderr);
    assert_eq!(fs::read_to_string(sample.root().join("price.txt")).expect("there"), "12\n");
}

#[test]
fn a_merge_can_be_pushed() {
    let sample = deployed();
    sample.git(&["init", "-q", "--bare", "../origin.git"]);
    sample.git(&["remote", "add", "origin", "../origin.git"]);
    sample.git(&["push", "-q", "origin", "main"]);
    sample.done(&["merge", "--push"]);
    let there = sample.git_in(&sample.place().join("origin.git"), &["rev-parse", "main"]);
    assert_eq!(there, sample.git(&["rev-parse", "main"]));
}
