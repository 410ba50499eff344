//! The right to change a target.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::word::{EnvironmentName, RunId, TargetName};

/// A number that grows with every lease of a target, over all time. A target refuses writes with an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FencingToken(pub u64);

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who holds a lease: enough to prove whether it still lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// The person's login.
    pub user: String,
    /// The machine's name.
    pub host: String,
    /// Changes with every boot of that machine; empty where there is none.
    pub boot: String,
    /// Process id on that machine.
    pub process: u32,
    /// When that process started, in the unit of its machine: tells a reused process id.
    pub process_start: u64,
}

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    /// The environment of the target.
    pub environment: EnvironmentName,
    /// The target.
    pub target: TargetName,
    /// For which run.
    pub run: RunId,
    /// In words, for whoever has to wait.
    pub reason: String,
    /// How long without a renewal until it expires.
    pub lifetime: Duration,
}

/// A lease as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// The environment of the target.
    pub environment: EnvironmentName,
    /// The target.
    pub target: TargetName,
    /// For which run.
    pub run: RunId,
    /// Who holds it.
    pub holder: Holder,
    /// In words, for whoever has to wait.
    pub reason: String,
    /// When it was taken.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When it ends unless it is renewed.
    #[schemars(with = "String")]
    pub expires: Timestamp,
    /// Greater than that of every earlier lease of this target.
    pub token: FencingToken,
}

/// Gives and takes leases.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes the lease, or fails with [`Kind::Conflict`](crate::error::Kind::Conflict) and says who holds it.
    /// A dead holder's lease is taken over, with proof that it is dead.
    async fn acquire(&self, request: &LeaseRequest) -> Result<Lease, Failure>;

    /// Moves the expiry on by the lifetime that was asked for; `lease` is as [`acquire`](Self::acquire) gave it. Fails with [`Kind::Conflict`](crate::error::Kind::Conflict) once another holds it.
    async fn renew(&self, lease: &Lease) -> Result<Lease, Failure>;

    /// Gives it back; nothing happens if it has passed on.
    async fn release(&self, lease: &Lease) -> Result<(), Failure>;

    /// The leases that are held now, dead holders' included.
    async fn list(&self) -> Result<Vec<Lease>, Failure>;
}
