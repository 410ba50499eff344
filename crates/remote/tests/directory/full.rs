//! A directory that cannot be written, and a disk without room.
//!
//! Each test runs once more in a mount namespace of its own, where it may mount what it needs: as root for other users
//! too, and gone with the process.

use std::path::{Path, PathBuf};
use std::process::Command;

use pleach_core::port::EntryMode;

use crate::project::{Project, home, require_told};

const INSIDE: &str = "PLEACH_TEST_NAMESPACE";

/// Whether the test is inside; if not, it is run there.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    // Made and removed outside: inside it is where something is mounted.
    let place = home();
    let privileged = Command::new("unshare").args(["--mount", "true"]).output();
    let privileged = privileged.expect("`unshare` of util-linux is installed").status.success();
    let mut command = Command::new("unshare");
    command.args(["--mount"]).args((!privileged).then_some("--map-root-user"));
    command.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let output = command.env(INSIDE, place.path()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    false
}

fn mount(arguments: &[&str], place: &Path) {
    let output = Command::new("mount").args(arguments).arg(place).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A project that lies on a file system of its own with so much room.
fn on_disk_of(size: &str) -> (PathBuf, Project) {
    let disk = PathBuf::from(std::env::var_os(INSIDE).unwrap());
    mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "none"], &disk);
    let project = Project::at(&disk.join("live"), "");
    (disk, project)
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work);
}

#[test]
fn a_read_only_directory_is_told_and_the_old_release_answers() {
    if !inside("full::a_read_only_directory_is_told_and_the_old_release_answers") {
        return;
    }
    block_on(async {
        let (disk, project) = on_disk_of("20m");
        project.deployed(1).await;
        let old = project.current().unwrap();
        let listener = project.listen();
        // A mount of its own over it: the one below has files that are being written.
        mount(&["--bind", disk.to_str().unwrap()], &disk);
        mount(&["-o", "remount,bind,ro"], &disk);
        let failure = project.failed(2).await;
        require_told(&failure);
        assert!(failure.because.iter().any(|cause| cause.contains("Read-only")), "{failure:#?}");
        assert!(failure.state.is_some(), "{failure:#?}");
        assert!(Command::new("umount").arg("--lazy").arg(&disk).status().unwrap().success());
        listener.heard_only(&old);
        assert_eq!(project.current(), Some(old));
        project.deployed(2).await;
    });
}

#[test]
fn a_disk_without_room_for_the_tree_is_told_and_the_old_release_answers() {
    if !inside("full::a_disk_without_room_for_the_tree_is_told_and_the_old_release_answers") {
        return;
    }
    block_on(async {
        let (_disk, project) = on_disk_of("2m");
        project.deployed(1).await;
        let old = project.current().unwrap();
        project.source.add(2, "large", EntryMode::File, &vec![b'x'; 8 << 20]);
        let listener = project.listen();
        let failure = project.failed(2).await;
        require_told(&failure);
        assert!(failure.because[0].contains("No space"), "{failure:#?}");
        listener.heard_only(&old);
        assert_eq!(project.releases(), std::slice::from_ref(&old), "the half of the new one is gone");
        project.deployed(3).await;
    });
}

#[test]
fn a_disk_that_is_full_to_the_last_byte_is_told_and_the_old_release_answers() {
    if !inside("full::a_disk_that_is_full_to_the_last_byte_is_told_and_the_old_release_answers") {
        return;
    }
    block_on(async {
        let (disk, project) = on_disk_of("1m");
        project.deployed(1).await;
        let old = project.current().unwrap();
        let filler = disk.join("filler");
        let mut file = std::fs::File::create(&filler).unwrap();
        while std::io::Write::write(&mut file, &[0; 4096]).is_ok() {}
        drop(file);
        let listener = project.listen();
        let failure = project.failed(2).await;
        require_told(&failure);
        let told = format!("{failure:?}");
        assert!(told.contains("No space") || told.contains("no space"), "{failure:#?}");
        // Ends and restarts of processes are noted there too: none may be lost for want of room.
        assert_eq!(project.status().await.release.map(|release| release.to_string()), Some(old.clone()));
        listener.heard_only(&old);
        std::fs::remove_file(&filler).unwrap();
        project.deployed(2).await;
        assert_eq!(project.serving().len(), 1);
    });
}
