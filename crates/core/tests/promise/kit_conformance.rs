//! The suites for journals and leases pass where the promises are kept, and fail where one is broken.

use std::sync::Arc;

use async_trait::async_trait;
use pleach_core::error::Failure;
use pleach_core::port::{Lease, LeaseRequest, Leases, Runs};
use pleach_core::testing::faulty::{Fault, FaultPlan, FaultyRuns};
use pleach_core::testing::{MemoryLeases, MemoryRuns, conformance};

#[tokio::test]
async fn journals_in_memory_keep_what_the_port_promises() {
    let runs: Arc<dyn Runs> = Arc::new(MemoryRuns::default());
    conformance::journal(async || runs.clone()).await;
}

#[tokio::test]
async fn leases_in_memory_keep_what_the_port_promises() {
    let leases: Arc<dyn Leases> = Arc::new(MemoryLeases::default());
    conformance::leases(async || leases.clone()).await;
}

#[tokio::test]
#[should_panic(expected = "a record can be appended")]
async fn a_journal_that_cannot_be_written_is_found() {
    let plan = Arc::new(FaultPlan::at([(4, Fault::DoneThenTimeOut)]));
    let runs: Arc<dyn Runs> = Arc::new(FaultyRuns { inner: Arc::new(MemoryRuns::default()), plan });
    conformance::journal(async || runs.clone()).await;
}

/// Takes a living holder's lease over.
struct Robber(MemoryLeases);

#[async_trait]
impl Leases for Robber {
    async fn acquire(&self, request: &LeaseRequest) -> Result<Lease, Failure> {
        self.0.kill_holders();
        self.0.acquire(request).await
    }
    async fn renew(&self, lease: &Lease) -> Result<Lease, Failure> {
        self.0.renew(lease).await
    }
    async fn release(&self, lease: &Lease) -> Result<(), Failure> {
        self.0.release(lease).await
    }
    async fn list(&self) -> Result<Vec<Lease>, Failure> {
        self.0.list().await
    }
}

#[tokio::test]
#[should_panic(expected = "a living holder keeps it")]
async fn a_place_that_gives_a_living_holders_lease_away_is_found() {
    let leases: Arc<dyn Leases> = Arc::new(Robber(MemoryLeases::default()));
    conformance::leases(async || leases.clone()).await;
}
