//! What every place for leases must do.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Kind;
use crate::port::{Lease, LeaseRequest, Leases};
use crate::testing::shape::environment;
use crate::word::{RunId, TargetName};

fn request(target: &str, run: &str) -> LeaseRequest {
    LeaseRequest {
        environment: environment(),
        target: TargetName::new(target).expect("a name"),
        run: RunId::new(run).expect("a name"),
        reason: format!("deploys run {run}"),
        lifetime: Duration::from_secs(60),
    }
}

async fn targets(leases: &dyn Leases) -> Vec<(String, u64)> {
    let listed = leases.list().await.expect("leases can be listed");
    let mut listed: Vec<_> = listed.into_iter().map(|lease| (lease.target.to_string(), lease.token.0)).collect();
    listed.sort();
    listed
}

/// Runs the suite. `reopen` gives the same place once more, as another part of a living program would see it; it is empty
/// at first.
pub async fn leases(reopen: impl AsyncFn() -> Arc<dyn Leases>) {
    let (here, there) = (reopen().await, reopen().await);
    assert_eq!(targets(here.as_ref()).await, []);
    let first: Lease = here.acquire(&request("one", "run-1")).await.expect("a free target can be leased");
    assert_eq!((first.target.as_str(), first.run.as_str()), ("one", "run-1"));
    assert_eq!(first.reason, "deploys run run-1");
    assert!(first.expires > first.started);
    for leases in [&here, &there] {
        let refused = leases.acquire(&request("one", "run-2")).await.expect_err("a living holder keeps it");
        assert_eq!(refused.kind, Kind::Conflict);
        let told = format!("{} {}", refused.what, refused.because.join(" "));
        assert!(told.contains(&first.holder.user) || told.contains("run-1"), "it says who holds it: {told}");
        assert_eq!(targets(leases.as_ref()).await, [("one".to_owned(), first.token.0)]);
    }
    let other = there.acquire(&request("two", "run-2")).await.expect("another target is another lease");

    let renewed = here.renew(&first).await.expect("the holder renews it");
    assert_eq!(renewed.token, first.token, "renewing gives no new token");
    assert!(renewed.expires >= first.expires);
    here.renew(&first).await.expect("it is renewed by what was acquired, as often as needed");

    here.release(&first).await.expect("the holder gives it back");
    here.release(&first).await.expect("twice is once");
    assert_eq!(here.renew(&first).await.expect_err("it was given back").kind, Kind::Conflict);
    let second = there.acquire(&request("one", "run-3")).await.expect("it is free again");
    assert!(second.token > first.token, "tokens only grow");
    assert_eq!(here.renew(&first).await.expect_err("another holds it").kind, Kind::Conflict);
    here.release(&first).await.expect("giving back what has passed on does nothing");
    let listed = targets(here.as_ref()).await;
    assert_eq!(listed, [("one".to_owned(), second.token.0), ("two".to_owned(), other.token.0)]);

    let mut last = second;
    for round in 0..20 {
        here.release(&last).await.expect("the holder gives it back");
        let next = reopen().await.acquire(&request("one", &format!("run-{round}"))).await.expect("it is free again");
        assert!(next.token > last.token, "tokens only grow");
        last = next;
    }
    there.release(&last).await.expect("given back");
    there.release(&other).await.expect("given back");

    let requests = ["race-0", "race-1", "race-2", "race-3"].map(|run| request("one", run));
    let (one, two) = (here.acquire(&requests[0]), there.acquire(&requests[1]));
    let (three, four) = (here.acquire(&requests[2]), there.acquire(&requests[3]));
    let (one, two, three, four) = tokio::join!(one, two, three, four);
    let won: Vec<Lease> = [one, two, three, four].into_iter().filter_map(Result::ok).collect();
    assert_eq!(won.len(), 1, "of many who ask at once one gets it");
    here.release(&won[0]).await.expect("given back");
}
