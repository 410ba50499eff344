//! Where nothing can be written the error says what was tried, why not, and what to do.

use std::fs;
use std::sync::Arc;

use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Leases, Runs};
use pleach_core::testing::FixedClock;
use pleach_store::{FileLeases, FileRuns};

use crate::support::{folder, plan, request, run};

fn check(failure: &Failure, path: &str) {
    assert_eq!(failure.kind, Kind::Rejected);
    assert!(failure.what.starts_with("could not ") && failure.what.contains(path), "{failure:?}");
    assert!(!failure.because.is_empty() && failure.state.is_some(), "{failure:?}");
    assert!(failure.next.as_ref().unwrap().contains('`'), "{failure:?}");
}

// A file in the way refuses everybody, the root user too.
#[test]
fn a_state_directory_below_a_file_is_told_in_four_parts() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    check(&Failure::from(FileRuns::open(&file).err().unwrap()), "file/runs");
    check(&Failure::from(FileLeases::open(&file, Arc::new(FixedClock::default())).err().unwrap()), "file/leases");
}

#[tokio::test]
async fn a_place_that_is_lost_later_is_told_in_four_parts() {
    let folder = folder();
    let runs = FileRuns::open(folder.path()).unwrap();
    let leases = FileLeases::open(folder.path(), Arc::new(FixedClock::default())).unwrap();
    for name in ["runs", "plans-used", "leases"] {
        fs::remove_dir_all(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name), "in the way").unwrap();
    }
    let (_, id) = plan(1);
    check(&runs.create(&run("0001"), &id).await.err().unwrap(), "plans-used");
    check(&runs.list().await.unwrap_err(), "runs");
    check(&leases.acquire(&request("0001")).await.unwrap_err(), "leases/local");
}

/// Where this user may not write, be it for its permissions or, for the root user, for what it is.
#[test]
fn a_directory_that_nobody_can_write_is_told_in_four_parts() {
    let failure = Failure::from(FileRuns::open("/proc/self/pleach".as_ref()).err().unwrap());
    check(&failure, "/proc/self/pleach/runs");
}
