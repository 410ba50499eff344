//! `pleach doctor` counts what fails and says what mends it.

use std::net::TcpListener;

use crate::sample::Sample;

const CONFIG: &str = "[project]\nname = \"shop\"\n\n[services.web]\nbranch = \"main\"\n\n\
    [environments.local.targets.here]\nkind = \"directory\"\npath = \"../deployed\"\n";

#[test]
fn a_sound_project_has_no_failure() {
    let sample = Sample::new(&[("pleach.toml", CONFIG)]);
    let text = sample.done(&["doctor"]);
    for part in ["git", "state directory", "target here of local", "branches", "clock"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("FAIL"), "{text}");
}

#[test]
fn each_fault_is_one_failure_with_what_mends_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("an address").port();
    let config = format!(
        "{CONFIG}\n[services.api]\nbranch = \"service/api\"\nrun = \"./api\"\nport = {port}\n\n[services.api.environment]\n\
         TOKEN = {{ secret = \"env:PLEACH_TEST_UNSET\" }}\nFILE = {{ secret = \"file:secret.txt\" }}\n"
    );
    let sample = Sample::new(&[("pleach.toml", &config)]);
    sample.write("secret.txt", "hunter2\n");
    let said = sample.pleach(&["doctor", "local"]);
    assert_eq!(said.code, 3, "a held port, a missing branch, an unset secret: {said:#?}");
    for part in
        [&format!("port {port}"), "held by", "git branch service/api COMMIT", "export PLEACH_TEST_UNSET=", "3 to mend"]
    {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    assert!(!said.stdout.contains("hunter2"), "a secret is never shown");
}

#[test]
fn a_branch_that_only_a_remote_has_is_mended_by_what_doctor_and_plan_say() {
    let config = format!("{CONFIG}\n[services.api]\nbranch = \"service/api\"\n");
    let sample = Sample::new(&[("pleach.toml", &config)]);
    sample.branch("service/api", &[("api.txt", "one\n")]);
    sample.git(&["clone", "-q", "--bare", ".", "../origin.git"]);
    sample.git(&["branch", "-q", "-D", "service/api"]);
    let planned = sample.pleach(&["plan", "local"]);
    assert_eq!(planned.code, 100, "{planned:#?}");
    assert!(planned.stderr.contains("there is no branch `service/api` for service `api`"), "{planned:#?}");
    assert!(!planned.stderr.contains("pleach worktree add"), "no remote has it: {planned:#?}");
    sample.done(&["plan", "local", "--only", "web"]);
    sample.git(&["remote", "add", "origin", "../origin.git"]);
    sample.git(&["fetch", "-q"]);
    for said in [sample.pleach(&["doctor", "local"]).stdout, sample.pleach(&["plan", "local"]).stderr] {
        assert!(said.contains("pleach worktree add api"), "{said}");
    }
    sample.done(&["worktree", "add", "api"]);
    sample.done(&["plan", "local"]);
}

#[test]
fn a_missing_or_broken_config_is_a_failure_among_others() {
    let sample = Sample::new(&[]);
    let none = sample.pleach(&["doctor"]);
    assert_eq!(none.code, 1, "{none:#?}");
    assert!(none.stdout.contains("pleach init"), "{}", none.stdout);
    sample.write("pleach.toml", "[project\n");
    let broken = sample.pleach(&["doctor"]);
    assert_eq!(broken.code, 1, "{broken:#?}");
    assert!(broken.stdout.contains("pleach config check"), "{}", broken.stdout);
    let outside = sample.pleach_in(&sample.place(), &["doctor"]);
    assert_eq!(outside.code, 1, "{outside:#?}");
}

#[test]
fn a_worktree_that_is_gone_is_told() {
    let sample = Sample::new(&[("pleach.toml", CONFIG)]);
    sample.branch("topic", &[]);
    sample.done(&["worktree", "add", "topic"]);
    std::fs::remove_dir_all(sample.place().join("shop-worktrees/topic")).expect("removed");
    let findings = sample.json(&["doctor"]);
    let found = findings.as_array().expect("a list").iter().find(|one| one["subject"] == "worktree topic");
    assert_eq!(found.expect("told")["level"], "warn", "{findings:#}");
}
