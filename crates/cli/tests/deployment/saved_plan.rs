//! A plan that was saved is carried out as it was saved, once, or not at all.

use crate::scene::Scene;

#[test]
fn a_saved_plan_deploys_what_was_planned_and_only_once() {
    let scene = Scene::new();
    scene.ends(0, &["plan", "local", "--only", "alpha", "--out", "../plan.json"]);
    // What is committed later is not in the plan.
    scene.version("alpha", 2);
    scene.ends(0, &["approve", "../plan.json", "--yes"]);
    scene.ends(0, &["deploy", "local", "--plan", "../plan.json"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    assert_eq!(scene.answers("beta"), None);
    let again = scene.ends(102, &["deploy", "local", "--plan", "../plan.json"]);
    assert!(again.stderr.contains("`pleach plan local`"), "{}", again.stderr);
}

#[test]
fn a_plan_that_was_changed_after_consent_is_refused() {
    let scene = Scene::new();
    scene.ends(0, &["plan", "local", "--out", "../plan.json"]);
    scene.ends(0, &["approve", "../plan.json", "--yes"]);
    let path = scene.place().join("plan.json");
    let text = std::fs::read_to_string(&path).expect("saved").replace("echo building", "echo other");
    std::fs::write(&path, text).expect("changed");
    let refused = scene.ends(102, &["deploy", "local", "--plan", "../plan.json"]);
    assert!(refused.stderr.contains("the consent is to plan"), "{}", refused.stderr);
    assert_eq!(scene.answers("alpha"), None);
}

#[test]
fn a_plan_for_a_target_that_has_changed_since_is_refused() {
    let scene = Scene::new();
    scene.ends(0, &["plan", "local", "--out", "../plan.json"]);
    scene.ends(0, &["deploy", "local", "--yes"]);
    let stale = scene.ends(102, &["deploy", "local", "--plan", "../plan.json", "--yes"]);
    assert!(stale.stderr.contains("is stale") && stale.stderr.contains("nothing was touched"), "{}", stale.stderr);
}

#[test]
fn a_plan_for_another_environment_or_of_a_newer_form_is_refused() {
    let scene = Scene::new();
    scene.ends(0, &["plan", "local", "--out", "../plan.json"]);
    let other = scene.ends(100, &["deploy", "prod", "--plan", "../plan.json"]);
    assert!(other.stderr.contains("is not for `prod`"), "{}", other.stderr);
    let path = scene.place().join("plan.json");
    let text = std::fs::read_to_string(&path).expect("saved").replacen("\"format\": 1", "\"format\": 99", 1);
    std::fs::write(&path, text).expect("changed");
    let newer = scene.ends(100, &["deploy", "local", "--plan", "../plan.json"]);
    assert!(newer.stderr.contains("its form is 99"), "{}", newer.stderr);
}
