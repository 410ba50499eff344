//! A lease that has passed on can be neither renewed nor given back, and giving back is done once.

use pleach_core::error::Kind;
use pleach_core::port::Leases;
use pleach_store::FileLeases;

use crate::support::{clock, folder, request};

#[tokio::test]
async fn a_lease_that_passed_on_can_neither_be_renewed_nor_released() {
    let folder = folder();
    let leases = FileLeases::open(folder.path(), clock()).unwrap();
    let old = leases.acquire(&request("run-1")).await.unwrap();
    leases.release(&old).await.unwrap();
    leases.release(&old).await.expect("twice is once");
    assert_eq!(leases.list().await.unwrap(), []);
    let new = leases.acquire(&request("run-2")).await.unwrap();
    assert!(new.token > old.token, "tokens outlive leases");
    let failure = leases.renew(&old).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Conflict);
    assert_eq!(failure.what, "the lease of target `here` of `local` has passed on");
    leases.release(&old).await.unwrap();
    assert_eq!(leases.list().await.unwrap(), [new]);
}

#[tokio::test]
async fn a_lease_whose_asker_gave_up_waiting_is_given_back() {
    let folder = folder();
    let leases = FileLeases::open(folder.path(), clock()).unwrap();
    let place = folder.path().join("leases/local");
    std::fs::create_dir_all(&place).unwrap();
    // Another's change is under way, so the asker has to wait.
    let lock = std::fs::File::create(place.join("here.lock")).unwrap();
    lock.lock().unwrap();
    let asker = tokio::spawn({
        let leases = leases.clone();
        async move { leases.acquire(&request("run-1")).await }
    });
    tokio::task::yield_now().await;
    asker.abort();
    assert!(asker.await.unwrap_err().is_cancelled());
    lock.unlock().unwrap();
    // The next asker waits for the lock behind it, or before it: in the end it is free for whoever asks.
    let lease = loop {
        match leases.acquire(&request("run-2")).await {
            Ok(lease) => break lease,
            Err(refused) => assert!(refused.because[0].contains("run-1"), "{refused:?}"),
        }
    };
    assert_eq!(leases.list().await.unwrap(), [lease]);
}
