//! Repositories and paths that are not as one would like them.

use crate::sample::{Said, Sample};

const CONFIG: &str = "[project]\nname = \"shop\"\n\n[services.web]\nbranch = \"main\"\n\n\
    [environments.local.targets.here]\nkind = \"directory\"\npath = \"../deployed\"\n";

/// What, because, state, next. The second is left out where the first is the cause itself.
fn told_in_four_parts(said: &Said) {
    for part in ["error: ", "\n  state: ", "\n  next: "] {
        assert!(said.stderr.contains(part), "{part:?}: {said:#?}");
    }
    assert_eq!(said.stdout, "", "errors go to standard error");
}

#[test]
fn what_is_no_repository_is_told_by_every_command() {
    let sample = Sample::new(&[]);
    for command in
        [&["init"][..], &["plan", "local"], &["deploy", "local", "--yes"], &["worktree", "list"], &["resume"]]
    {
        let refused = sample.pleach_in(&sample.place(), command);
        assert_eq!(refused.code, 100, "{command:?}: {refused:#?}");
        told_in_four_parts(&refused);
    }
}

#[test]
fn a_bare_repository_is_deployed_from_like_any_other() {
    let sample = Sample::new(&[("page.html", "one\n")]);
    sample.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
    let bare = sample.place().join("bare.git");
    let refused = sample.pleach_in(&bare, &["deploy", "local", "--yes"]);
    assert_eq!(refused.code, 100, "{refused:#?}");
    told_in_four_parts(&refused);
    assert!(refused.stderr.contains("`pleach init`"), "{refused:#?}");
    for command in [&["init", "--quiet"][..], &["plan", "local"], &["deploy", "local", "--yes"], &["status"]] {
        let said = sample.pleach_in(&bare, command);
        assert_eq!(said.code, 0, "{command:?}: {said:#?}");
    }
    assert_eq!(pages(&sample.place()), ["one\n"]);
}

#[test]
fn a_repository_without_a_commit_is_told_with_what_to_do() {
    let sample = Sample::new(&[]);
    sample.git(&["init", "-q", "-b", "main", "../empty"]);
    let empty = sample.place().join("empty");
    std::fs::write(empty.join("pleach.toml"), CONFIG).expect("written");
    for command in
        [&["plan", "local"][..], &["deploy", "local", "--yes"], &["worktree", "add", "web", "--branch", "main"]]
    {
        let refused = sample.pleach_in(&empty, command);
        assert_eq!(refused.code, 100, "{command:?}: {refused:#?}");
        told_in_four_parts(&refused);
    }
    assert!(!sample.place().join("deployed").exists());
}

#[test]
fn a_locked_worktree_stays_and_a_missing_one_keeps_nothing_from_being_deployed() {
    let sample = Sample::new(&[("pleach.toml", &CONFIG.replace("branch = \"main\"", "branch = \"web\""))]);
    sample.branch("web", &[("page.html", "one\n")]);
    sample.done(&["worktree", "add", "web"]);
    sample.done(&["worktree", "lock", "web", "--reason", "audit"]);
    let refused = sample.pleach(&["worktree", "remove", "web"]);
    assert_eq!(refused.code, 102, "{refused:#?}");
    told_in_four_parts(&refused);
    assert!(refused.stderr.contains("audit") && refused.stderr.contains("pleach worktree unlock web"), "{refused:#?}");
    std::fs::remove_dir_all(sample.place().join("shop-worktrees/web")).expect("removed");
    sample.done(&["deploy", "local", "--yes"]);
    let page = sample.place().join("deployed/web/current/page.html");
    assert_eq!(std::fs::read_to_string(page).expect("deployed"), "one\n");
}

#[test]
fn paths_that_are_no_directories_of_the_commit_are_all_told_while_planning() {
    let more = "\n[services.pay]\nbranch = \"main\"\npath = \"nowhere\"\n\n[services.mail]\nbranch = \"main\"\npath = \"page.html\"\n";
    let sample = Sample::new(&[("pleach.toml", &format!("{CONFIG}{more}")), ("page.html", "one\n")]);
    for command in [&["plan", "local"][..], &["deploy", "local", "--yes"]] {
        let refused = sample.pleach(command);
        assert_eq!(refused.code, 100, "{refused:#?}");
        told_in_four_parts(&refused);
        for part in ["`nowhere` is not in commit", "`page.html` is not a directory", "services.pay.path"] {
            assert!(refused.stderr.contains(part), "{part}: {refused:#?}");
        }
    }
    assert!(!sample.place().join("deployed").exists());
    sample.done(&["deploy", "local", "--only", "web", "--yes"]);
    for words in [&["plan", "nope"][..], &["plan", "local", "--only", "unheard-of"]] {
        told_in_four_parts(&sample.pleach(words));
    }
}

#[test]
fn worktrees_of_a_moved_repository_are_repaired_with_what_the_error_says() {
    let sample = Sample::new(&[("pleach.toml", &CONFIG.replace("branch = \"main\"", "branch = \"web\""))]);
    sample.branch("web", &[("page.html", "one\n")]);
    sample.done(&["worktree", "add", "web"]);
    let moved = sample.place().join("moved");
    std::fs::rename(sample.root(), &moved).expect("moved");
    let refused = sample.pleach_in(&moved, &["deploy", "local", "--yes"]);
    assert_ne!(refused.code, 0, "{refused:#?}");
    assert!(refused.stderr.contains("pleach worktree repair"), "{refused:#?}");
    assert!(!refused.stderr.contains("git init"), "{refused:#?}");
    let list = sample.pleach_in(&moved, &["worktree", "list"]);
    assert!(list.stdout.contains("pleach worktree repair"), "{list:#?}");
    assert_eq!(sample.pleach_in(&moved, &["worktree", "repair"]).code, 0);
    let done = sample.pleach_in(&moved, &["deploy", "local", "--yes"]);
    assert_eq!(done.code, 0, "{done:#?}");
}

#[test]
fn files_that_a_partial_clone_left_out_are_told_while_planning() {
    let sample = Sample::new(&[("pleach.toml", CONFIG), ("page.html", "one\n")]);
    sample.git(&["config", "uploadpack.allowFilter", "true"]);
    let from = format!("file://{}", sample.root().display());
    sample.git(&["clone", "-q", "--filter=blob:none", "--no-checkout", &from, "../partial"]);
    let partial = sample.place().join("partial");
    std::fs::write(partial.join("pleach.toml"), CONFIG).expect("written");
    for command in [&["plan", "local"][..], &["deploy", "local", "--yes", "--ignore-uncommitted"]] {
        let refused = sample.pleach_in(&partial, command);
        assert_eq!(refused.code, 100, "{refused:#?}");
        told_in_four_parts(&refused);
        assert!(refused.stderr.contains("git fetch --refetch origin"), "{refused:#?}");
    }
    assert!(!sample.place().join("deployed").exists());
}

#[test]
fn init_names_the_main_branch_that_is_only_on_the_remote() {
    let sample = Sample::new(&[("page.html", "one\n")]);
    sample.branch("feature/web", &[("page.html", "two\n")]);
    sample.git(&["clone", "-q", ".", "../clone"]);
    let clone = sample.place().join("clone");
    sample.git_in(&clone, &["switch", "-q", "feature/web"]);
    sample.git_in(&clone, &["branch", "-q", "-D", "main"]);
    let refused = sample.pleach_in(&clone, &["init", "--print"]);
    assert_eq!(refused.code, 100, "{refused:#?}");
    told_in_four_parts(&refused);
    assert!(refused.stderr.contains("git branch main origin/main"), "{refused:#?}");
    sample.git_in(&clone, &["branch", "-q", "main", "origin/main"]);
    let proposed = sample.pleach_in(&clone, &["init", "--print"]);
    assert!(proposed.stdout.contains("main = \"main\""), "{proposed:#?}");
}

#[test]
fn from_init_to_rollback_in_a_path_with_spaces_and_letters_of_others_and_behind_a_link() {
    let sample = Sample::named("läden & 'co' 日本", &[("page.html", "one\n")]);
    let link = sample.place().join("der weg");
    std::os::unix::fs::symlink(sample.root(), &link).expect("linked");
    let done = |words: &[&str]| {
        let said = sample.pleach_in(&link, words);
        assert_eq!(said.code, 0, "{words:?}: {said:#?}");
        said.stdout
    };
    done(&["init", "--quiet"]);
    sample.commit("config", &[]);
    done(&["config", "check"]);
    done(&["worktree", "add", "look-here", "--detach", "HEAD", "--path", "../neben an"]);
    done(&["plan", "local"]);
    done(&["deploy", "local", "--yes"]);
    sample.commit("two", &[("page.html", "two\n")]);
    done(&["deploy", "local", "--yes"]);
    let status: serde_json::Value = serde_json::from_str(&done(&["status", "--json"])).expect("JSON");
    assert_eq!(status["services"][0]["state"], "placed", "{status:#}");
    done(&["rollback", "local", "--yes"]);
    done(&["worktree", "list"]);
    let pages: Vec<String> = pages(&sample.place());
    assert!(pages.contains(&"one\n".to_owned()), "{pages:?}");
}

/// What the pages say that some `current` leads to.
fn pages(place: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(place).expect("there").flatten() {
        let path = entry.path();
        if entry.file_name() == "current" {
            found.extend(std::fs::read_to_string(path.join("page.html")));
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(pages(&path));
        }
    }
    found
}
