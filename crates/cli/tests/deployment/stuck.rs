//! What could not be taken back is listed as a whole, each with the command that finishes it.

use crate::scene::Scene;

#[test]
fn what_could_not_be_taken_back_is_listed_with_the_commands_that_finish_it() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("beta", 2);
    scene.jam("alpha");
    let stuck = scene.ends(112, &["deploy", "local", "--yes"]);
    assert!(stuck.stdout.contains("not all could be taken back"), "{}", stuck.stdout);
    let at = |words: &str| stuck.stderr.find(words).unwrap_or_else(|| panic!("{words}: {}", stuck.stderr));
    let start = at("error: step `start` of `alpha` on `here` was not taken back");
    let upload = at("error: step `upload` of `alpha` on `here` was not taken back");
    assert!(start < upload, "what was done last goes back first: {}", stuck.stderr);
    let told = &stuck.stderr[upload..];
    assert!(told.contains("next: `rm -rf '") && told.contains("'`, then `pleach resume "), "{told}");
    assert!(!stuck.stderr.contains("``"), "{}", stuck.stderr);
    assert_eq!(scene.answers("beta").as_deref(), Some("1.0.0"), "the others went back");
    let status = scene.ends(0, &["status"]);
    assert!(status.stdout.contains("`pleach resume "), "{}", status.stdout);

    scene.clear("alpha");
    scene.ends(110, &["resume"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    assert!(!scene.ends(0, &["status"]).stdout.contains("resume"));
}
