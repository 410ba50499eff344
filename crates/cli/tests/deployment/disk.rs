//! Disks that are full or may not be written, and ports that somebody else holds: told in four parts, nothing is lost.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::scene::{Scene, told_in_four_parts};

/// `nobody` on every system that we know of.
const NOBODY: u32 = 65_534;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changed");
}

/// A command of a user whom permissions bind: whoever runs the tests, or nobody in the place of root.
fn as_user(scene: &Scene) -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let owner = format!("{NOBODY}:{NOBODY}");
    let owned = Command::new("chown").arg("-R").arg(owner).arg(scene.place()).status().expect("chown runs");
    assert!(owned.success());
    ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned).to_vec()
}

#[test]
fn a_state_directory_that_may_not_be_written_is_told_before_anything_is_touched() {
    let scene = Scene::new();
    let user = as_user(&scene);
    let git = scene.root().join(".git");
    set_mode(&git, 0o555);
    let refused = scene.under(&user, &["deploy", "local", "--yes"]);
    set_mode(&git, 0o755);
    assert_eq!(refused.code, 100, "{}", refused.stderr);
    told_in_four_parts(&refused);
    assert!(refused.stderr.contains("Permission denied"), "{}", refused.stderr);
    assert!(!scene.place().join("live").exists());
}

#[test]
fn a_target_that_may_not_be_written_leaves_all_as_it_was() {
    let scene = Scene::new();
    let user = as_user(&scene);
    let live = scene.place().join("live");
    std::fs::create_dir(&live).expect("made");
    set_mode(&live, 0o555);
    if !user.is_empty() {
        as_user(&scene);
    }
    let failed = scene.under(&user, &["deploy", "local", "--yes"]);
    set_mode(&live, 0o755);
    assert_eq!(failed.code, 100, "while planning: {}", failed.stderr);
    told_in_four_parts(&failed);
    assert!(failed.stderr.contains("Permission denied"), "{}", failed.stderr);
    assert_eq!(std::fs::read_dir(&live).expect("there").count(), 0, "nothing is left there");
}

#[test]
fn a_disk_that_is_full_takes_the_deployment_back_while_the_old_release_answers() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.large_file("alpha", 4 << 20);
    let clients = scene.clients();
    // A limit of 1 MiB for each file stands for a full disk: a write in the middle of the upload fails.
    let limit = ["sh", "-c", "trap '' XFSZ; ulimit -f 2048; exec \"$@\"", "sh"].map(str::to_owned);
    let failed = scene.under(&limit, &["deploy", "local", "--yes"]);
    assert_eq!(failed.code, 110, "{}", failed.stderr);
    told_in_four_parts(&failed);
    assert!(failed.stderr.contains("File too large"), "{}", failed.stderr);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    clients.all_were_answered();
    scene.ends(0, &["deploy", "local", "--yes"]);
}

#[test]
fn a_journal_that_cannot_be_written_starts_nothing() {
    let scene = Scene::new();
    let limit = ["sh", "-c", "trap '' XFSZ; ulimit -f 2; exec \"$@\"", "sh"].map(str::to_owned);
    let failed = scene.under(&limit, &["deploy", "local", "--yes"]);
    assert!(matches!(failed.code, 100 | 102 | 113), "{}: {}", failed.code, failed.stderr);
    told_in_four_parts(&failed);
    assert!(failed.stderr.contains("File too large"), "{}", failed.stderr);
    assert!(!scene.place().join("live/alpha/releases").exists(), "nothing was begun");
    scene.ends(0, &["resume"]);
    scene.ends(0, &["deploy", "local", "--yes"]);
}

#[test]
fn a_port_that_somebody_else_holds_is_named() {
    let scene = Scene::new();
    let listener = TcpListener::bind(("127.0.0.1", scene.port("alpha"))).expect("bound");
    let failed = scene.pleach(&["deploy", "local", "--yes"]);
    assert!(failed.code == 100, "{}: {}", failed.code, failed.stderr);
    told_in_four_parts(&failed);
    assert!(failed.stderr.contains(&scene.port("alpha").to_string()), "{}", failed.stderr);
    assert!(!scene.place().join("live/beta/releases").exists(), "nothing was touched");
    drop(listener);
    scene.ends(0, &["deploy", "local", "--yes"]);
}
