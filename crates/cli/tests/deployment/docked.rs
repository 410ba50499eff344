//! Services that are containers: their life on a host with a Docker engine of its own.

use crate::dock::Dock;
use crate::scene::SERVICES;

#[test]
fn containers_are_deployed_replaced_without_a_lost_request_rolled_back_and_stopped() {
    let Some(dock) = Dock::new() else { return };
    let said = dock.scene.ends(0, &["deploy", "uat", "--yes", "-v"]);
    assert_eq!(dock.answers(), Some(1), "{}{}", said.stdout, said.stderr);
    dock.require_settled(2);
    let nothing = dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert!(nothing.stdout.starts_with("nothing to do"), "{}", nothing.stdout);
    let first = dock.containers("alpha");
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].state, "running");

    dock.version(2);
    let (_, asked, lost) = dock.asked_while(|| dock.scene.ends(0, &["deploy", "uat", "--yes"]));
    assert_eq!((lost, dock.answers()), (0, Some(2)), "of {asked} requests");
    for service in SERVICES {
        let states: Vec<String> = dock.containers(service).into_iter().map(|seen| seen.state).collect();
        assert_eq!(states, ["exited", "running"], "the old one is kept as it ended");
    }

    let (_, asked, lost) = dock.asked_while(|| dock.scene.ends(0, &["rollback", "uat", "--yes"]));
    assert_eq!((lost, dock.answers()), (0, Some(1)), "of {asked} requests");
    let back = dock.containers("alpha");
    assert!(back.iter().any(|seen| seen.name == first[0].name && seen.state == "running"), "{back:?}");

    dock.scene.ends(0, &["stop", "uat", "--yes"]);
    assert_eq!(dock.answers(), None);
    assert!(SERVICES.iter().all(|service| dock.containers(service).iter().all(|seen| seen.state == "exited")));
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(dock.answers(), Some(2));
    dock.require_settled(2);
}
