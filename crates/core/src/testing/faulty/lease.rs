//! Leases whose calls go wrong.

use std::sync::Arc;

use async_trait::async_trait;

use super::FaultPlan;
use crate::error::Failure;
use crate::port::{Lease, LeaseRequest, Leases};

/// Gives and takes leases, except where it is planned otherwise.
pub struct FaultyLeases {
    /// What is called.
    pub inner: Arc<dyn Leases>,
    /// What goes wrong.
    pub plan: Arc<FaultPlan>,
}

#[async_trait]
impl Leases for FaultyLeases {
    async fn acquire(&self, request: &LeaseRequest) -> Result<Lease, Failure> {
        self.plan.around("leases.acquire", || self.inner.acquire(request)).await
    }

    async fn renew(&self, lease: &Lease) -> Result<Lease, Failure> {
        self.plan.around("leases.renew", || self.inner.renew(lease)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), Failure> {
        self.plan.around("leases.release", || self.inner.release(lease)).await
    }

    async fn list(&self) -> Result<Vec<Lease>, Failure> {
        self.plan.around("leases.list", || self.inner.list()).await
    }
}
