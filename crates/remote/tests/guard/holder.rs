//! Whose lease is taken over, and whose never.

use std::sync::Arc;
use std::time::Duration;

use pleach_core::error::Kind;
use pleach_core::port::{Holder, Leases};
use pleach_remote::guard::{HolderLife, TargetLeases};

use crate::bench::{Bench, LONG, Sleeper, elsewhere, environment, here, request, target};

const SHORT: Duration = Duration::from_millis(100);

/// Asks until the lease has expired; the target alone knows when.
async fn expiry(leases: &TargetLeases) {
    while !leases.show(&environment(), &target()).await.expect("shown").expired {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_holder_that_is_seen_to_live_keeps_its_lease_though_it_expired() {
    let bench = Bench::new();
    let mut sleeper = Sleeper::new();
    let leases = bench.leases(here(sleeper.id()));
    let first = leases.acquire(&request("run-1", SHORT)).await.expect("given");
    expiry(&leases).await;
    let refused = bench.leases(elsewhere("bob")).acquire(&request("run-2", LONG)).await.expect_err("it lives");
    assert_eq!(refused.kind, Kind::Conflict);
    assert!(refused.because[0].contains("its process lives; it has expired"), "{refused:?}");
    leases.renew(&first).await.expect("it may still renew");
    sleeper.end();
    let second = bench.leases(elsewhere("bob")).acquire(&request("run-2", LONG)).await.expect("dead by proof");
    assert!(second.token > first.token);
}

#[tokio::test]
async fn a_holder_that_is_gone_loses_its_lease_before_it_expires() {
    let bench = Bench::new();
    let mut sleeper = Sleeper::new();
    let first = bench.leases(here(sleeper.id())).acquire(&request("run-1", LONG)).await.expect("given");
    let bob = bench.leases(elsewhere("bob"));
    bob.acquire(&request("run-2", LONG)).await.expect_err("it lives");
    sleeper.end();
    assert_eq!(bob.show(&environment(), &target()).await.expect("shown").life, HolderLife::Gone);
    assert!(bob.acquire(&request("run-2", LONG)).await.expect("dead by proof").token > first.token);
}

#[tokio::test]
async fn a_process_that_has_the_same_id_is_not_the_holder() {
    let bench = Bench::new();
    let own = here(std::process::id());
    let earlier = Holder { process_start: own.process_start - 1, ..own.clone() };
    bench.leases(earlier).acquire(&request("run-1", LONG)).await.expect("given");
    bench.leases(own).acquire(&request("run-2", LONG)).await.expect("its id was given to another");
}

#[tokio::test]
async fn a_process_of_another_space_of_ids_is_not_judged_here() {
    let bench = Bench::new();
    let own = here(std::process::id());
    let boot = own.boot.split(' ').next().expect("a boot id");
    let contained = Holder { boot: format!("{boot} pid:[1]"), process: 4_000_000, ..own };
    let leases = bench.leases(contained);
    leases.acquire(&request("run-1", LONG)).await.expect("given");
    assert_eq!(leases.show(&environment(), &target()).await.expect("shown").life, HolderLife::Unknown);
    bench.leases(elsewhere("bob")).acquire(&request("run-2", LONG)).await.expect_err("it may live");
}

#[tokio::test]
async fn a_stopped_holder_keeps_its_lease_until_it_expires() {
    let bench = Bench::new();
    let sleeper = Sleeper::new();
    let leases = bench.leases(here(sleeper.id()));
    leases.acquire(&request("run-1", LONG)).await.expect("given");
    sleeper.signal("-STOP");
    let bob = bench.leases(elsewhere("bob"));
    while bob.show(&environment(), &target()).await.expect("shown").life != HolderLife::Stopped {}
    let refused = bob.acquire(&request("run-2", LONG)).await.expect_err("not expired");
    assert!(refused.because[0].contains("stopped"), "{refused:?}");
    assert!(refused.next.as_ref().is_some_and(|next| next.contains("kill -CONT")), "{refused:?}");
}

#[tokio::test]
async fn a_holder_elsewhere_keeps_its_lease_until_the_target_sees_it_expire() {
    let bench = Bench::new();
    let (ann, bob) = (bench.leases(elsewhere("ann")), bench.leases(elsewhere("bob")));
    let first = ann.acquire(&request("run-1", LONG)).await.expect("given");
    let refused = bob.acquire(&request("run-2", LONG)).await.expect_err("it may live");
    assert!(refused.because[0].contains("`ann` on `laptop`"), "{refused:?}");
    ann.release(&first).await.expect("given back");
    let second = ann.acquire(&request("run-1", SHORT)).await.expect("given");
    expiry(&bob).await;
    let third = bob.acquire(&request("run-2", LONG)).await.expect("expired");
    assert!(third.token > second.token);
    assert_eq!(ann.renew(&second).await.expect_err("taken over").kind, Kind::Conflict);
    ann.release(&second).await.expect("nothing happens");
    assert_eq!(bob.list().await.expect("listed").len(), 1, "the late release took nothing from the new holder");
}

#[tokio::test]
async fn proof_from_where_the_holder_lived_is_enough_and_only_for_that_holder() {
    let bench = Bench::new();
    let first = bench.leases(elsewhere("ann")).acquire(&request("run-1", LONG)).await.expect("given");
    let dead = |holder: &Holder| holder.user == "ann";
    let bob = TargetLeases::new(Arc::new(bench.shell()), bench.guard.clone(), elsewhere("bob"), Arc::new(dead));
    let second = bob.acquire(&request("run-2", LONG)).await.expect("proven dead");
    assert!(second.token > first.token);
    bob.acquire(&request("run-3", LONG)).await.expect_err("bob is not dead");
    // Nobody is dead who is seen to run on the target.
    let bench = Bench::new();
    bench.leases(here(std::process::id())).acquire(&request("run-1", LONG)).await.expect("given");
    let wrong = TargetLeases::new(Arc::new(bench.shell()), bench.guard.clone(), elsewhere("bob"), Arc::new(|_| true));
    wrong.acquire(&request("run-2", LONG)).await.expect_err("it lives");
}

#[tokio::test]
async fn wall_clocks_an_hour_apart_change_nothing() {
    let bench = Bench::new();
    let shifted = |name: &str, seconds: &str| {
        let folder = bench.folder.path().join(name);
        std::fs::create_dir(&folder).expect("made");
        let date = folder.join("date");
        std::fs::write(&date, format!("#!/bin/sh\necho $(($(PATH=/usr/bin:/bin exec date +%s) {seconds}))\n"))
            .expect("ok");
        std::os::unix::fs::chown(&date, None, None).expect("ok");
        crate::bench::run(&["chmod", "755", date.to_str().expect("text")], "");
        let path = format!("PATH={}:{}", folder.display(), std::env::var("PATH").expect("a path"));
        bench.leases_with(bench.guard.clone().interpreter(["env", &path, "sh"]), elsewhere(name))
    };
    let (ahead, behind) = (shifted("ahead", "+ 3600"), shifted("behind", "- 3600"));
    let ann = bench.leases(elsewhere("ann"));
    let lease = ann.acquire(&request("run-1", Duration::from_secs(60))).await.expect("given");
    for leases in [&ahead, &behind] {
        leases.acquire(&request("run-2", LONG)).await.expect_err("not expired");
    }
    let offset = ahead.show(&environment(), &target()).await.expect("shown").now.duration_since(lease.started);
    assert!(offset.as_secs() >= 3600, "the clock was really set ahead");
    ann.release(&lease).await.expect("given back");
    let lease = ahead.acquire(&request("run-1", SHORT)).await.expect("given");
    expiry(&behind).await;
    behind.acquire(&request("run-2", LONG)).await.expect("expired, though its wall clock says in two hours");
    ahead.renew(&lease).await.expect_err("passed on");
}
