//! However the clock jumps, a living holder keeps its lease and no two hold it.

use std::sync::Arc;

use jiff::SignedDuration;
use pleach_core::error::Kind;
use pleach_core::port::Leases;
use pleach_core::testing::FixedClock;
use pleach_store::FileLeases;

use crate::support::{folder, request};

#[tokio::test]
async fn a_clock_that_jumps_takes_no_lease_away() {
    let folder = folder();
    let clock = Arc::new(FixedClock::default());
    let leases = FileLeases::open(folder.path(), clock.clone()).unwrap();
    let lease = leases.acquire(&request("run-1")).await.unwrap();
    for hours in [24, -48, 24 * 365 * 50, -24 * 365 * 100] {
        clock.jump(SignedDuration::from_hours(hours));
        assert_eq!(leases.acquire(&request("run-2")).await.unwrap_err().kind, Kind::Conflict, "{hours}");
        let renewed = leases.renew(&lease).await.unwrap();
        assert_eq!(renewed.token, lease.token);
    }
}

#[tokio::test]
async fn a_renewal_lasts_as_long_as_was_asked_for_from_now_on() {
    let folder = folder();
    let clock = Arc::new(FixedClock::default());
    let leases = FileLeases::open(folder.path(), clock.clone()).unwrap();
    let lease = leases.acquire(&request("run-1")).await.unwrap();
    assert_eq!(lease.expires.duration_since(lease.started).as_secs(), 60);
    let mut earlier = lease.expires;
    for _ in 0..5 {
        clock.jump(SignedDuration::from_secs(19));
        let renewed = leases.renew(&lease).await.unwrap();
        assert_eq!(renewed.expires.duration_since(earlier).as_secs(), 20, "and does not grow");
        assert_eq!(renewed.started, lease.started);
        assert_eq!(leases.list().await.unwrap(), std::slice::from_ref(&renewed));
        earlier = renewed.expires;
    }
}

#[tokio::test]
async fn an_expired_lease_of_a_living_holder_is_refused_and_says_so() {
    let folder = folder();
    let clock = Arc::new(FixedClock::default());
    let leases = FileLeases::open(folder.path(), clock.clone()).unwrap();
    leases.acquire(&request("run-1")).await.unwrap();
    clock.jump(SignedDuration::from_secs(600));
    let failure = leases.acquire(&request("run-2")).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Conflict);
    assert!(failure.because[0].ends_with("though it was to be renewed before 1970-01-01 00:01:01Z"), "{failure:?}");
}
