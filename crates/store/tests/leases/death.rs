//! A dead holder's lease is taken over with proof that it is dead; a living, stopped or unknown one's never.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use pleach_core::error::Kind;
use pleach_core::port::{Lease, Leases};
use pleach_store::{FileLeases, Life, ProcessIdentity};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::support::{Part, block_on, clock, folder, part_argument, request};

/// The killed half of the test below.
#[test]
fn part_hold_until_killed() {
    let Some(folder) = part_argument() else { return };
    let leases = FileLeases::open(&folder, clock()).unwrap();
    let lease = block_on(leases.acquire(&request("run-1"))).unwrap();
    println!("token {}", lease.token);
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[tokio::test]
async fn a_stopped_holder_keeps_it_and_a_killed_one_loses_it() {
    let folder = folder();
    let mut part = Part::start("death::part_hold_until_killed", folder.path());
    let token = part.told("token ").expect("it takes the lease");
    let leases = FileLeases::open(folder.path(), clock()).unwrap();
    let process = Pid::from_child(&part.child);
    let refused = leases.acquire(&request("run-2")).await.unwrap_err();
    assert!(refused.because[0].contains("its process lives"), "{refused:?}");

    kill_process(process, Signal::STOP).unwrap();
    waitid(WaitId::Pid(process), WaitIdOptions::STOPPED).unwrap();
    let refused = leases.acquire(&request("run-2")).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Conflict);
    assert!(refused.because[0].contains("its process is stopped, not ended"), "{refused:?}");
    let next = refused.next.unwrap();
    assert!(next.contains(&format!("`kill -CONT {}`", part.child.id())), "{next}");

    let holder = ProcessIdentity::from(&leases.list().await.unwrap()[0].holder);
    assert_eq!((holder.life(), holder.is_alive()), (Life::Stopped, true));
    part.child.kill().unwrap();
    waitid(WaitId::Pid(process), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
    assert_eq!(holder.life(), Life::Dead, "also while its parent has not asked for its end");
    let lease = leases.acquire(&request("run-2")).await.unwrap();
    assert!(lease.token.0 > token);
    part.child.wait().unwrap();
}

/// A lease whose file is then changed: what another process would have written.
async fn forged(folder: &Path, change: impl Fn(&mut Lease)) -> (FileLeases, Lease) {
    let leases = FileLeases::open(folder, clock()).unwrap();
    let lease = leases.acquire(&request("run-1")).await.unwrap();
    let path = folder.join("leases/local/here.json");
    let mut written: Lease = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut written);
    fs::write(&path, serde_json::to_vec(&written).unwrap()).unwrap();
    (leases, lease)
}

#[tokio::test]
async fn a_process_id_that_is_used_again_is_not_the_holder() {
    let folder = folder();
    let (leases, old) = forged(folder.path(), |lease| lease.holder.process_start += 1).await;
    let new = leases.acquire(&request("run-2")).await.unwrap();
    assert!(new.token > old.token);
}

#[tokio::test]
async fn a_process_of_an_earlier_boot_is_not_the_holder() {
    let folder = folder();
    let (leases, _) = forged(folder.path(), |lease| {
        let boot = lease.holder.boot.split_once(' ').map_or(String::new(), |(_, rest)| format!(" {rest}"));
        lease.holder.boot = format!("00000000-0000-0000-0000-000000000000{boot}");
    })
    .await;
    leases.acquire(&request("run-2")).await.unwrap();
}

#[tokio::test]
async fn a_holder_on_another_machine_is_never_declared_dead() {
    let folder = folder();
    let (leases, _) = forged(folder.path(), |lease| {
        lease.holder.host = "another".into();
        lease.holder.boot = "00000000-0000-0000-0000-000000000000".into();
        lease.expires = Timestamp::UNIX_EPOCH;
    })
    .await;
    let refused = leases.acquire(&request("run-2")).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Conflict);
    assert!(refused.because[0].contains("on `another`"), "{refused:?}");
    // The way out that it names works, and no token is given twice.
    let token = leases.list().await.unwrap()[0].token;
    let path = folder.path().join("leases/local/here.json");
    assert!(refused.next.unwrap().contains(&format!("`rm '{}'`", path.display())));
    fs::remove_file(&path).unwrap();
    assert!(leases.acquire(&request("run-2")).await.unwrap().token > token);
}
