//! How the services of a directory are, read without changing anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pleach_core::error::Failure;
use pleach_core::port::{FileKind, Files, Shell};
use pleach_core::word::{CommitId, ReleaseId, ServiceName};
use serde::{Deserialize, Serialize};

use super::command::is_halted;
use super::compose::{Member, Standing, judge, members_of};
use super::consent::{AwaitedConsent, awaited_consent};
use super::instance::InstanceState;
use super::layout::ServiceLayout;
use super::led::leads;
use super::release::{ReleaseRecord, ReleaseSpec};
use super::site::{current, instance, is_service, listens, read_json, read_process_json};
use crate::docker::HealthState;
use crate::proxy::LedMatch;
use crate::route::RouterRecord;

/// What the current release does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseStatus {
    /// Its process is supervised and runs.
    Running,
    /// Its process has ended and is started again.
    Restarting,
    /// Its process runs and nobody would start it again.
    Orphaned,
    /// It has a process that does not run, or a `start` command that was not what was run last.
    Stopped,
    /// It has no process of its own.
    Placed,
}

/// How one service is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceStatus {
    /// The service.
    pub service: ServiceName,
    /// Its directory.
    pub directory: PathBuf,
    /// The current release; `None` if it was never deployed, or taken back to nothing.
    pub release: Option<ReleaseId>,
    /// Its commit.
    pub commit: Option<CommitId>,
    /// What it is and how it is run.
    pub spec: Option<ReleaseSpec>,
    /// What it does; `None` without a release.
    pub status: Option<ReleaseStatus>,
    /// The public address, if something leads from there to the current release.
    pub address: Option<(String, u16)>,
    /// Where requests go to several releases: each with so many of a hundred.
    pub shares: BTreeMap<ReleaseId, u8>,
    /// Requests that all go to one of them, whatever its share is.
    pub matched: Option<LedMatch>,
    /// Whether one of them waits for a person's word to be given more.
    pub awaited: Option<AwaitedConsent>,
    /// The address of the current release's own process.
    pub private: Option<(String, u16)>,
    /// Since when its process runs, or since when the release is there.
    pub since: Option<Timestamp>,
    /// Since when the release is there, whatever has been started anew since.
    pub deployed: Option<Timestamp>,
    /// How often its process has ended by itself.
    pub restarts: u32,
    /// How it ended the last time; of a Compose project, what of it is not as it should be.
    pub last_end: Option<String>,
    /// What the engine's own check of its container says, where it has one.
    pub health: Option<HealthState>,
    /// In words, where that is not well.
    pub unwell: Option<String>,
    /// What its process prints.
    pub log: Option<PathBuf>,
    /// The executable on the target that asks the engine of its container for that instead.
    pub engine_program: Option<PathBuf>,
}

/// Reads how all services below `root` are. One that cannot be read says so itself and hides no other.
///
/// # Errors
/// `root` cannot be listed.
pub async fn service_statuses(
    files: &dyn Files,
    shell: Option<&dyn Shell>,
    root: &Path,
) -> Result<Vec<(ServiceName, Result<ServiceStatus, Failure>)>, Failure> {
    let mut statuses = Vec::new();
    for entry in files.list(root).await? {
        if entry.kind != FileKind::Directory {
            continue;
        }
        let Ok(service) = ServiceName::new(&entry.name) else { continue };
        let status = match is_service(files, &ServiceLayout::new(root.join(&entry.name))).await {
            Ok(true) => service_status(files, shell, root, service.clone()).await,
            Ok(false) => continue,
            Err(failure) => Err(failure),
        };
        statuses.push((service, status));
    }
    Ok(statuses)
}

async fn service_status(
    files: &dyn Files,
    shell: Option<&dyn Shell>,
    root: &Path,
    service: ServiceName,
) -> Result<ServiceStatus, Failure> {
    let directory = root.join(service.as_str());
    let layout = ServiceLayout::new(&directory);
    let mut status = ServiceStatus {
        service,
        directory,
        release: current(files, &layout).await?,
        commit: None,
        spec: None,
        status: None,
        address: None,
        shares: BTreeMap::new(),
        matched: None,
        awaited: None,
        private: None,
        since: None,
        deployed: None,
        restarts: 0,
        last_end: None,
        health: None,
        unwell: None,
        log: None,
        engine_program: None,
    };
    let Some(release) = status.release.clone() else { return Ok(status) };
    let record: Option<ReleaseRecord> = read_json(files, &layout.record(&release)).await?;
    let Some(record) = record else { return Ok(status) };
    status.commit = Some(record.spec.commit.clone());
    (status.since, status.deployed) = (Some(record.created), Some(record.created));
    if let (Some(_), Some(images), Some(shell)) = (&record.spec.compose, &record.compose, shell) {
        let halted = is_halted(files, &layout, &record).await?;
        let members = members_of(shell, &record.spec).await?;
        status.address = record.spec.address().filter(|_| !halted);
        let (state, told) = match judge(images, &members) {
            Standing::Well(_) => (ReleaseStatus::Running, None),
            Standing::Waits(told) if members.iter().any(Member::is_up) => (ReleaseStatus::Restarting, Some(told)),
            Standing::Waits(told) | Standing::Lost(told, _) => (ReleaseStatus::Stopped, Some(told)),
        };
        status.status = Some(if halted { ReleaseStatus::Stopped } else { state });
        status.last_end = told.filter(|_| !halted);
        status.since = members.iter().filter(|member| member.is_up()).map(Member::since).max().or(status.since);
    } else if !record.spec.is_kept_running() {
        let halted = is_halted(files, &layout, &record).await?;
        status.status = Some(if halted { ReleaseStatus::Stopped } else { ReleaseStatus::Placed });
        status.address = record.spec.address().filter(|_| !halted);
    } else {
        status.log = Some(layout.log(&release));
        status.status = Some(ReleaseStatus::Stopped);
        if let Some((process, state)) = instance(files, shell, &layout, &release).await? {
            status.status = Some(match state {
                InstanceState::Running => ReleaseStatus::Running,
                InstanceState::Restarting => ReleaseStatus::Restarting,
                InstanceState::Orphaned => ReleaseStatus::Orphaned,
                InstanceState::Ending | InstanceState::Stopped => ReleaseStatus::Stopped,
            });
            if let Some(container) = process.container {
                (status.log, status.engine_program) = (None, Some(container.program));
            }
            status.private = state.is_up().then(|| (process.host.clone(), process.port));
            status.since = Some(process.since);
            status.restarts = process.restarts;
            status.last_end = process.last_end;
            status.health = process.health.as_ref().map(|health| health.state);
            status.unwell = process.health.and_then(|health| health.complaint());
        }
        if record.spec.proxy.is_some() {
            let leads = match shell {
                Some(shell) => leads(files, shell, &layout).await?,
                None => None,
            };
            if let Some((_, leads)) = leads.filter(|(_, leads)| leads.share(&release) > 0) {
                (status.address, status.shares, status.matched) = (record.spec.address(), leads.shares, leads.matched);
                if !status.shares.is_empty() {
                    status.awaited = awaited_consent(files, &layout).await?;
                }
            }
        } else if let Some((host, port)) = record.spec.address() {
            let router: Option<RouterRecord> = read_process_json(files, &layout.router(port)).await?;
            if let Some(router) = router
                && listens(files, &router).await?
            {
                status.address = Some((host, port));
            }
        }
    }
    status.spec = Some(record.spec);
    Ok(status)
}
