//! Two hands, a kill, a clock that jumped and a newer version of the command: who holds what, and how to go on.

use rustix::process::Signal;

use crate::scene::{Scene, told_in_four_parts};

#[test]
fn of_two_deployments_the_second_is_refused_and_told_who_is_at_work() {
    let scene = Scene::new();
    scene.slow_down("alpha");
    let mut first = scene.start(&["deploy", "local", "--yes", "-v"]);
    first.says("alpha@here | building");
    let second = scene.ends(103, &["deploy", "local", "--yes"]);
    told_in_four_parts(&second);
    let holder = format!("(process {})", first.id());
    assert!(second.stderr.contains(&holder), "{holder}: {}", second.stderr);
    let back = scene.ends(103, &["rollback", "local", "--yes"]);
    told_in_four_parts(&back);
    let resumed = scene.pleach(&["resume"]);
    assert_eq!(resumed.code, 103, "{}", resumed.stderr);
    told_in_four_parts(&resumed);
    first.signal(Signal::INT);
    assert_eq!(first.ends().code, 130);
}

#[test]
fn started_at_the_same_moment_only_one_deploys() {
    let scene = Scene::new();
    let both: Vec<_> = (0..2).map(|_| scene.start(&["deploy", "local", "--yes"])).collect();
    let mut codes: Vec<i32> = both.into_iter().map(|working| working.ends().code).collect();
    codes.sort_unstable();
    // The other one comes while this one is at work, or when it has changed what the plan had seen, or finds all done.
    assert_eq!(codes[0], 0);
    assert!(matches!(codes[1], 0 | 102 | 103), "{codes:?}");
    assert_eq!(scene.ends(0, &["status"]).stdout.matches("0001-").count(), 2);
}

#[test]
fn a_killed_run_is_gone_on_with_once_and_a_second_time_says_that_it_is_at_its_end() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("alpha", 2);
    let clients = scene.clients();
    let mut working = scene.start(&["deploy", "local", "--yes", "--halt-after", "20"]);
    working.says("halted");
    working.signal(Signal::KILL);
    working.ends();
    let run = scene.newest_run();
    // The clock went back since: the lease seems to last for decades, but its holder is dead.
    scene.postpone_leases();
    scene.ends(0, &["resume", &run]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("2.0.0"));
    let again = scene.ends(102, &["resume", &run]);
    told_in_four_parts(&again);
    assert!(again.stderr.contains("it is at its end"), "{}", again.stderr);
    scene.ends(0, &["resume"]);
    clients.all_were_answered();
}

#[test]
fn a_journal_of_a_newer_version_is_left_alone_and_named() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("alpha", 2);
    let journal = scene.root().join(".git/pleach/runs").join(scene.newest_run()).join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).expect("there");
    let newer = text.replacen("{\"pleach-journal\":1}", "{\"pleach-journal\":99}", 1);
    assert_ne!(newer, text);
    std::fs::write(&journal, &newer).expect("written");
    for command in
        [&["report"][..], &["runs"], &["deploy", "local", "--yes"], &["resume"], &["rollback", "local", "--yes"]]
    {
        let refused = scene.pleach(command);
        assert_eq!(refused.code, 100, "{command:?}: {}", refused.stderr);
        told_in_four_parts(&refused);
        assert!(refused.stderr.contains("99"), "{command:?}: {}", refused.stderr);
    }
    assert_eq!(std::fs::read_to_string(&journal).expect("there"), newer);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    std::fs::write(&journal, &text).expect("written");
    scene.ends(0, &["deploy", "local", "--yes"]);
}
