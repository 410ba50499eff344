//! Core's leases, kept by the guard on the target.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use pleach_core::error::Failure;
use pleach_core::port::{Holder, Lease, LeaseRequest, Leases, Shell};
use pleach_core::word::{EnvironmentName, TargetName};

use super::error::{GuardError, HeldOnTarget};
use super::escape;
use super::install::{Guard, read_state, unreadable};
use super::state::{LeaseState, hundredths};
use crate::watchdog::Watchdog;

/// Whether a holder is proven to be dead, as it can be seen from here: `false` where nothing can be said.
pub type ProvenDead = dyn Fn(&Holder) -> bool + Send + Sync;

/// The leases that lie on one target.
#[derive(Clone)]
pub struct TargetLeases {
    shell: Arc<dyn Shell>,
    guard: Guard,
    holder: Holder,
    plan: Option<String>,
    proven_dead: Arc<ProvenDead>,
}

impl TargetLeases {
    /// Leases that `guard` keeps where `shell` leads, taken in the name of `holder`: this process, as
    /// [`ProvenDead`] and other processes here would look for it.
    ///
    /// Its commands are [`Effect::Read`](pleach_core::port::Effect::Read), so `shell` may be one that guards writes.
    pub fn new(shell: Arc<dyn Shell>, guard: Guard, holder: Holder, proven_dead: Arc<ProvenDead>) -> Self {
        Self { shell, guard, holder, plan: None, proven_dead }
    }

    /// Tells whoever has to wait for which plan the leases are taken.
    #[must_use]
    pub fn plan(mut self, plan: impl Into<String>) -> Self {
        self.plan = Some(plan.into());
        self
    }

    /// What the target knows of one lease.
    ///
    /// # Errors
    /// The target cannot be asked.
    pub async fn show(&self, environment: &EnvironmentName, target: &TargetName) -> Result<LeaseState, Failure> {
        let place = self.guard.place(environment, target);
        let (_, printed) = self.ask("show", &place, &[], None).await?;
        Ok(read_state(&place, &printed)?)
    }

    /// Takes `lease` away from whoever holds it; from now on the target refuses its token. Gives what it was.
    ///
    /// # Errors
    /// [`Kind::Conflict`](pleach_core::error::Kind::Conflict) if it has passed on since it was looked at.
    pub async fn break_lease(&self, lease: &Lease) -> Result<LeaseState, Failure> {
        let place = self.guard.place(&lease.environment, &lease.target);
        let (code, printed) = self.ask("break", &place, &[&lease.token.to_string()], None).await?;
        let state = read_state(&place, &printed)?;
        if code == 0 { Ok(state) } else { Err(lost(lease, state).into()) }
    }

    async fn ask(
        &self,
        operation: &str,
        place: &Path,
        arguments: &[&str],
        request: Option<String>,
    ) -> Result<(i32, String), GuardError> {
        self.guard.ask(self.shell.as_ref(), operation, place, arguments, request).await
    }

    async fn take(&self, request: &LeaseRequest, dead: Option<&Lease>) -> Result<(i32, LeaseState), GuardError> {
        let place = self.guard.place(&request.environment, &request.target);
        let proof = dead.map(|lease| format!("proof {}\n", lease.token)).unwrap_or_default();
        let text = request_text(request, &self.holder, self.plan.as_deref(), &proof);
        let (code, printed) = self.ask("take", &place, &[], Some(text)).await?;
        Ok((code, read_state(&place, &printed)?))
    }
}

/// A request as the guard reads it: one line a word, `end` last.
pub(crate) fn request_text(request: &LeaseRequest, holder: &Holder, plan: Option<&str>, more: &str) -> String {
    let plan = plan.map(|plan| format!("plan {}\n", escape(plan))).unwrap_or_default();
    format!(
        "environment {}\ntarget {}\nrun {}\n{plan}user {}\nhost {}\nboot {}\nprocess {}\nstart {}\nreason {}\n\
         lifetime {}\n{more}end\n",
        request.environment,
        request.target,
        escape(request.run.as_str()),
        escape(&holder.user),
        escape(&holder.host),
        escape(&holder.boot),
        holder.process,
        holder.process_start,
        escape(&request.reason),
        hundredths(request.lifetime),
    )
}

fn lost(lease: &Lease, now: LeaseState) -> GuardError {
    let now = HeldOnTarget::of(now).map(Box::new);
    GuardError::Lost { environment: lease.environment.clone(), target: lease.target.clone(), now }
}

#[async_trait]
impl Leases for TargetLeases {
    async fn acquire(&self, request: &LeaseRequest) -> Result<Lease, Failure> {
        let (mut code, mut state) = self.take(request, None).await?;
        if let (75, Some(held)) = (code, &state.lease)
            && (self.proven_dead)(&held.holder)
        {
            // The guard takes the proof for this token only: somebody quicker is judged anew.
            (code, state) = self.take(request, Some(held)).await?;
        }
        let (environment, target) = (request.environment.clone(), request.target.clone());
        let held = state.lease.clone().filter(|_| code == 0);
        match (held, HeldOnTarget::of(state)) {
            (Some(lease), _) => Ok(lease),
            (None, Some(held)) if code == 75 => Err(GuardError::Held(Box::new(held)).into()),
            (None, now) => Err(GuardError::Lost { environment, target, now: now.map(Box::new) }.into()),
        }
    }

    async fn renew(&self, lease: &Lease) -> Result<Lease, Failure> {
        let place = self.guard.place(&lease.environment, &lease.target);
        let (code, printed) = self.ask("renew", &place, &[&lease.token.to_string()], None).await?;
        let state = read_state(&place, &printed)?;
        match &state.lease {
            Some(renewed) if code == 0 && renewed.token == lease.token => {
                if state.watched {
                    Watchdog::new(self.guard.clone()).sign_of_life(self.shell.as_ref(), lease).await;
                }
                Ok(renewed.clone())
            }
            _ => Err(lost(lease, state).into()),
        }
    }

    async fn release(&self, lease: &Lease) -> Result<(), Failure> {
        let place = self.guard.place(&lease.environment, &lease.target);
        self.ask("release", &place, &[&lease.token.to_string()], None).await?;
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Lease>, Failure> {
        let place = self.guard.leases();
        let (_, printed) = self.ask("list", &place, &[], None).await?;
        let states = LeaseState::parse_all(&printed).map_err(|source| unreadable(&place, source))?;
        Ok(states.into_iter().filter_map(|state| state.lease).collect())
    }
}
