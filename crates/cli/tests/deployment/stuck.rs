//! What could not be taken back is listed as a whole, each with the command that finishes it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::scene::{Said, Scene};

/// Makes `current` of a service lead elsewhere; gives where it led.
fn relink(scene: &Scene, service: &str, to: &Path) -> PathBuf {
    let current = scene.place().join("live").join(service).join("current");
    let before = fs::read_link(&current).expect("a link");
    fs::remove_file(&current).expect("removed");
    symlink(to, &current).expect("linked");
    before
}

/// Rolls back, and switches `alpha` by hand while that is under way; gives what was said and where it led.
fn rolled_back_amid_a_switch(scene: &Scene) -> (Said, PathBuf) {
    let live = scene.place().join("live/alpha");
    fs::create_dir(live.join("releases/by-hand")).expect("made");
    let records = fs::read_dir(live.join(".pleach/releases")).expect("records").flatten().map(|entry| entry.path());
    let old = records.min().expect("the old release");
    let record = fs::read_to_string(&old).expect("a record");
    let slow = record.replacen("\"run\": \"test", "\"run\": \"sleep 2; test", 1);
    assert_ne!(slow, record);
    fs::write(&old, slow).expect("written");
    let mut working = scene.start(&["rollback", "local", "--yes", "-v"]);
    working.says("alpha@here: taking retire back");
    let before = relink(scene, "alpha", Path::new("releases/by-hand"));
    let stuck = working.ends();
    assert_eq!(stuck.code, 112, "{}", stuck.stderr);
    (stuck, before)
}

#[test]
fn what_could_not_be_taken_back_is_listed_with_the_commands_that_finish_it() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("alpha", 2);
    scene.version("beta", 2);
    scene.ends(0, &["deploy", "local", "--yes"]);
    let (stuck, before) = rolled_back_amid_a_switch(&scene);
    assert!(stuck.stdout.contains("not all could be taken back"), "{}", stuck.stdout);
    let row = stuck.stdout.lines().find(|line| line.starts_with("alpha")).expect("a row");
    assert!(row.contains("step `switch` was not taken back: "), "{row}");
    let at = |words: &str| stuck.stderr.find(words).unwrap_or_else(|| panic!("{words}: {}", stuck.stderr));
    let switch = at("error: step `switch` of `alpha` on `here` was not taken back");
    let upload = at("error: step `upload` of `alpha` on `here` was not taken back");
    assert!(switch < upload, "what was done last goes back first: {}", stuck.stderr);
    let told = &stuck.stderr[upload..];
    assert!(!stuck.stderr.contains("rm -rf"), "it is the release that is live: {told}");
    assert!(told.contains("then `pleach resume "), "{told}");
    assert!(!stuck.stderr.contains("``"), "{}", stuck.stderr);
    assert_eq!(scene.answers("beta").as_deref(), Some("1.0.0"), "the others went back");
    let status = scene.ends(0, &["status"]);
    assert!(status.stdout.contains("`pleach resume "), "{}", status.stdout);

    relink(&scene, "alpha", &before);
    scene.ends(0, &["resume"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    assert!(!scene.ends(0, &["status"]).stdout.contains("resume"));
}

#[test]
fn a_stuck_run_is_not_gone_on_with_once_a_later_one_has_changed_something() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("alpha", 2);
    scene.ends(0, &["deploy", "local", "--yes"]);
    let run = scene.newest_run();
    let (_, before) = rolled_back_amid_a_switch(&scene);
    relink(&scene, "alpha", &before);

    // One that was taken back whole leaves it as it was.
    scene.break_service("beta");
    scene.ends(110, &["deploy", "local", "--only", "beta", "--yes"]);
    assert!(scene.ends(0, &["status"]).stdout.contains(&format!("`pleach resume {run}`")));
    scene.version("beta", 3);
    scene.ends(0, &["deploy", "local", "--only", "beta", "--yes"]);
    let newer = scene.newest_run();
    assert!(!scene.ends(0, &["status"]).stdout.contains("resume"));
    let refused = scene.ends(102, &["resume", &run]);
    crate::scene::told_in_four_parts(&refused);
    assert!(refused.stderr.contains(&format!("run {newer} has begun since")), "{}", refused.stderr);
    assert!(refused.stderr.contains("`pleach status local`"), "{}", refused.stderr);
    let nothing = scene.ends(0, &["resume"]);
    assert!(nothing.stdout.contains("nothing to resume"), "{}", nothing.stdout);
}
