//! What `pleach doctor` says of a deployment: a healthy one has no fault, and a port that leads elsewhere is one.

use crate::scene::{SERVICES, Scene};

#[test]
fn a_port_is_well_held_by_the_router_of_its_own_target_and_by_no_other() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    let healthy = scene.ends(0, &["doctor", "local"]);
    for service in SERVICES {
        let words = format!("leads to {service} in `local`");
        assert!(healthy.stdout.contains(&words), "{words}: {}", healthy.stdout);
    }
    // The same ports, wanted by another place: the routers belong to the first one.
    let config = std::fs::read_to_string(scene.root().join("pleach.toml")).unwrap();
    scene.write("other.toml", &config.replace("../live", "../elsewhere"));
    let other = scene.ends(2, &["--config", "other.toml", "doctor", "local"]);
    assert_eq!(other.stdout.matches("and held by `pleach route` (process ").count(), 2, "{}", other.stdout);
}
