//! A service's life: deployed, seen, verified, broken and taken back, rolled back, stopped.

use crate::scene::Scene;

#[test]
fn what_is_deployed_is_seen_and_a_second_deployment_has_nothing_to_do() {
    let scene = Scene::new();
    let first = scene.ends(0, &["deploy", "local", "--yes"]);
    assert!(first.stdout.contains("done, and seen to be done"), "{}", first.stdout);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    let status = scene.ends(0, &["status", "local"]);
    assert_eq!(status.stdout.matches("healthy").count(), 2, "{}", status.stdout);
    assert!(status.stdout.contains("0001-"), "{}", status.stdout);
    let again = scene.ends(0, &["deploy", "local", "--yes"]);
    assert!(again.stdout.starts_with("nothing to do"), "{}", again.stdout);
    assert!(again.stdout.contains("0001-") && again.stdout.contains("healthy"), "evidence: {}", again.stdout);
}

#[test]
fn the_exit_code_of_verify_counts_the_failed_checks() {
    let scene = Scene::new();
    let absent = scene.ends(2, &["verify", "local"]);
    assert_eq!(absent.stdout.matches("it has no release here").count(), 2, "{}", absent.stdout);
    scene.ends(0, &["deploy", "local", "--yes"]);
    // Neither branch has a README, which is what stage 5 asks for.
    let verify = scene.ends(1, &["verify", "local", "--only", "alpha"]);
    assert!(verify.stdout.contains("documentation"), "{}", verify.stdout);
    assert_eq!(verify.stdout.matches("passed").count(), 5, "{}", verify.stdout);
    let rows: serde_json::Value = serde_json::from_str(&scene.ends(2, &["verify", "local", "--json"]).stdout).unwrap();
    assert_eq!(rows.as_array().map(Vec::len), Some(12));
}

#[test]
fn a_broken_commit_is_taken_back_while_the_old_release_answers() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("alpha", 2);
    scene.break_service("beta");
    let broken = scene.ends(110, &["deploy", "local", "--yes"]);
    assert!(broken.stdout.contains("failed, and taken back"), "{}", broken.stdout);
    assert!(broken.stderr.contains("error: release") && broken.stderr.contains("next: "), "{}", broken.stderr);
    assert!(broken.stderr.contains("No such file"), "the service's own last lines: {}", broken.stderr);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"), "they belong together");
    assert_eq!(scene.answers("beta").as_deref(), Some("1.0.0"));

    let alone = scene.ends(110, &["deploy", "local", "--yes", "--on-failure", "unwind-lane"]);
    assert!(alone.stdout.contains("failed in part"), "{}", alone.stdout);
    assert_eq!(scene.answers("alpha").as_deref(), Some("2.0.0"));
    assert_eq!(scene.answers("beta").as_deref(), Some("1.0.0"));
}

#[test]
fn a_held_run_waits_and_is_taken_back_on_request() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.break_service("beta");
    let held = scene.ends(111, &["deploy", "local", "--yes", "--on-failure", "hold"]);
    let run = scene.newest_run();
    let row = held.stdout.lines().find(|line| line.starts_with("beta")).expect("a row");
    assert!(row.contains("is not healthy") && !row.contains("told to listen"), "no earlier step's evidence: {row}");
    for next in [format!("`pleach resume {run}`"), "`pleach rollback local`".to_owned()] {
        assert!(held.stderr.contains(&next), "{next}: {}", held.stderr);
    }
    let (_, file) = held.stderr.lines().find_map(|line| line.split_once("incident: ")).expect("it says where");
    let incident = std::fs::read_to_string(file).expect("it is written");
    let log = format!("{run}/logs/beta");
    for words in
        ["# Incident in `local` of skills", "is not healthy", "## What failed", "| beta | here | failed |", &log]
    {
        assert!(incident.contains(words), "{words}: {incident}");
    }
    assert!(incident.contains("* take all of it back: `pleach rollback local`"), "{incident}");
    let status = scene.ends(0, &["status"]);
    assert!(status.stdout.contains("is held"), "{}", status.stdout);
    let refused = scene.ends(102, &["deploy", "local", "--yes"]);
    assert!(refused.stderr.contains("`pleach rollback local`"), "{}", refused.stderr);
    let back = scene.ends(0, &["rollback", "local", "--yes"]);
    assert!(!back.stderr.contains("error:"), "an old failure is not told again: {}", back.stderr);
    assert_eq!(scene.answers("beta").as_deref(), Some("1.0.0"));
}

#[test]
fn a_rollback_goes_to_the_release_before_each_time_and_to_a_named_one() {
    let scene = Scene::new();
    for version in 1..=3 {
        if version > 1 {
            scene.version("alpha", version);
        }
        scene.ends(0, &["deploy", "local", "--yes"]);
    }
    assert_eq!(scene.answers("alpha").as_deref(), Some("3.0.0"));
    for before in ["2.0.0", "1.0.0"] {
        let back = scene.ends(0, &["rollback", "local", "alpha", "--yes"]);
        assert!(back.stdout.contains("taken back, as asked"), "{}", back.stdout);
        assert_eq!(scene.answers("alpha").as_deref(), Some(before));
    }
    assert_eq!(scene.answers("beta").as_deref(), Some("1.0.0"), "nobody asked for beta");
    let unknown = scene.ends(100, &["rollback", "local", "alpha", "--to", "0099-deadbeef", "--yes"]);
    assert!(unknown.stderr.contains("kept are `0001-"), "{}", unknown.stderr);

    scene.version("alpha", 4);
    scene.ends(0, &["deploy", "local", "--yes"]);
    let first =
        unknown.stderr.split_once("kept are `").and_then(|(_, behind)| behind.split('`').next()).expect("named");
    scene.ends(0, &["rollback", "local", "alpha", "--to", first, "--yes"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
}

#[test]
fn what_was_never_there_is_gone_after_a_rollback_and_stopped_services_do_not_answer() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.ends(0, &["stop", "local", "alpha", "--yes"]);
    assert_eq!(scene.answers("alpha"), None);
    assert_eq!(scene.answers("beta").as_deref(), Some("1.0.0"));
    scene.ends(0, &["rollback", "local", "--yes"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"), "a stop is taken back like all else");
    scene.ends(0, &["rollback", "local", "--yes"]);
    assert_eq!((scene.answers("alpha"), scene.answers("beta")), (None, None));
    assert!(!scene.place().join("live/alpha/current").exists());
    let none = scene.ends(100, &["rollback", "local", "--yes"]);
    assert!(none.stderr.contains("there is no run in `local` to take back"), "{}", none.stderr);
}
