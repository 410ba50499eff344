//! What could not be taken back is listed as a whole, each with the command that finishes it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::scene::Scene;

/// Makes `current` of a service lead elsewhere; gives where it led.
fn relink(scene: &Scene, service: &str, to: &Path) -> std::path::PathBuf {
    let current = scene.place().join("live").join(service).join("current");
    let before = fs::read_link(&current).expect("a link");
    fs::remove_file(&current).expect("removed");
    symlink(to, &current).expect("linked");
    before
}

#[test]
fn what_could_not_be_taken_back_is_listed_with_the_commands_that_finish_it() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("alpha", 2);
    scene.version("beta", 2);
    scene.ends(0, &["deploy", "local", "--yes"]);
    // Somebody else has switched it since, so that this run must not.
    fs::create_dir(scene.place().join("live/alpha/releases/by-hand")).expect("made");
    let before = relink(&scene, "alpha", Path::new("releases/by-hand"));
    let stuck = scene.ends(112, &["rollback", "local", "--yes"]);
    assert!(stuck.stdout.contains("not all could be taken back"), "{}", stuck.stdout);
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
