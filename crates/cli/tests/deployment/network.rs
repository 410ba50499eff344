//! A cable that is cut in every phase, and mended: whatever was said meanwhile, it ends all-new or all-old, and the machine
//! looks like that.

use std::time::{Duration, Instant};

use pleach_testbed::proxy::SlowLine;
use pleach_testbed::sshd::SshBed;

use crate::far::{BOUND, Far, Manifest};
use crate::interrupt::side_by_side;
use crate::scene::{SERVICES, told_in_four_parts};

/// The words of the narration at which the cable is cut, in the order of a deployment; those of one row on one machine.
const PLACES: [[&str; 2]; 5] = [
    ["capturing", "alpha@vm: verify"],
    ["alpha@vm: upload", "beta@vm: switch"],
    ["beta@vm: build", "alpha@vm: prune"],
    ["alpha@vm: start", "beta@vm: retire"],
    ["beta@vm: health", "alpha@vm: route"],
];

/// A machine with version 1.
fn deployed() -> Far {
    let far = Far::new().expect("one was made before");
    far.scene.ends(0, &["deploy", "uat", "--yes"]);
    far
}

/// What a machine looks like on which nothing went wrong.
fn model(version: u32) -> Manifest {
    let far = deployed();
    far.version(version);
    far.scene.ends(0, &["deploy", "uat", "--yes"]);
    far.manifest()
}

/// Deploys another version over version 1, cuts the cable at `place`, mends it when the command has ended, and goes on.
/// Gives the machine back if it has version 1 again.
fn cut_at(place: &str, far: Far, version: u32) -> Option<Far> {
    let old = far.manifest();
    far.version(version);
    let mut working = far.scene.start(&["deploy", "uat", "--yes", "-v"]);
    working.says(place);
    far.machine().cut();
    let begun = Instant::now();
    let said = working.ends();
    let took = begun.elapsed();
    assert!(took < BOUND, "{place}: {took:?}");
    far.machine().mend();
    told_in_four_parts(&said);
    // Nothing came over the cable any more that would tell how it went; before the first step there is nothing to tell.
    let wanted: &[i32] = if place == "capturing" { &[110] } else { &[112, 113] };
    assert!(wanted.contains(&said.code), "{place}: {}: {}{}", said.code, said.stdout, said.stderr);
    assert_eq!(said.stderr.contains("`pleach resume"), said.code != 110, "{place}: {}", said.stderr);
    let resumed = if said.code == 110 { said } else { far.scene.pleach(&["resume"]) };
    let told = format!("{place}: {}\n{}{}", resumed.code, resumed.stdout, resumed.stderr);
    println!("{place}: ended after {took:.1?}, then {}", resumed.code);
    let (version, wanted) = match resumed.code {
        0 => (format!("{version}.0.0"), model(version)),
        110 => ("1.0.0".to_owned(), old),
        _ => panic!("{told}"),
    };
    assert_eq!(far.answers(), Some(version), "{told}");
    far.require_settled(2);
    far.require(&wanted, &told);
    (resumed.code == 110).then_some(far)
}

#[test]
fn a_cable_that_is_cut_in_any_phase_leaves_all_new_or_all_old_once_it_is_mended() {
    if Far::new().is_none() {
        return;
    }
    side_by_side(PLACES, |places| {
        let mut machine = None;
        for (place, version) in places.into_iter().zip(2..) {
            machine = cut_at(place, machine.unwrap_or_else(deployed), version);
        }
    });
}

#[test]
fn a_cable_that_is_mended_while_the_command_still_tries_costs_nothing_but_time() {
    let Some(far) = Far::new() else { return };
    far.scene.ends(0, &["deploy", "uat", "--yes"]);
    far.version(2);
    far.retry(5);
    let mut working = far.scene.start(&["deploy", "uat", "--yes", "-v"]);
    working.says("alpha@vm: start");
    far.machine().cut();
    working.says("was lost");
    far.machine().mend();
    let said = working.ends();
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert_eq!(far.answers().as_deref(), Some("2.0.0"));
    far.require_settled(2);
}

/// The time that an answer takes to come from another country.
const FAR_AWAY: Duration = Duration::from_millis(40);

#[test]
fn a_machine_in_another_country_is_deployed_to_in_reasonable_time() {
    let far = Far::on(SshBed::new(""));
    let line = SlowLine::new((far.bed.address(), far.bed.server.port).into(), FAR_AWAY / 2);
    let known = std::fs::read_to_string(far.bed.at("known_hosts")).expect("known");
    far.bed.write("known_hosts", &known.replace(&far.bed.server.port.to_string(), &line.port.to_string()));
    far.bed.configure(&format!("Port {}", line.port));
    let begun = Instant::now();
    far.scene.ends(0, &["deploy", "uat", "--yes"]);
    let took = begun.elapsed();
    println!("two services in {took:.1?}");
    assert!(took < BOUND, "{took:?}");
    for service in SERVICES {
        assert_eq!(far.scene.answers(service).as_deref(), Some("1.0.0"));
    }
    far.bed.write("known_hosts", &known);
    far.bed.configure("");
}

#[test]
fn a_cable_that_loses_packets_is_deployed_over() {
    let Some(far) = Far::new() else { return };
    far.machine().lose(5);
    far.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(far.answers().as_deref(), Some("1.0.0"));
}
