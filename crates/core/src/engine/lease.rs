//! The leases of one run, renewed until they are given back.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Engine;
use crate::error::{Failure, Kind};
use crate::event::Event;
use crate::port::{Lease, Leases};

/// Leases that are held. When this is dropped they are no longer renewed: a run that nobody waits for any more must not
/// keep its targets from others.
pub(super) struct Leased {
    pub(super) leases: Vec<Lease>,
    heartbeats: JoinSet<()>,
    trouble: UnboundedSender<Failure>,
    /// Tells the first lease that is lost.
    pub(super) troubles: UnboundedReceiver<Failure>,
}

impl Leased {
    pub(super) fn new() -> Self {
        let (trouble, troubles) = unbounded_channel();
        Self { leases: Vec::new(), heartbeats: JoinSet::new(), trouble, troubles }
    }

    /// Adds a lease that was taken just now.
    pub(super) fn keep(&mut self, engine: &Engine, lease: Lease, lifetime: Duration) {
        // One task each: a lease that cannot be renewed must not keep the others waiting.
        self.heartbeats.spawn(heartbeat(engine.clone(), lease.clone(), lifetime, self.trouble.clone()));
        self.leases.push(lease);
    }

    pub(super) async fn release(mut self, engine: &Engine) {
        self.heartbeats.shutdown().await;
        let mut releasing = JoinSet::new();
        for lease in self.leases {
            let engine = engine.clone();
            releasing.spawn(async move { engine.release(&lease).await });
        }
        // One that breaks down leaves its lease to expire.
        while releasing.join_next().await.is_some() {}
    }
}

async fn heartbeat(engine: Engine, lease: Lease, lifetime: Duration, trouble: UnboundedSender<Failure>) {
    let at_risk = |failure| engine.events.emit(Event::LeaseAtRisk { target: lease.target.clone(), failure });
    let _ = trouble.send(keep(engine.leases.as_ref(), &lease, lifetime, at_risk).await);
}

/// Renews a lease until it is ended. Gives why when it is lost, and also when it could not be renewed for so long that it is
/// about to expire: after that another may hold it. Each time it could not be renewed is told to `at_risk`.
pub(super) async fn keep(leases: &dyn Leases, lease: &Lease, lifetime: Duration, at_risk: impl Fn(Failure)) -> Failure {
    let period = (lifetime / 3).max(Duration::from_millis(1));
    let patience = lifetime - lifetime / 10;
    let mut renewed = Instant::now();
    let mut pause = period;
    loop {
        let last_moment = renewed + patience;
        sleep_until((Instant::now() + pause).min(last_moment)).await;
        let asked = Instant::now();
        let answer = timeout_at((asked + period).min(last_moment), leases.renew(lease)).await;
        let failure = match answer {
            Ok(Ok(_)) => {
                (renewed, pause) = (asked, period);
                continue;
            }
            Ok(Err(failure)) => failure,
            Err(_) => {
                Failure::new(Kind::UnknownOutcome, format!("could not renew the lease of target `{}`", lease.target))
                    .because("there was no answer")
            }
        };
        if failure.kind == Kind::Conflict {
            return failure;
        }
        if Instant::now() >= last_moment {
            let lost = Failure::new(Kind::Conflict, format!("could not keep the lease of target `{}`", lease.target));
            return lost.because("it could not be renewed and is about to expire").because(failure.what);
        }
        pause = period / 4;
        at_risk(failure);
    }
}
