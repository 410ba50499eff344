//! A shell whose calls go wrong.

use std::sync::Arc;

use async_trait::async_trait;

use super::FaultPlan;
use crate::error::Failure;
use crate::port::{Call, Command, CommandOutput, Shell};

/// Runs commands, except where it is planned otherwise.
pub struct FaultyShell {
    /// What is called.
    pub inner: Arc<dyn Shell>,
    /// What goes wrong.
    pub plan: Arc<FaultPlan>,
}

#[async_trait]
impl Shell for FaultyShell {
    async fn run<'a>(&self, command: &Command, call: Call<'a>) -> Result<CommandOutput, Failure> {
        self.plan.around("shell.run", || self.inner.run(command, call)).await
    }
}
