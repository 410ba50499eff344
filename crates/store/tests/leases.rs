//! One holder at a time; a dead one's lease is taken over with proof, a living one's never; tokens only grow.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod support;

use std::fs;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pleach_core::error::Kind;
use pleach_core::port::{Clock, Lease, Leases};
use pleach_store::FileLeases;
use support::{clock, part_argument, request, start_part};

#[tokio::test]
async fn a_living_holder_keeps_its_lease_also_when_it_has_expired() {
    let folder = tempfile::tempdir().unwrap();
    let leases = FileLeases::open(folder.path(), clock()).unwrap();
    let lease = leases.acquire(&request("run-1")).await.unwrap();
    struct Tomorrow;
    impl Clock for Tomorrow {
        fn now(&self) -> Timestamp {
            Timestamp::now() + SignedDuration::from_hours(24)
        }
    }
    let later = FileLeases::open(folder.path(), Arc::new(Tomorrow)).unwrap();
    let refused = later.acquire(&request("run-2")).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Conflict);
    let told = refused.because.join(" ");
    assert!(told.contains("run-1") && told.contains(&lease.holder.user) && told.contains("tests"), "{told}");
    leases.renew(&lease).await.unwrap();
    leases.release(&lease).await.unwrap();
    leases.release(&lease).await.unwrap();
    let next = later.acquire(&request("run-2")).await.unwrap();
    assert!(next.token > lease.token, "tokens outlive leases");
}

#[tokio::test]
async fn a_lease_that_passed_on_can_neither_be_renewed_nor_released() {
    let folder = tempfile::tempdir().unwrap();
    let leases = FileLeases::open(folder.path(), clock()).unwrap();
    let old = leases.acquire(&request("run-1")).await.unwrap();
    leases.release(&old).await.unwrap();
    let new = leases.acquire(&request("run-2")).await.unwrap();
    assert_eq!(leases.renew(&old).await.unwrap_err().kind, Kind::Conflict);
    leases.release(&old).await.unwrap();
    assert_eq!(leases.list().await.unwrap(), [new]);
}

/// The killed half of the test below.
#[test]
fn part_hold_until_killed() {
    let Some(folder) = part_argument() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let leases = FileLeases::open(&folder, clock()).unwrap();
    let lease = runtime.block_on(leases.acquire(&request("run-1"))).unwrap();
    println!("token {}", lease.token);
    loop {
        std::thread::park();
    }
}

#[tokio::test]
async fn a_stopped_holder_keeps_it_and_a_killed_one_loses_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, mut lines) = start_part("part_hold_until_killed", folder.path());
    let token: u64 =
        lines.find_map(|line| line.split_once("token ")?.1.trim().parse().ok()).expect("the child takes the lease");
    let leases = FileLeases::open(folder.path(), clock()).unwrap();
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    assert_eq!(leases.acquire(&request("run-2")).await.unwrap_err().kind, Kind::Conflict, "stopped is not dead");
    child.kill().unwrap();
    child.wait().unwrap();
    let lease = leases.acquire(&request("run-2")).await.unwrap();
    assert!(lease.token.0 > token);
}

fn forge(folder: &std::path::Path, change: impl Fn(&mut Lease)) {
    let path = folder.join("leases/local/here.json");
    let mut lease: Lease = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut lease);
    fs::write(&path, serde_json::to_vec(&lease).unwrap()).unwrap();
}

#[tokio::test]
async fn a_process_id_that_is_used_again_is_not_the_holder() {
    let folder = tempfile::tempdir().unwrap();
    let leases = FileLeases::open(folder.path(), clock()).unwrap();
    leases.acquire(&request("run-1")).await.unwrap();
    forge(folder.path(), |lease| lease.holder.process_start += 1);
    leases.acquire(&request("run-2")).await.unwrap();
}

#[tokio::test]
async fn a_holder_on_another_machine_is_never_declared_dead() {
    let folder = tempfile::tempdir().unwrap();
    let leases = FileLeases::open(folder.path(), clock()).unwrap();
    leases.acquire(&request("run-1")).await.unwrap();
    forge(folder.path(), |lease| {
        lease.holder.host = "another".into();
        lease.expires = Timestamp::UNIX_EPOCH;
    });
    assert_eq!(leases.acquire(&request("run-2")).await.unwrap_err().kind, Kind::Conflict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_race_exactly_one_holds_it_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..25 {
        let racers = (0..4).map(|racer| {
            let leases = FileLeases::open(folder.path(), clock()).unwrap();
            tokio::spawn(async move { leases.acquire(&request(&format!("run-{round}-{racer}"))).await })
        });
        let mut won = Vec::new();
        for racer in racers.collect::<Vec<_>>() {
            won.extend(racer.await.unwrap());
        }
        assert_eq!(won.len(), 1, "round {round}");
        assert!(won[0].token.0 > last);
        last = won[0].token.0;
        FileLeases::open(folder.path(), clock()).unwrap().release(&won[0]).await.unwrap();
    }
}

#[test]
fn a_state_directory_that_cannot_be_made_is_told_in_four_parts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = FileLeases::open(&file, clock()).err().unwrap();
    let failure = pleach_core::error::Failure::from(error);
    assert!(
        failure.what.contains("file/leases") && !failure.because.is_empty() && failure.next.is_some(),
        "{failure:?}"
    );
}
