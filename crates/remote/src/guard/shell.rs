//! A shell whose changes the target itself guards.

use std::path::PathBuf;

use async_trait::async_trait;
use pleach_core::error::Failure;
use pleach_core::port::{Call, Command, CommandOutput, Effect, Shell};
use tokio::sync::OnceCell;

use super::error::GuardError;
use super::install::Guard;

/// Runs reads as they are, and writes behind the guard: under the token of the [`Call`], which they must have.
#[derive(Debug)]
pub struct GuardedShell<S> {
    inner: S,
    guard: Guard,
    place: PathBuf,
    installed: OnceCell<()>,
}

impl<S: Shell> GuardedShell<S> {
    /// Guards `inner` with the lease at `place`, as [`Guard::place`] names it.
    pub fn new(inner: S, guard: Guard, place: impl Into<PathBuf>) -> Self {
        Self { inner, guard, place: place.into(), installed: OnceCell::new() }
    }

    /// The shell without the guard.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

#[async_trait]
impl<S: Shell> Shell for GuardedShell<S> {
    async fn run<'a>(&self, command: &Command, call: Call<'a>) -> Result<CommandOutput, Failure> {
        if command.effect == Effect::Read {
            return self.inner.run(command, call).await;
        }
        let token = call.token.ok_or(GuardError::NoLease)?;
        self.installed.get_or_try_init(|| self.guard.ensure_installed(&self.inner)).await?;
        let output = self.inner.run(&self.guard.guarded(&self.place, token, command), call).await?;
        match Guard::refusal(&output) {
            Some(refused) => Err(refused.into()),
            None => Ok(output),
        }
    }
}
