//! `pleach worktree`, from making five at once to bringing one back.

use std::fs;

use crate::sample::Sample;

const CONFIG: &str = r#"
[project]
name = "shop"

[services.mail]
branch = "service/mail"
description = "Sends letters"

[services.pay]
branch = "service/pay"

[services.web]
branch = "main"
"#;

fn shop() -> Sample {
    let sample = Sample::new(&[("pleach.toml", CONFIG), ("README.md", "# Shop\n"), (".gitignore", "*.log\n.env\n")]);
    sample.branch("service/mail", &[("mail.txt", "one\n")]);
    sample.branch("service/pay", &[("pay.txt", "cash\ncard\n")]);
    sample
}

#[test]
fn all_services_get_a_worktree_with_a_port_and_a_second_call_changes_nothing() {
    let sample = shop();
    let made = sample.json(&["worktree", "add", "--all"]);
    let results: Vec<_> =
        made.as_array().expect("a list").iter().map(|one| one["result"].as_str().expect("text")).collect();
    assert_eq!(results, ["made", "made", "shared"], "{made:#}");
    let place = sample.place().join("shop-worktrees");
    for (name, port) in [("mail", 18000), ("pay", 18001)] {
        let root = place.join(name);
        assert!(root.join(format!("{name}.txt")).is_file(), "checked out");
        let variables = fs::read_to_string(root.join(".env.worktree")).expect("an environment file");
        assert!(variables.contains(&format!("PORT={port}\n")), "{variables}");
        assert_eq!(sample.git_in(&root, &["status", "--porcelain"]), "");
    }
    assert!(fs::read_to_string(place.join("mail/README_WORKTREE.md")).expect("a README").contains("Sends letters"));
    let again = sample.json(&["worktree", "add", "--all"]);
    assert_eq!((&again[0]["result"], &again[1]["result"]), (&"present".into(), &"present".into()), "{again:#}");
    assert!(sample.git(&["worktree", "list"]).contains("[service/mail]"));
}

#[test]
fn purposes_and_short_names_find_their_branches() {
    let sample = shop();
    sample.branch("production", &[]);
    sample.branch("skill/pr-review", &[("x", "")]);
    let made = sample.json(&["worktree", "add", "deploy", "production", "pr-review"]);
    assert_eq!(made[0]["branch"], serde_json::Value::Null, "main is checked out already: deploy gets its commit");
    assert_eq!(made[1]["branch"], "production");
    assert_eq!(made[1]["purpose"], "What production runs");
    assert_eq!(made[2]["branch"], "skill/pr-review");
}

#[test]
fn a_branch_that_is_missing_is_told_with_the_nearest_name_and_how_to_make_it() {
    let sample = shop();
    let refused = sample.pleach(&["worktree", "add", "maill", "hotfix", "pay"]);
    assert_eq!(refused.code, 100, "{refused:#?}");
    assert!(refused.stderr.contains("did you mean `mail`?"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("pleach worktree add hotfix --new-branch hotfix --from main"),
        "{}",
        refused.stderr
    );
    assert!(sample.place().join("shop-worktrees/pay").is_dir(), "what can be made is made");
    sample.done(&["worktree", "add", "hotfix", "--new-branch", "hotfix", "--from", "main", "--purpose", "Ticket 7"]);
    assert_eq!(sample.git_in(&sample.place().join("shop-worktrees/hotfix"), &["branch", "--show-current"]), "hotfix");
}

#[test]
fn a_branch_that_is_only_on_the_remote_becomes_a_local_one() {
    let sample = shop();
    sample.git(&["init", "-q", "--bare", "../origin.git"]);
    sample.git(&["remote", "add", "origin", "../origin.git"]);
    sample.git(&["push", "-q", "origin", "main", "service/mail"]);
    sample.git(&["branch", "-q", "-D", "service/mail"]);
    sample.done(&["worktree", "add", "mail"]);
    let place = sample.place().join("shop-worktrees/mail");
    assert_eq!(sample.git_in(&place, &["branch", "--show-current"]), "service/mail");
    assert_eq!(sample.git(&["rev-parse", "service/mail"]), sample.git(&["rev-parse", "origin/service/mail"]));
}

#[test]
fn a_branch_and_a_commit_can_be_checked_out_where_the_user_says() {
    let sample = Sample::named("läden & co", &[("a", "1\n")]);
    sample.done(&["worktree", "add", "old", "--detach", "HEAD", "--path", "../über there"]);
    assert!(sample.place().join("über there/a").is_file());
    let taken = sample.pleach(&["worktree", "add", "main2", "--branch", "main"]);
    assert_eq!(taken.code, 102, "{taken:#?}");
    assert!(taken.stderr.contains("--detach"), "{}", taken.stderr);
}

#[test]
fn the_list_tells_changes_locks_and_what_is_missing() {
    let sample = shop();
    sample.done(&["worktree", "add", "mail", "pay"]);
    let place = sample.place().join("shop-worktrees");
    fs::write(place.join("mail/mail.txt"), "two\n").expect("written");
    sample.done(&["worktree", "lock", "pay", "--reason", "audit"]);
    let list = sample.done(&["worktree", "list"]);
    assert!(list.contains("1 changed +1"), "{list}");
    assert!(list.contains("locked: audit"), "{list}");
    assert!(list.contains("(main)"), "{list}");
    let json = sample.json(&["worktree", "list"]);
    assert_eq!(json[0]["changes"]["modified"][0], "mail.txt");
    assert_eq!(json[1]["locked"], "audit");
    let locked = sample.pleach(&["worktree", "move", "pay", "../elsewhere"]);
    assert!(locked.stderr.contains("\n  state: "), "{locked:#?}");
    assert!(sample.done(&["worktree", "unlock", "pay"]).contains("unlocked `pay`"));
    assert!(sample.done(&["worktree", "unlock", "pay"]).contains("`pay` was not locked"));
    // What is ahead is counted against the branch, not against a tag that has its name.
    sample.git(&["tag", "main", "refs/heads/service/pay"]);
    assert_eq!(sample.json(&["worktree", "list"])[1]["main"]["ahead"], 1);
    fs::remove_dir_all(place.join("pay")).expect("removed");
    assert!(sample.done(&["worktree", "list"]).contains("missing"));
    assert!(sample.done(&["worktree", "prune"]).contains("forgot `pay`"));
    assert_eq!(sample.json(&["worktree", "list"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn a_branch_that_was_deleted_after_its_worktree_comes_back_with_it() {
    let sample = shop();
    sample.done(&["worktree", "add", "mail"]);
    let tip = sample.git(&["rev-parse", "service/mail"]);
    sample.done(&["worktree", "remove", "mail"]);
    sample.git(&["branch", "-q", "-D", "service/mail"]);
    assert!(sample.done(&["worktree", "undo"]).contains("branch `service/mail` was gone"));
    assert_eq!(sample.git_in(&sample.place().join("shop-worktrees/mail"), &["rev-parse", "HEAD"]), tip);
}

#[test]
fn work_is_not_removed_by_accident_and_comes_back_when_it_was() {
    let sample = shop();
    sample.done(&["worktree", "add", "mail"]);
    let place = sample.place().join("shop-worktrees/mail");
    fs::write(place.join("draft.txt"), "not committed\n").expect("written");
    fs::write(place.join(".env"), "SECRET=x\n").expect("written");
    let refused = sample.pleach(&["worktree", "remove", "mail"]);
    assert_eq!(refused.code, 102, "{refused:#?}");
    assert!(refused.stderr.contains("draft.txt") && refused.stderr.contains(".env"), "{}", refused.stderr);
    assert!(place.join("draft.txt").is_file());
    sample.done(&["worktree", "remove", "mail", "--discard"]);
    assert!(!place.exists());
    assert!(sample.git(&["branch"]).contains("service/mail"), "the branch stays");
    sample.done(&["worktree", "undo"]);
    assert_eq!(fs::read_to_string(place.join("draft.txt")).expect("it is back"), "not committed\n");
    assert_eq!(sample.git_in(&place, &["branch", "--show-current"]), "service/mail");
}

#[test]
fn a_worktree_moves_and_one_that_was_moved_by_hand_is_linked_again() {
    let sample = shop();
    sample.done(&["worktree", "add", "mail"]);
    sample.done(&["worktree", "move", "mail", "../elsewhere"]);
    let moved = sample.place().join("elsewhere");
    assert_eq!(sample.git_in(&moved, &["status", "--porcelain"]), "");
    let by_hand = sample.place().join("by-hand");
    fs::rename(&moved, &by_hand).expect("moved");
    assert!(sample.done(&["worktree", "list"]).contains("missing"));
    assert!(sample.done(&["worktree", "repair", "../by-hand"]).contains("linked `mail` again"));
    assert!(!sample.done(&["worktree", "list"]).contains("missing"));
}

#[test]
fn a_comparison_names_what_differs_committed_or_not() {
    let sample = shop();
    sample.done(&["worktree", "add", "mail", "pay"]);
    fs::write(sample.place().join("shop-worktrees/pay/new.txt"), "").expect("written");
    let text = sample.done(&["worktree", "compare", "mail", "pay"]);
    for part in
        ["only mail  mail.txt", "only pay   pay.txt", "only pay   new.txt", "1 commit of its own, 1 file not committed"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = sample.json(&["worktree", "compare", "main", "mail"]);
    assert_eq!(
        json["entries"][0],
        serde_json::json!({"path": "mail.txt", "from": null, "difference": "only-other", "added_lines": 1, "removed_lines": 0})
    );
    assert_eq!((&json["one"]["commits"], &json["other"]["commits"]), (&0.into(), &1.into()));
}

#[test]
fn sync_goes_forwards_and_never_over_work() {
    let sample = shop();
    sample.git(&["init", "-q", "--bare", "../origin.git"]);
    sample.git(&["remote", "add", "origin", "../origin.git"]);
    sample.git(&["push", "-q", "-u", "origin", "service/mail", "service/pay"]);
    sample.done(&["worktree", "add", "mail", "pay"]);
    let elsewhere = sample.place().join("elsewhere");
    sample.git(&["clone", "-q", "-b", "service/mail", "../origin.git", "../elsewhere"]);
    fs::write(elsewhere.join("mail.txt"), "two\n").expect("written");
    sample.git_in(&elsewhere, &["commit", "-q", "-a", "-m", "two"]);
    sample.git_in(&elsewhere, &["push", "-q"]);
    let mail = sample.place().join("shop-worktrees/mail/mail.txt");
    fs::write(&mail, "mine\n").expect("written");
    let refused = sample.pleach(&["worktree", "sync"]);
    assert_eq!(refused.code, 102, "{refused:#?}");
    assert_eq!(fs::read_to_string(&mail).expect("there"), "mine\n");
    assert!(refused.stdout.contains("up to date"), "the other one is told as well: {}", refused.stdout);
    fs::write(&mail, "one\n").expect("written");
    assert_eq!(sample.json(&["worktree", "sync", "mail"])[0]["result"], "forwarded");
    assert_eq!(fs::read_to_string(&mail).expect("there"), "two\n");
}

#[test]
fn one_worktree_a_service_needs_services() {
    let sample = Sample::new(&[]);
    let refused = sample.pleach(&["worktree", "add", "--all"]);
    assert_eq!(refused.code, 100, "{refused:#?}");
    assert!(refused.stderr.contains("pleach init"), "{}", refused.stderr);
}
