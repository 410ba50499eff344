//! Leases of targets that keep their own, beside those of this machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use pleach_core::error::Failure;
use pleach_core::port::{Lease, LeaseRequest, Leases};
use pleach_core::word::{EnvironmentName, TargetName};

type Key = (EnvironmentName, TargetName);

/// For every target the leases of this machine, and those of the target itself where it keeps its own. The machine's is
/// taken first: it needs no network to tell who is at work here. The target's counts: it is its token that writes carry.
pub struct SharedLeases {
    here: Arc<dyn Leases>,
    there: BTreeMap<Key, Arc<dyn Leases>>,
    /// What is held here for a target that keeps its own.
    held: Mutex<BTreeMap<Key, Lease>>,
}

impl SharedLeases {
    /// The leases of `here`, and for the targets of `there` theirs as well.
    pub fn new(here: Arc<dyn Leases>, there: BTreeMap<(EnvironmentName, TargetName), Arc<dyn Leases>>) -> Self {
        Self { here, there, held: Mutex::new(BTreeMap::new()) }
    }

    fn held(&self, key: &Key) -> Option<Lease> {
        // A map is whole after each call.
        self.held.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn keep(&self, key: Key, lease: Option<Lease>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match lease {
            Some(lease) => drop(held.insert(key, lease)),
            None => drop(held.remove(&key)),
        }
    }
}

fn key(lease: &Lease) -> Key {
    (lease.environment.clone(), lease.target.clone())
}

#[async_trait]
impl Leases for SharedLeases {
    async fn acquire(&self, request: &LeaseRequest) -> Result<Lease, Failure> {
        let here = self.here.acquire(request).await?;
        let key = key(&here);
        let Some(there) = self.there.get(&key) else { return Ok(here) };
        match there.acquire(request).await {
            Ok(lease) => {
                self.keep(key, Some(here));
                Ok(lease)
            }
            Err(failure) => {
                // Left behind, it is taken over as soon as this process has ended.
                let _ = self.here.release(&here).await;
                Err(failure)
            }
        }
    }

    async fn renew(&self, lease: &Lease) -> Result<Lease, Failure> {
        let key = key(lease);
        let Some(there) = self.there.get(&key) else { return self.here.renew(lease).await };
        let renewed = there.renew(lease).await?;
        if let Some(here) = self.held(&key) {
            self.here.renew(&here).await?;
        }
        Ok(renewed)
    }

    async fn release(&self, lease: &Lease) -> Result<(), Failure> {
        let key = key(lease);
        let Some(there) = self.there.get(&key) else { return self.here.release(lease).await };
        let released = there.release(lease).await;
        if let Some(here) = self.held(&key) {
            self.here.release(&here).await?;
            self.keep(key, None);
        }
        released
    }

    async fn list(&self) -> Result<Vec<Lease>, Failure> {
        let mut leases = self.here.list().await?;
        leases.retain(|lease| !self.there.contains_key(&key(lease)));
        for (own, there) in &self.there {
            leases.extend(there.list().await?.into_iter().filter(|lease| key(lease) == *own));
        }
        Ok(leases)
    }
}
