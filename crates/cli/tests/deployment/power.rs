//! A machine that loses its power in the middle of a deployment and comes back.

use std::time::Instant;

use crate::far::{BOUND, Far};
use crate::interrupt::side_by_side;
use crate::scene::told_in_four_parts;

/// Loses power at `place` and gets it back before anybody goes on.
fn power_lost_at(place: &str) {
    let mut far = Far::new().expect("one was made before");
    far.scene.ends(0, &["deploy", "uat", "--yes"]);
    let old = far.manifest();
    far.version(2);
    let mut working = far.scene.start(&["deploy", "uat", "--yes", "-v"]);
    working.says(place);
    far.machine().lose_power();
    let begun = Instant::now();
    let said = working.ends();
    let took = begun.elapsed();
    assert!(took < BOUND, "{place}: {took:?}");
    assert!(matches!(said.code, 112 | 113), "{place}: {}: {}{}", said.code, said.stdout, said.stderr);
    told_in_four_parts(&said);
    assert!(said.stderr.contains("`pleach resume"), "{place}: {}", said.stderr);
    far.bed.restart("");
    let resumed = far.scene.pleach(&["resume"]);
    let told = format!("{place}: {}\n{}{}", resumed.code, resumed.stdout, resumed.stderr);
    println!("{place}: ended after {took:.1?}, then {}", resumed.code);
    let version = match resumed.code {
        0 => "2.0.0",
        110 => {
            far.require_files(&old, &told);
            "1.0.0"
        }
        _ => panic!("{told}"),
    };
    // What ran before has lost its power too, and runs again.
    assert_eq!(far.answers().as_deref(), Some(version), "{told}");
    far.require_settled(2);
    far.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(far.answers().as_deref(), Some("2.0.0"), "{told}");
}

#[test]
fn a_machine_that_loses_power_in_mid_deployment_is_all_new_or_all_old_once_it_is_back() {
    if Far::new().is_none() {
        return;
    }
    side_by_side(["alpha@vm: upload", "alpha@vm: switch", "beta@vm: prune"], power_lost_at);
}
