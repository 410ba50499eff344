//! Secrets that cannot be fetched.

use std::sync::Arc;

use async_trait::async_trait;

use super::FaultPlan;
use crate::error::Failure;
use crate::port::{Secret, SecretName, Secrets};

/// Fetches secrets, except where it is planned otherwise.
pub struct FaultySecrets {
    /// What is called.
    pub inner: Arc<dyn Secrets>,
    /// What goes wrong.
    pub plan: Arc<FaultPlan>,
}

#[async_trait]
impl Secrets for FaultySecrets {
    async fn fetch(&self, name: &SecretName) -> Result<Secret, Failure> {
        self.plan.around("secrets.fetch", || self.inner.fetch(name)).await
    }
}
