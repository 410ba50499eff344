//! `pleach restart`: the same release, a new process; killed anywhere it runs in the end.

use rustix::process::Signal;
use serde_json::Value;

use crate::host::Host;
use crate::scene::{Scene, told_in_four_parts};

/// The process of a service's current release below `live`, as its record tells.
fn process(live: &std::path::Path, service: &str) -> u64 {
    let current = std::fs::read_link(live.join(service).join("current")).unwrap();
    let name = format!("{}.json", current.file_name().unwrap().to_string_lossy());
    let record: Value =
        serde_json::from_slice(&std::fs::read(live.join(service).join("run").join(name)).unwrap()).unwrap();
    record["group"]["leader"]["pid"].as_u64().unwrap_or_else(|| panic!("{service} has no process: {record}"))
}

#[test]
fn a_restarted_service_has_a_new_process_at_the_same_release_and_others_keep_theirs() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    let live = scene.place().join("live");
    let (alpha, beta) = (process(&live, "alpha"), process(&live, "beta"));
    // Not deployed: a restart brings nothing new.
    scene.version("alpha", 2);
    let refused = scene.ends(102, &["restart", "local", "alpha"]);
    assert!(refused.stderr.contains("`pleach restart local --yes`"), "{}", refused.stderr);
    let clients = scene.clients();
    let said = scene.ends(0, &["restart", "local", "alpha", "--yes"]);
    clients.all_were_answered();
    assert!(said.stdout.starts_with("restart in `local`: done, and seen to be done"), "{}", said.stdout);
    assert!(said.stdout.contains("0001-"), "{}", said.stdout);
    assert!(said.stderr.contains("renew · health · route · verify"), "{}", said.stderr);
    assert_ne!(process(&live, "alpha"), alpha);
    assert_eq!(process(&live, "beta"), beta);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));

    let runs: Value = serde_json::from_str(&scene.ends(0, &["runs", "--json"]).stdout).unwrap();
    assert_eq!((&runs[0]["operation"], &runs[0]["outcome"]), (&"restart".into(), &"succeeded".into()));
    let status: Value = serde_json::from_str(&scene.state_file("status.json")).unwrap();
    assert_eq!(status["skills"]["alpha"]["deployment_status"], "ACTIVE");
    let commit = status["services"][0]["commit"].as_str().unwrap();
    assert!(status["services"][0]["release"].as_str().unwrap().ends_with(&commit[..8]), "what is live: {status}");

    // A way back leads over the restart to what was there before the deployment.
    let back = scene.ends(0, &["rollback", "local", "--yes"]);
    assert!(back.stderr.contains("only restarted services"), "{}", back.stderr);
    assert_eq!((scene.answers("alpha"), scene.answers("beta")), (None, None));
}

#[test]
fn what_is_stopped_or_absent_is_refused_with_the_way_to_start_it() {
    let scene = Scene::new();
    let absent = scene.ends(102, &["restart", "local", "--yes"]);
    told_in_four_parts(&absent);
    scene.ends(0, &["deploy", "local", "--yes", "--only", "alpha"]);
    let named = scene.ends(102, &["restart", "local", "beta", "--yes"]);
    told_in_four_parts(&named);
    assert!(named.stderr.contains("`pleach deploy local --only beta`"), "{}", named.stderr);
    scene.ends(0, &["restart", "local", "--yes"]);
    scene.ends(0, &["stop", "local", "--yes"]);
    let stopped = scene.ends(102, &["restart", "local", "--yes"]);
    told_in_four_parts(&stopped);
    let (_, behind) = stopped.stderr.split_once("`pleach rollback ").expect("the way to start it");
    let words: Vec<&str> = behind.split('`').next().unwrap().split(' ').collect();
    scene.ends(0, &[&["rollback"][..], &words, &["--yes"]].concat());
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
}

/// Where a restart is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kill {
    /// What was begun by the record has come to its end, and nobody wrote it down.
    BeforeTheNextRecord,
    /// What is begun by the record is under way.
    UnderWay,
}

/// Restarts `alpha` and kills that once the journal has so many records; `false` if it ended before.
fn killed(scene: &Scene, environment: &str, records: usize, kill: Kill) -> bool {
    let (halt, earlier) = (records.to_string(), scene.runs());
    let mut arguments = vec!["restart", environment, "alpha", "--yes"];
    if kill == Kill::BeforeTheNextRecord {
        arguments.extend(["--halt-after", &halt]);
    }
    let mut working = scene.start(&arguments);
    let reached = match kill {
        Kill::BeforeTheNextRecord => working.says_or_ends("halted"),
        Kill::UnderWay => working.reaches(scene, &earlier, records),
    };
    working.signal_if_alive(Signal::KILL);
    let said = working.ends();
    assert!(reached || said.code == 0, "{}", said.stderr);
    reached
}

#[test]
fn a_restart_that_is_killed_at_any_record_ends_with_the_service_running() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes", "--only", "alpha"]);
    let live = scene.place().join("live");
    for kill in [Kill::BeforeTheNextRecord, Kill::UnderWay] {
        let mut kills = 0;
        for records in 1.. {
            let before = process(&live, "alpha");
            if !killed(&scene, "local", records, kill) {
                break;
            }
            kills += 1;
            let back = kills % 3 == 0;
            let went_on = scene.ends(0, if back { &["rollback", "local", "--yes"] } else { &["resume"] });
            assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"), "{kill:?} {records}: {}", went_on.stderr);
            assert_eq!(scene.instances().len(), 1, "{kill:?} {records}");
            let anew = process(&live, "alpha") != before;
            assert!(back || anew, "{kill:?} {records}: it was not started anew: {}", went_on.stdout);
        }
        // Of eleven; the last ones may be written before the second kind of kill gets there.
        assert!(kills >= if kill == Kill::UnderWay { 7 } else { 10 }, "{kill:?}: {kills}");
    }
}

#[test]
fn a_service_on_a_host_is_restarted_there_also_after_a_kill() {
    let host = Host::new();
    let scene = &host.scene;
    scene.ends(0, &["deploy", "uat", "--yes"]);
    let live = host.live();
    let (alpha, beta) = (process(&live, "alpha"), process(&live, "beta"));
    scene.ends(0, &["restart", "uat", "--yes"]);
    let (second, other) = (process(&live, "alpha"), process(&live, "beta"));
    assert!(second != alpha && other != beta);
    for (records, verb) in [(3, &["resume"][..]), (3, &["rollback", "uat", "--yes"]), (5, &["resume"])] {
        assert!(killed(scene, "uat", records, Kill::UnderWay));
        scene.ends(0, verb);
        host.both_answer("1.0.0");
    }
    assert_eq!(process(&live, "beta"), other);
}
