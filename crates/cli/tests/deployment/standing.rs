//! Where everything stands is what a client would find, service by service.

use pleach_remote::process::port_owner;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::scene::Scene;

fn row(scene: &Scene, service: &str) -> Value {
    let status: Value = serde_json::from_str(&scene.ends(0, &["status", "local", "--json"]).stdout).unwrap();
    let rows = status["services"].as_array().unwrap();
    rows.iter().find(|row| row["service"] == service).unwrap_or_else(|| panic!("{service}: {status}")).clone()
}

/// Kills the router of a service, and waits until its port is free.
fn kill_router(scene: &Scene, service: &str) {
    let port = scene.port(service);
    let (router, _) = port_owner(port).and_then(|owner| owner.process).expect("it is routed");
    kill_process(Pid::from_raw(router.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
    while port_owner(port).is_some() {
        std::thread::yield_now();
    }
}

#[test]
fn a_service_that_nobody_leads_to_is_not_healthy_is_not_verified_and_comes_back_by_deploying() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    kill_router(&scene, "alpha");
    assert_eq!(scene.answers("alpha"), None);
    let alpha = row(&scene, "alpha");
    assert_eq!((&alpha["state"], &alpha["health"]), (&"running".into(), &"unhealthy".into()), "{alpha}");
    assert_eq!(alpha["note"], "nobody leads to its port: deploy it again");
    assert_eq!(row(&scene, "beta")["health"], "healthy");
    let verify = scene.ends(1, &["verify", "local", "--only", "alpha"]);
    assert!(verify.stdout.contains("nobody leads to its port"), "{}", verify.stdout);
    let refused = scene.pleach(&["merge", "alpha"]);
    assert!(refused.stderr.contains("it is not healthy on"), "{}{}", refused.stdout, refused.stderr);
    scene.ends(0, &["deploy", "local", "--yes"]);
    assert_eq!(row(&scene, "alpha")["health"], "healthy");
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
}

#[test]
fn a_service_that_cannot_be_read_hides_no_other() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    let current = scene.place().join("live/alpha/current");
    let link = std::fs::read_link(&current).unwrap();
    std::fs::remove_file(&current).unwrap();
    std::fs::create_dir(&current).unwrap();
    let alpha = row(&scene, "alpha");
    assert_eq!(alpha["state"], "unknown");
    assert!(alpha["note"].as_str().unwrap().contains("is not a link to a release"), "{alpha}");
    let beta = row(&scene, "beta");
    assert_eq!((&beta["state"], &beta["health"], &beta["note"]), (&"running".into(), &"healthy".into(), &Value::Null));
    let verify = scene.pleach(&["verify", "local"]);
    assert!(verify.stdout.contains("is not a link to a release"), "{}{}", verify.stdout, verify.stderr);
    assert_eq!(verify.stdout.lines().filter(|line| line.starts_with("beta")).count(), 6, "{}", verify.stdout);
    std::fs::remove_dir(&current).unwrap();
    std::os::unix::fs::symlink(link, &current).unwrap();
}

#[test]
fn a_stopped_service_is_told_to_be_stopped_with_the_way_back() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.ends(0, &["stop", "local", "alpha", "--yes"]);
    let verify = scene.ends(1, &["verify", "local", "--only", "alpha"]);
    assert!(verify.stdout.contains("it is stopped"), "{}", verify.stdout);
    assert!(verify.stdout.contains("`pleach deploy local --only alpha`"), "{}", verify.stdout);
    scene.ends(0, &["deploy", "local", "--only", "alpha", "--yes"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
}

#[test]
fn what_runs_and_is_no_longer_in_the_config_is_listed_until_it_is_stopped() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    let config = std::fs::read_to_string(scene.root().join("pleach.toml")).unwrap();
    scene.write("pleach.toml", &config.replace("[services.beta]", "[services.gamma]"));
    let beta = row(&scene, "beta");
    assert_eq!(beta["state"], "running");
    assert_eq!(beta["note"], "no longer in pleach.toml: put it back there and `pleach stop` it");
    assert_eq!(row(&scene, "gamma")["state"], "absent");
    scene.write("pleach.toml", &config);
    scene.ends(0, &["stop", "local", "beta", "--yes"]);
    scene.write("pleach.toml", &config.replace("[services.beta]", "[services.gamma]"));
    assert!(!scene.ends(0, &["status", "local"]).stdout.contains("beta"));
    scene.write("pleach.toml", &config);
}
