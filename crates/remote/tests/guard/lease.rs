//! Core's promises of leases, in every shell.

use std::sync::Arc;

use pleach_core::error::Kind;
use pleach_core::port::{Holder, Leases};
use pleach_core::testing::conformance;

use crate::bench::{Bench, LONG, SHELLS, elsewhere, environment, here, request, target};

async fn conforms(shell: &[&str]) {
    let bench = Bench::with(shell);
    let own = here(std::process::id());
    conformance::leases(async || Arc::new(bench.leases(own.clone())) as Arc<dyn Leases>).await;
}

#[tokio::test]
async fn leases_on_a_target_keep_the_promises_of_the_port_in_dash() {
    conforms(SHELLS[0]).await;
}

#[tokio::test]
async fn leases_on_a_target_keep_the_promises_of_the_port_in_busybox() {
    conforms(SHELLS[1]).await;
}

#[tokio::test]
async fn leases_on_a_target_keep_the_promises_of_the_port_in_bash() {
    conforms(SHELLS[2]).await;
}

#[tokio::test]
async fn hostile_words_come_back_as_they_were_and_do_nothing() {
    for shell in SHELLS {
        let bench = Bench::with(shell);
        let victim = bench.folder.path().join("victim");
        let nasty = format!(
            "it's \"$(touch '{v}')\" `touch '{v}'`;touch '{v}'\nend\ntoken 99\r\0\\0101 \\n %s -n\t\u{1b}[2J ü \u{85} ",
            v = victim.display()
        );
        let holder = Holder { user: nasty.clone(), host: nasty.clone(), boot: nasty.clone(), ..elsewhere("x") };
        let leases = bench.leases(holder.clone()).plan(nasty.clone());
        let mut wanted = request("run-1", LONG);
        wanted.reason.clone_from(&nasty);
        let lease = leases.acquire(&wanted).await.expect("given");
        let renewed = leases.renew(&lease).await.expect("renewed");
        for seen in [&lease, &renewed] {
            assert_eq!((&seen.holder, &seen.reason, seen.token), (&holder, &nasty, lease.token), "{shell:?}");
        }
        let state = leases.show(&environment(), &target()).await.expect("shown");
        assert_eq!(state.plan.as_deref(), Some(nasty.as_str()));
        assert_eq!(leases.list().await.expect("listed"), [renewed]);
        assert!(!victim.exists(), "{shell:?} ran what was only to be told");
    }
}

#[tokio::test]
async fn breaking_a_lease_says_whose_it_was_and_shuts_the_holder_out() {
    let bench = Bench::new();
    let (ann, bob) = (bench.leases(elsewhere("ann")), bench.leases(elsewhere("bob")));
    let first = ann.acquire(&request("run-1", LONG)).await.expect("given");
    let broken = bob.break_lease(&first).await.expect("broken");
    assert_eq!(broken.lease.expect("it was held").holder.user, "ann");
    assert_eq!(ann.renew(&first).await.expect_err("broken").kind, Kind::Conflict);
    let free = bob.show(&environment(), &target()).await.expect("shown");
    assert!(free.lease.is_none());
    assert!(free.seen > first.token, "the target refuses it");
    assert_eq!(free.given, first.token, "nobody has it after");
    assert_eq!(bob.break_lease(&first).await.expect_err("no longer there").kind, Kind::Conflict);
    let second = bob.acquire(&request("run-2", LONG)).await.expect("free");
    assert!(second.token > free.seen);
    let stale = bob.break_lease(&first).await.expect_err("it is another's now");
    assert!(stale.because.join(" ").contains("bob"), "{stale:?}");
}
