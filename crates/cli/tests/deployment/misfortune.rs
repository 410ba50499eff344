//! Bad luck: two at once, a clock that jumps, a disk that takes nothing, a journal of a newer version.

use std::process::Command;

use pleach_testbed::clock;

use crate::scene::{SERVICES, Scene, told_in_four_parts};

#[test]
fn a_second_deployment_is_told_who_is_at_work_and_changes_nothing() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.slow_down("alpha");
    let mut first = scene.start(&["deploy", "local", "--yes", "-v"]);
    first.says("alpha@here | building");
    let second = scene.ends(103, &["deploy", "local", "--yes"]);
    for part in ["because: ", "state: ", "next: ", &first.id().to_string()] {
        assert!(second.stderr.contains(part), "{part}: {}", second.stderr);
    }
    first.signal(rustix::process::Signal::INT);
    assert_eq!(first.ends().code, 130);
    assert_eq!(scene.runs().len(), 2, "the second began nothing");
}

#[test]
fn runs_are_in_order_also_when_the_clock_was_set_back() {
    let scene = Scene::new();
    let ahead = scene.under(&clock::by("+3d"), &["deploy", "local", "--yes"]);
    assert_eq!(ahead.code, 0, "{}", ahead.stderr);
    scene.version("alpha", 2);
    scene.ends(0, &["deploy", "local", "--yes"]);
    let status = scene.ends(0, &["status"]);
    assert_eq!(status.stdout.matches("healthy").count(), 2, "{}", status.stdout);
    let back = scene.ends(0, &["rollback", "local", "--yes"]);
    assert!(back.stdout.contains("0002-"), "the last run goes back first: {}", back.stdout);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    scene.ends(0, &["rollback", "local", "--yes"]);
    assert_eq!(scene.answers("alpha"), None, "then the one that came from the future");
}

#[test]
fn a_state_directory_that_cannot_be_written_ends_a_deployment_before_it_begins() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("alpha", 2);
    let read_only = "mount --bind .git .git && mount -o remount,bind,ro .git && exec \"$@\"";
    let refused = scene
        .under(&["unshare", "--mount", "--map-root-user", "sh", "-c", read_only, "sh"], &["deploy", "local", "--yes"]);
    assert!([100, 102].contains(&refused.code), "{}: {}", refused.code, refused.stderr);
    for part in ["because: Read-only file system", "state: ", "next: "] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    scene.ends(0, &["deploy", "local", "--yes"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("2.0.0"));
}

#[test]
fn a_journal_of_a_newer_version_is_refused_by_every_command_and_left_as_it_is() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    let journal = scene.runs()[0].join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap().replacen("\"pleach-journal\":1", "\"pleach-journal\":99", 1);
    std::fs::write(&journal, &text).unwrap();
    scene.version("alpha", 2);
    for arguments in [&["deploy", "local", "--yes"][..], &["rollback", "local", "--yes"], &["resume"], &["runs"]] {
        let refused = scene.pleach(arguments);
        assert_ne!(refused.code, 0, "{arguments:?}: {}", refused.stdout);
        assert!(
            refused.stderr.contains("newer") && refused.stderr.contains("next: "),
            "{arguments:?}: {}",
            refused.stderr
        );
    }
    assert_eq!(std::fs::read_to_string(&journal).unwrap(), text);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    std::fs::write(&journal, text.replacen(":99", ":1", 1)).unwrap();
    scene.ends(0, &["deploy", "local", "--yes"]);
}

#[test]
fn what_was_switched_by_somebody_else_is_never_overwritten_on_the_way_back() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("alpha", 2);
    scene.ends(0, &["deploy", "local", "--yes"]);
    let releases = scene.place().join("live/alpha/releases");
    let other = releases.join("by-hand");
    std::fs::create_dir(&other).unwrap();
    let current = scene.place().join("live/alpha/current");
    let link = std::fs::read_link(&current).unwrap();
    let relink = |to: &std::path::Path| {
        let done = Command::new("ln").arg("-sfn").arg(to).arg(&current).status().unwrap();
        assert!(done.success());
    };
    relink(std::path::Path::new("releases/by-hand"));
    let refused = scene.ends(102, &["rollback", "local", "--yes"]);
    told_in_four_parts(&refused);
    assert!(!refused.stderr.contains("`ln -sfn") && !refused.stderr.contains("`rm /"), "{}", refused.stderr);
    assert_eq!(std::fs::read_link(&current).unwrap(), std::path::Path::new("releases/by-hand"));
    relink(&link);
    scene.ends(0, &["rollback", "local", "--yes"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    assert_eq!(scene.instances().len(), SERVICES.len());
}

/// What `docker exec` and many runners of CI start has a session whose leader lies outside of its space of process ids.
#[test]
fn in_a_space_of_process_ids_without_its_sessions_leader_it_deploys_all_the_same() {
    let space = ["unshare", "--pid", "--fork", "--mount-proc"];
    let may = Command::new(space[0]).args(&space[1..]).arg("true").output().expect("util-linux is there");
    if !may.status.success() {
        eprintln!("not tried, no such space can be made here: {}", String::from_utf8_lossy(&may.stderr));
        return;
    }
    let scene = Scene::new();
    // Its first process must outlive the command: with it the whole space ends.
    let script = [&space[..], &["sh", "-c", "\"$@\"; code=$?; exit $code", "sh"]].concat();
    let deployed = scene.under(&script, &["deploy", "local", "--yes"]);
    assert_eq!(deployed.code, 0, "{}{}", deployed.stdout, deployed.stderr);
    assert!(!deployed.stderr.contains("attempt 2"), "{}", deployed.stderr);
}
