//! A host whose disk is full while an image arrives, or while one is built there.

use std::path::Path;
use std::process::Stdio;

use pleach_testbed::docker::DockerBed;

use crate::dock::Dock;
use crate::scene::{Said, told_in_four_parts};

/// Where all that the engine keeps lies.
const DISK: &str = "/dev/shm";

/// More than is left for it.
const LARGE: usize = 12 << 20;

/// Leaves this many bytes.
fn leave(dock: &Dock, bytes: u64) {
    let output =
        dock.machine().command("df").args(["--block-size=1", "--output=used", DISK]).stdin(Stdio::null()).output();
    let output = String::from_utf8(output.expect("df runs").stdout).expect("text");
    let used: u64 = output.lines().nth(1).and_then(|line| line.trim().parse().ok()).expect("a number");
    dock.machine().resize(Path::new(DISK), &(used + bytes).to_string());
}

/// Deploys more than there is room for: it is told, and nothing else has come of it.
fn refused(dock: &Dock, words: &[&str]) -> Said {
    let before = dock.seen();
    leave(dock, 6 << 20);
    let failed = dock.without_a_lost_request(|| dock.scene.pleach(&["deploy", "uat", "--yes"]));
    assert_eq!(failed.code, 110, "{}{}", failed.stdout, failed.stderr);
    told_in_four_parts(&failed);
    for words in words {
        assert!(failed.stderr.contains(words), "{words}: {}", failed.stderr);
    }
    assert_eq!(dock.seen(), before, "{}", failed.stderr);
    dock.require_settled(2);
    failed
}

#[test]
fn a_host_whose_disk_is_full_is_told_of_and_takes_the_same_image_once_there_is_room() {
    let Some(mut dock) = Dock::new() else { return };
    let Some(builder) = DockerBed::new() else { return };
    let own = std::mem::replace(
        &mut dock.scene.variables,
        vec![("DOCKER_HOST".into(), format!("unix://{}", builder.engine.socket().display()))],
    );
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    dock.large_version_of("alpha", 2, LARGE);
    refused(&dock, &["its disk is full", "docker system df'`, and make some, then `pleach deploy uat`"]);
    dock.machine().resize(Path::new(DISK), "1g");
    dock.without_a_lost_request(|| dock.scene.ends(0, &["deploy", "uat", "--yes"]));
    assert_eq!(dock.answer("alpha"), Some(2));

    // The same where it is built there.
    dock.scene.variables = own;
    dock.scene.commit("alpha", "more", Some("more"));
    dock.version_of("alpha", 3);
    refused(&dock, &["no space left", "docker system df`, and make some, then `pleach deploy uat`"]);
    let hold = ["deploy", "uat", "--yes", "--on-failure", "hold"];
    let held = dock.without_a_lost_request(|| dock.scene.ends(111, &hold));
    assert!(held.stderr.contains("docker system df`, and make some, then `pleach resume "), "{}", held.stderr);
    dock.machine().resize(Path::new(DISK), "1g");
    dock.without_a_lost_request(|| dock.scene.ends(0, &["resume"]));
    assert_eq!(dock.answer("alpha"), Some(3));
    dock.require_settled(2);
}
