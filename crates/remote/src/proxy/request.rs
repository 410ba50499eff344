//! What is asked of `proxy`, and what it answers.

use pleach_core::period::Period;
use serde::{Deserialize, Serialize};

use super::backend::{Backend, BackendName, Slot};
use super::place::ProxyPlace;
use super::running::{Running, Worker};

/// Asks what there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LookRequest {
    /// Where.
    pub place: ProxyPlace,
    /// This one alone; all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<BackendName>,
}

/// What the file says and what runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Looked {
    /// Who answered.
    pub worker: Worker,
    /// Workers that a reload has replaced and that still end what they have.
    pub older_workers: Vec<u32>,
    /// Each service that is in the file or runs under a name of ours.
    pub services: Vec<SeenService>,
}

/// One service as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SeenService {
    /// Its name.
    pub name: BackendName,
    /// What the file says.
    pub file: Option<Backend>,
    /// What runs.
    pub running: Option<Running>,
    /// What differs between the two, in words; empty if they are equal.
    pub differences: Vec<String>,
}

/// Asks for a service to be so, in the file and at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EnsureRequest {
    /// Where.
    pub place: ProxyPlace,
    /// How.
    pub backend: Backend,
}

/// A service is as it was wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ensured {
    /// What was different before, in words; empty if nothing was changed.
    pub changes: Vec<String>,
    /// Whether HAProxy was reloaded for it.
    pub reloaded: bool,
    /// What was read back at the end.
    pub running: Running,
    /// The same in words.
    pub evidence: String,
}

/// Asks that a server is given nothing new, and waits for what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DrainRequest {
    /// Where.
    pub place: ProxyPlace,
    /// The service.
    pub name: BackendName,
    /// The server.
    pub server: Slot,
    /// How long requests may take to end by themselves.
    pub limit: Period,
}

/// Asks that a service has no frontend and no backend any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RemoveRequest {
    /// Where.
    pub place: ProxyPlace,
    /// The service.
    pub name: BackendName,
    /// How long requests may take to end by themselves.
    pub limit: Period,
}

/// What became of requests in flight. A limit that has passed is no failure: whoever asked decides whether to wait on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Drained {
    /// Whether none is left.
    pub drained: bool,
    /// Requests and tunnels that are left.
    pub sessions: u64,
    /// Workers that a reload has replaced and that may still have, or send, a request there.
    pub older_workers: Vec<u32>,
    /// What was different before, in words; empty if nothing was changed.
    pub changes: Vec<String>,
    /// What was seen, in words.
    pub evidence: String,
}
