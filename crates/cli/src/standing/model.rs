//! The shape of what is told.

use jiff::Timestamp;
use pleach_core::journal::Outcome;
use pleach_core::word::{CommitId, EnvironmentName, ReleaseId, RunId, ServiceName, TargetName};
use pleach_remote::watchdog::WatchdogPhase;
use serde::Serialize;

/// Everything, as `pleach status --json` gives it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Standing {
    pub(crate) services: Vec<ServiceStanding>,
    /// Runs that stopped before their end, are held, or could not be taken back.
    pub(crate) unfinished: Vec<RunStanding>,
    pub(crate) leases: Vec<LeaseStanding>,
    /// Watchdogs on hosts that wait for a confirmation, or have done without one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) watchdogs: Vec<WatchdogStanding>,
}

impl Standing {
    /// The services of these names; all if there are none.
    pub(crate) fn only(mut self, names: &[ServiceName]) -> Self {
        self.services.retain(|service| names.is_empty() || names.contains(&service.service));
        self
    }
}

/// One service on one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ServiceStanding {
    pub(crate) environment: EnvironmentName,
    pub(crate) service: ServiceName,
    pub(crate) target: TargetName,
    pub(crate) release: Option<ReleaseId>,
    pub(crate) commit: Option<CommitId>,
    pub(crate) state: Life,
    pub(crate) health: Health,
    pub(crate) address: Option<String>,
    pub(crate) since: Option<Timestamp>,
    /// What a person should know besides.
    pub(crate) note: Option<String>,
}

impl ServiceStanding {
    /// One that was never deployed there.
    pub(crate) fn absent(environment: &EnvironmentName, service: &ServiceName, target: &TargetName) -> Self {
        Self {
            environment: environment.clone(),
            service: service.clone(),
            target: target.clone(),
            release: None,
            commit: None,
            state: Life::Absent,
            health: Health::Unchecked,
            address: None,
            since: None,
            note: None,
        }
    }

    /// The same, where nothing is known of it, and why.
    pub(crate) fn unknown(self, why: String) -> Self {
        Self { state: Life::Unknown, note: Some(why), ..self }
    }
}

/// Whether it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Life {
    /// A process of it runs.
    Running,
    /// Something else than Pleach runs it; its files are there.
    Placed,
    /// It has a release and no process.
    Stopped,
    /// It should run and its process is gone, or is started again and again.
    Down,
    /// It was never deployed here.
    Absent,
    /// The target did not tell.
    Unknown,
}

/// Whether it answers as its health check wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Health {
    /// It does.
    Healthy,
    /// It does not.
    Unhealthy,
    /// It has no health check, or does not run.
    Unchecked,
}

/// One run that needs somebody.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RunStanding {
    pub(crate) run: RunId,
    pub(crate) environment: EnvironmentName,
    pub(crate) started: Timestamp,
    pub(crate) outcome: Option<Outcome>,
    /// Whether its process lives.
    pub(crate) working: bool,
}

/// One lease.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LeaseStanding {
    pub(crate) environment: EnvironmentName,
    pub(crate) target: TargetName,
    pub(crate) run: RunId,
    pub(crate) holder: String,
    pub(crate) reason: String,
    pub(crate) since: Timestamp,
    pub(crate) expires: Timestamp,
    /// Whether its holder is seen to live on this machine.
    pub(crate) alive: bool,
}

/// One watchdog.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct WatchdogStanding {
    pub(crate) environment: EnvironmentName,
    pub(crate) target: TargetName,
    pub(crate) run: RunId,
    pub(crate) phase: WatchdogPhase,
    /// When it takes the target back unless somebody confirms, or would have.
    pub(crate) expires: Timestamp,
    /// Its own journal, the last lines.
    pub(crate) journal: Vec<String>,
}
