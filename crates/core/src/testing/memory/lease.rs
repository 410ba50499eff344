//! Leases in memory.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::error::{Failure, Kind};
use crate::port::{FencingToken, Holder, Lease, LeaseRequest, Leases};
use crate::word::TargetName;

/// What renewing does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Renewal {
    /// It succeeds as long as the lease is held.
    #[default]
    Succeed,
    /// The place where leases are kept cannot be reached.
    Fail,
    /// It never answers.
    Hang,
}

struct Slot {
    lease: Lease,
    lifetime: Duration,
    expires: Instant,
    dead: bool,
}

#[derive(Default)]
struct Kept {
    slots: BTreeMap<TargetName, Slot>,
    tokens: BTreeMap<TargetName, u64>,
    renewal: Renewal,
    renewals: usize,
    releases: usize,
}

/// Leases of all targets, with tokens that only grow. A living holder's lease is never taken over.
#[derive(Default)]
pub struct MemoryLeases {
    kept: Mutex<Kept>,
}

impl MemoryLeases {
    /// What renewing does from now on.
    pub fn renewal(&self, renewal: Renewal) {
        self.kept.lock().unwrap().renewal = renewal;
    }

    /// How often a lease was renewed.
    pub fn renewals(&self) -> usize {
        self.kept.lock().unwrap().renewals
    }

    /// How often a lease was given back.
    pub fn releases(&self) -> usize {
        self.kept.lock().unwrap().releases
    }

    /// How many leases this process still holds.
    pub fn living(&self) -> usize {
        let kept = self.kept.lock().unwrap();
        kept.slots.values().filter(|slot| !slot.dead && slot.lease.holder.user == "ada").count()
    }

    /// All holders are seen to be dead: their leases may be taken over.
    pub fn kill_holders(&self) {
        self.kept.lock().unwrap().slots.values_mut().for_each(|slot| slot.dead = true);
    }

    /// Another takes the lease of a target over; gives its token.
    pub fn pass_on(&self, target: &TargetName) -> Option<FencingToken> {
        let mut kept = self.kept.lock().unwrap();
        let token = kept.next_token(target);
        let slot = kept.slots.get_mut(target)?;
        slot.lease.token = token;
        slot.lease.holder.user = "bob".into();
        Some(token)
    }

    /// Whether a change under `token` is made under a lease that is held now; otherwise why not.
    pub fn check(&self, target: &TargetName, token: FencingToken) -> Result<(), &'static str> {
        let kept = self.kept.lock().unwrap();
        match kept.slots.get(target) {
            None => Err("no lease is held"),
            Some(slot) if slot.dead => Err("the holder is dead"),
            Some(slot) if slot.lease.token != token => Err("the lease has passed on"),
            Some(slot) if slot.expires < Instant::now() => Err("the lease has expired"),
            Some(_) => Ok(()),
        }
    }
}

impl Kept {
    fn next_token(&mut self, target: &TargetName) -> FencingToken {
        let token = self.tokens.entry(target.clone()).or_default();
        *token += 1;
        FencingToken(*token)
    }

    fn held(&mut self, lease: &Lease) -> Result<&mut Slot, Failure> {
        let held = self.slots.get_mut(&lease.target).filter(|slot| slot.lease.token == lease.token);
        held.ok_or_else(|| {
            Failure::new(Kind::Conflict, format!("the lease of target `{}` has passed on", lease.target))
        })
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn acquire(&self, request: &LeaseRequest) -> Result<Lease, Failure> {
        let mut kept = self.kept.lock().unwrap();
        if let Some(slot) = kept.slots.get(&request.target).filter(|slot| !slot.dead) {
            return Err(Failure::new(Kind::Conflict, format!("another holds target `{}`", request.target))
                .because(format!("`{}` {}", slot.lease.holder.user, slot.lease.reason))
                .state("nothing was touched"));
        }
        let lease = Lease {
            environment: request.environment.clone(),
            target: request.target.clone(),
            run: request.run.clone(),
            holder: Holder {
                user: "ada".into(),
                host: "here".into(),
                boot: "first".into(),
                process: 7,
                process_start: 1,
            },
            reason: request.reason.clone(),
            started: Timestamp::UNIX_EPOCH,
            expires: Timestamp::UNIX_EPOCH + request.lifetime,
            token: kept.next_token(&request.target),
        };
        let (lifetime, expires) = (request.lifetime, Instant::now() + request.lifetime);
        let slot = Slot { lease: lease.clone(), lifetime, expires, dead: false };
        kept.slots.insert(request.target.clone(), slot);
        Ok(lease)
    }

    async fn renew(&self, lease: &Lease) -> Result<Lease, Failure> {
        let renewal = self.kept.lock().unwrap().renewal;
        match renewal {
            Renewal::Succeed => {}
            Renewal::Fail => return Err(Failure::new(Kind::Transient, "could not reach the leases")),
            Renewal::Hang => return pending().await,
        }
        let mut kept = self.kept.lock().unwrap();
        let slot = kept.held(lease)?;
        slot.expires = Instant::now() + slot.lifetime;
        let renewed = slot.lease.clone();
        kept.renewals += 1;
        Ok(renewed)
    }

    async fn release(&self, lease: &Lease) -> Result<(), Failure> {
        let mut kept = self.kept.lock().unwrap();
        if kept.held(lease).is_ok() {
            kept.slots.remove(&lease.target);
            kept.releases += 1;
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Lease>, Failure> {
        Ok(self.kept.lock().unwrap().slots.values().map(|slot| slot.lease.clone()).collect())
    }
}
