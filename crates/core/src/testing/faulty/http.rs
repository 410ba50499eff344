//! HTTP whose requests go wrong.

use std::sync::Arc;

use async_trait::async_trait;

use super::FaultPlan;
use crate::error::Failure;
use crate::port::{Http, HttpRequest, HttpResponse};

/// Sends requests, except where it is planned otherwise.
pub struct FaultyHttp {
    /// What is called.
    pub inner: Arc<dyn Http>,
    /// What goes wrong.
    pub plan: Arc<FaultPlan>,
}

#[async_trait]
impl Http for FaultyHttp {
    async fn send(&self, request: &HttpRequest) -> Result<HttpResponse, Failure> {
        self.plan.around("http.send", || self.inner.send(request)).await
    }
}
