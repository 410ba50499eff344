//! The release before stands by: it goes on beside the new one, and the way back needs no start.

use std::collections::BTreeMap;

use rustix::process::Signal;

use crate::scene::Scene;

fn standing_by() -> Scene {
    let scene = Scene::new();
    let config = std::fs::read_to_string(scene.root().join("pleach.toml")).expect("a config");
    scene.write("pleach.toml", &config.replace("[environments.local]\n", "[environments.local]\nstandby = true\n"));
    scene.git(&["commit", "-qam", "The release before stands by"]);
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene
}

/// The process of each release of a service that runs, by the release's number.
fn processes(scene: &Scene, service: &str) -> BTreeMap<u64, u64> {
    let said = scene.ends(0, &["ps", "local", service, "--json"]);
    let listing: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    let rows = listing["processes"].as_array().expect("rows");
    let of = |row: &serde_json::Value| {
        let release = row["release"].as_str()?.split('-').next()?.parse().ok()?;
        Some((release, row["pid"].as_u64()?))
    };
    rows.iter().map(|row| of(row).unwrap_or_else(|| panic!("{row}"))).collect()
}

fn releases(scene: &Scene, service: &str) -> Vec<u64> {
    processes(scene, service).into_keys().collect()
}

/// Ends the process of a release of `alpha`, and who would start it again.
fn kill(scene: &Scene, number: u64) {
    let run = scene.place().join("live/alpha/run");
    let mut records = std::fs::read_dir(run).expect("a folder").flatten().map(|entry| entry.path());
    let is_of = |name: &str| name.starts_with(&format!("{number:04}-")) && name.ends_with(".json");
    let record = records.find(|path| path.file_name().is_some_and(|name| is_of(&name.to_string_lossy())));
    let record = std::fs::read(record.expect("its record")).expect("read");
    let record: serde_json::Value = serde_json::from_slice(&record).expect("JSON");
    for pid in [&record["supervisor"]["pid"], &record["group"]["leader"]["pid"]] {
        let pid = i32::try_from(pid.as_i64().expect("a number")).expect("small");
        let _ = rustix::process::kill_process(rustix::process::Pid::from_raw(pid).expect("one"), Signal::KILL);
    }
}

#[test]
fn the_release_before_goes_on_until_the_next_deployment_and_is_led_back_to_as_it_is() {
    let scene = standing_by();
    assert_eq!(releases(&scene, "alpha"), [1], "a first release has none before");
    scene.version("alpha", 2);
    let plan = scene.ends(0, &["plan", "local", "--long"]);
    assert!(plan.stdout.contains("stands by until the next deployment"), "{}", plan.stdout);
    let first = processes(&scene, "alpha")[&1];
    let said = scene.ends(0, &["deploy", "local", "--yes", "-v"]);
    assert!(said.stderr.contains("stands by; nothing had to end"), "{}", said.stderr);
    assert_eq!((releases(&scene, "alpha"), releases(&scene, "beta")), (vec![1, 2], vec![1]));
    assert_eq!(scene.answers("alpha").as_deref(), Some("2.0.0"));
    assert!(scene.ends(0, &["deploy", "local", "--yes"]).stdout.starts_with("nothing to do"));

    scene.ends(0, &["rollback", "local", "--yes"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    assert_eq!(processes(&scene, "alpha"), BTreeMap::from([(1, first)]), "the same process, and the new one is gone");

    // One that has ended meanwhile is started before anything leads back to it.
    scene.ends(0, &["deploy", "local", "--yes"]);
    kill(&scene, 1);
    let back = scene.ends(0, &["rollback", "local", "--yes"]).stderr;
    let place = |words: &str| back.find(words).unwrap_or_else(|| panic!("{words}: {back}"));
    assert!(place("alpha@here: retire taken back") < place("alpha@here: taking switch back"), "{back}");
    assert_eq!((scene.answers("alpha").as_deref(), releases(&scene, "alpha")), (Some("1.0.0"), vec![1]));

    // Of three that one after the other are live, two run; and whichever way it is gone, the same two.
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("alpha", 3);
    let plan = scene.ends(0, &["plan", "local", "--long"]);
    assert!(plan.stdout.contains("stands by until the next deployment, end what 0001-"), "{}", plan.stdout);
    scene.ends(0, &["deploy", "local", "--yes"]);
    let both = processes(&scene, "alpha");
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(!both.contains_key(&1), "{both:?}");
    let old = both.keys().next().expect("one");
    let kept = scene.place().join("live/alpha/releases");
    let name = std::fs::read_dir(kept).expect("a folder").flatten().map(|entry| entry.file_name());
    let name =
        name.map(|name| name.to_string_lossy().into_owned()).find(|name| name.starts_with(&format!("{old:04}-")));
    scene.ends(0, &["rollback", "local", "--yes", "--to", &name.expect("it is kept"), "alpha"]);
    assert_eq!((scene.answers("alpha").as_deref(), processes(&scene, "alpha")), (Some("2.0.0"), both));
    scene.ends(0, &["stop", "local", "--yes"]);
    assert_eq!(releases(&scene, "alpha"), Vec::<u64>::new());
}

#[test]
fn a_deployment_that_fails_or_is_killed_leaves_the_one_that_stands_by_as_it_was_or_ends_it() {
    let scene = standing_by();
    scene.version("alpha", 2);
    scene.ends(0, &["deploy", "local", "--yes"]);
    let both = processes(&scene, "alpha");
    assert_eq!(both.len(), 2);
    scene.version("alpha", 3);
    scene.break_service("beta");
    scene.ends(110, &["deploy", "local", "--yes"]);
    assert_eq!((scene.answers("alpha").as_deref(), processes(&scene, "alpha")), (Some("2.0.0"), both.clone()));

    scene.version("beta", 2);
    let mut working = scene.start(&["deploy", "local", "--yes", "-v"]);
    working.says("alpha@here: retire");
    working.signal(Signal::KILL);
    working.ends();
    let resumed = scene.ends(0, &["resume"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("3.0.0"), "{}", resumed.stderr);
    let now = processes(&scene, "alpha");
    assert_eq!((now.len(), now.contains_key(&1), now.get(&2)), (2, false, both.get(&2)), "{}", resumed.stderr);

    // Also where it has ended by itself the way back is whole: it starts it, as it would without.
    kill(&scene, 2);
    scene.ends(0, &["rollback", "local", "--yes"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("2.0.0"));
    assert_ne!(processes(&scene, "alpha").get(&2), both.get(&2));
}
