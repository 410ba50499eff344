//! A way back that needs nobody: the host takes itself back when whoever changed it is gone.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::host::Host;
use crate::scene::{Scene, Working};

const DEADLINE: Duration = Duration::from_secs(10);

/// A host on which the first versions run, and that waits for signs of life.
fn watched(policy: &str) -> Host {
    let host = Host::new();
    host.environment(&format!("lease = \"8s\"\nwatchdog = \"10s\"\n{policy}"));
    let first = host.scene.ends(0, &["deploy", "uat", "--yes", "-v"]);
    assert!(first.stderr.contains("a watchdog is armed"), "{}", first.stderr);
    assert!(first.stderr.contains("the watchdog is confirmed"), "{}", first.stderr);
    host.both_answer("1.0.0");
    host
}

/// A deployment in which `beta` is live already and `alpha` is still being built.
fn half_way(host: &Host) -> Working {
    host.scene.version("alpha", 2);
    host.scene.version("beta", 2);
    host.scene.slow_down("alpha");
    let working = host.scene.start(&["deploy", "uat", "--yes"]);
    until(Duration::from_secs(30), || host.scene.answers("beta").as_deref() == Some("2.0.0"));
    working
}

fn until(limit: Duration, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < limit, "not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn phases(scene: &Scene) -> Vec<String> {
    let status: Value = serde_json::from_str(&scene.ends(0, &["status", "uat", "--json"]).stdout).expect("JSON");
    let rows = status["watchdogs"].as_array().cloned().unwrap_or_default();
    rows.iter().map(|row| row["phase"].as_str().expect("a phase").to_owned()).collect()
}

#[test]
fn a_host_whose_deployer_died_takes_itself_back_and_says_so() {
    let host = watched("");
    let scene = &host.scene;
    let clients = scene.clients();
    let mut working = half_way(&host);
    assert_eq!(phases(scene), ["armed"]);
    let early = host.pleach_in(&host.elsewhere(), &["confirm", "uat"]);
    assert_ne!(early.code, 0, "{}", early.stdout);
    let told = format!("{}{}", early.stdout, early.stderr);
    assert!(told.contains("is at work there, and confirms by itself"), "{told}");
    working.signal_if_alive(Signal::KILL);
    working.ends();
    let waits = scene.ends(0, &["status", "uat"]);
    assert!(waits.stdout.contains("takes itself back in"), "{}", waits.stdout);
    assert!(waits.stdout.contains("`pleach confirm uat`"), "{}", waits.stdout);
    until(DEADLINE * 5, || phases(scene) == ["restored"]);
    host.both_answer("1.0.0");
    let told = scene.ends(0, &["status", "uat"]);
    assert!(told.stdout.contains(": nobody had confirmed"), "{}", told.stdout);

    // Whoever goes on finds out before anything else, and takes back what is left.
    let resumed = scene.ends(110, &["resume"]);
    assert!(resumed.stderr.contains("the target took itself back"), "{}", resumed.stderr);
    host.both_answer("1.0.0");
    assert_eq!(phases(scene), Vec::<String>::new());
    clients.all_were_answered();
    scene.ends(0, &["deploy", "uat", "--yes", "--only", "beta"]);
    assert_eq!(scene.answers("beta").as_deref(), Some("2.0.0"));
}

#[test]
fn a_host_puts_its_data_back_once_and_what_is_written_to_it_since_stays() {
    let host = watched("");
    let (scene, data) = (&host.scene, host.keep_data());
    scene.ends(0, &["deploy", "uat", "--yes"]);
    std::fs::write(&data, "mine").expect("written");
    let mut working = half_way(&host);
    assert_ne!(std::fs::read_to_string(&data).expect("there"), "mine");
    working.signal_if_alive(Signal::KILL);
    working.ends();
    until(DEADLINE * 5, || phases(scene) == ["restored"]);
    assert_eq!(std::fs::read_to_string(&data).expect("it is back"), "mine");
    host.both_answer("1.0.0");
    std::fs::write(&data, "since").expect("written");
    scene.ends(110, &["resume"]);
    assert_eq!(std::fs::read_to_string(&data).expect("there"), "since");
    host.both_answer("1.0.0");
}

#[test]
fn a_deployer_that_slept_past_the_deadline_changes_nothing_when_it_wakes() {
    let host = watched("");
    let clients = host.scene.clients();
    let working = half_way(&host);
    working.signal(Signal::STOP);
    until(DEADLINE * 5, || phases(&host.scene) == ["restored"]);
    host.both_answer("1.0.0");
    working.signal(Signal::CONT);
    let woken = working.ends();
    assert!(woken.code >= 103, "{}: {}{}", woken.code, woken.stdout, woken.stderr);
    host.both_answer("1.0.0");
    clients.all_were_answered();
    host.scene.ends(110, &["resume"]);
    host.both_answer("1.0.0");
}

#[test]
fn what_is_held_stays_if_a_person_confirms_and_goes_back_by_itself_if_nobody_does() {
    let host = watched("on-failure = \"hold\"\n");
    let scene = &host.scene;
    scene.break_service("alpha");
    let hold = |version: u32| {
        scene.version("beta", version);
        let held = scene.ends(111, &["deploy", "uat", "--yes"]);
        assert!(held.stderr.contains("`vm` takes itself back in 10s unless"), "{}", held.stderr);
        assert_eq!(scene.answers("beta"), Some(format!("{version}.0.0")));
    };
    hold(2);
    let confirmed = scene.ends(0, &["confirm", "uat"]);
    assert!(confirmed.stdout.contains("`vm` stays as it is"), "{}", confirmed.stdout);
    assert_eq!(scene.ends(0, &["confirm", "uat"]).stdout, "no target of `uat` waits for a confirmation\n");
    std::thread::sleep(DEADLINE + Duration::from_secs(2));
    assert_eq!(scene.answers("beta").as_deref(), Some("2.0.0"));
    scene.ends(0, &["rollback", "uat", "--yes"]);
    host.both_answer("1.0.0");

    hold(3);
    until(DEADLINE * 5, || phases(scene) == ["restored"]);
    host.both_answer("1.0.0");
    // A person chose to hold, so a person chooses the way back.
    let resumed = scene.ends(111, &["resume"]);
    assert!(resumed.stderr.contains("the target took itself back"), "{}", resumed.stderr);
    scene.ends(0, &["rollback", "uat", "--yes"]);
    host.both_answer("1.0.0");
}
