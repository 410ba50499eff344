//! The processes of a directory's services, read without changing anything.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::future::join_all;
use jiff::Timestamp;
use pleach_core::error::Failure;
use pleach_core::port::{Call, Command, FileKind, Files, NoLines, Shell};
use pleach_core::word::{EnvironmentName, ReleaseId, ServiceName};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::compose::members_of;
use super::instance::InstanceState;
use super::layout::{ServiceLayout, release_number};
use super::led::leads;
use super::release::{ReleaseRecord, ReleaseSpec};
use super::site::{RunFolder, current, instance, is_service, read_json, read_run_folder};
use crate::process::ProcessStat;
use crate::proxy::{Leads, LedMatch};
use crate::supervise::{Activity, InstanceRecord};

/// The process of one release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReleaseProcess {
    /// Which release.
    pub release: ReleaseId,
    /// What its record and `/proc` say together.
    pub state: InstanceState,
    /// The first process of its group; `None` while it has none.
    pub pid: Option<u32>,
    /// The container that it is, where an engine keeps it running.
    pub container: Option<String>,
    /// Since when it runs, or was seen to end.
    pub since: Timestamp,
    /// How often its process has ended by itself.
    pub restarts: u32,
    /// How it ended the last time.
    pub last_end: Option<String>,
    /// What is wrong with its container as the engine's own check sees it; nothing where that passes, or there is none.
    pub unwell: Option<String>,
    /// The address that it was told to listen on.
    pub address: (String, u16),
    /// What its process group has in memory; pages that several of them share count for each. `None` where it cannot be
    /// read.
    pub memory_bytes: Option<u64>,
}

/// The router of one public port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RouterProcess {
    /// The router.
    pub pid: u32,
    /// The public address.
    pub address: (String, u16),
    /// Since when it listens.
    pub since: Timestamp,
    /// Connections that no release took.
    pub refused: u64,
}

/// The processes of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceProcesses {
    /// The service.
    pub service: ServiceName,
    /// The environment that its current release was made for.
    pub environment: Option<EnvironmentName>,
    /// The current release.
    pub current: Option<ReleaseId>,
    /// The public address of the current release, if it has one and Pleach keeps it running.
    pub wanted: Option<(String, u16)>,
    /// Where the target's proxy leads from there: so many of a hundred requests to each release; `None` where a router of
    /// Pleach's own does.
    pub led: Option<BTreeMap<ReleaseId, u8>>,
    /// Requests that all go to one of them, whatever its share is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<LedMatch>,
    /// Whether what runs is a Compose project: a container of which ended, and should not have, is told.
    pub is_project: bool,
    /// What runs, and what the current release has where that does not run; in the order of releases.
    pub processes: Vec<ReleaseProcess>,
    /// The routers that live.
    pub routers: Vec<RouterProcess>,
}

/// Reads the processes of all services below `root`. One that cannot be read says so itself and hides no other. Memory is
/// read where there is a shell.
///
/// # Errors
/// `root` cannot be listed.
pub async fn service_processes(
    files: &dyn Files,
    shell: Option<&dyn Shell>,
    root: &Path,
) -> Result<Vec<(ServiceName, Result<ServiceProcesses, Failure>)>, Failure> {
    let folders = files.list(root).await?.into_iter().filter(|entry| entry.kind == FileKind::Directory);
    let named = folders.filter_map(|entry| ServiceName::new(&entry.name).ok());
    let read = join_all(named.map(|service| async move {
        let layout = ServiceLayout::new(root.join(service.as_str()));
        match is_service(files, &layout).await {
            Ok(true) => Some((service.clone(), read_service(files, shell, &layout, service).await)),
            Ok(false) => None,
            Err(failure) => Some((service, Err(failure))),
        }
    }));
    let mut services: Vec<_> = read.await.into_iter().flatten().collect();
    let mut processes =
        services.iter_mut().filter_map(|(_, read)| read.as_mut().ok()).flat_map(|read| &mut read.processes);
    if let Some(shell) = shell
        && processes.any(|process| process.pid.is_some())
    {
        let memory = group_memory(shell).await.unwrap_or_default();
        for read in services.iter_mut().filter_map(|(_, read)| read.as_mut().ok()) {
            for process in &mut read.processes {
                process.memory_bytes = process.pid.and_then(|pid| memory.get(&pid).copied());
            }
        }
    }
    Ok(services)
}

async fn read_service(
    files: &dyn Files,
    shell: Option<&dyn Shell>,
    layout: &ServiceLayout,
    service: ServiceName,
) -> Result<ServiceProcesses, Failure> {
    let current = current(files, layout).await?;
    let record: Option<ReleaseRecord> = match &current {
        Some(release) => read_json(files, &layout.record(release)).await?,
        None => None,
    };
    let spec = record.map(|record| record.spec);
    let project = spec.as_ref().filter(|spec| spec.compose.is_some());
    let members = match (project, shell) {
        (Some(spec), Some(shell)) => members_of(shell, spec).await?,
        _ => Vec::new(),
    };
    let RunFolder { routers, releases, .. } = read_run_folder(files, layout).await?;
    let mut processes = Vec::new();
    for release in releases {
        if (current.as_ref() == Some(&release) || may_run(files, layout, &release).await?)
            && let Some((record, state)) = instance(files, shell, layout, &release).await?
            && (state.is_up() || current.as_ref() == Some(&release))
        {
            processes.push(ReleaseProcess {
                release,
                state,
                container: record.container.map(|container| container.name),
                pid: record.group.map(|group| group.leader.pid).or(record.pid).filter(|_| state.is_up()),
                since: record.since,
                restarts: record.restarts,
                last_end: record.last_end,
                unwell: record.health.and_then(|health| health.complaint()),
                address: (record.host, record.port),
                memory_bytes: None,
            });
        }
    }
    let shown = members.iter().filter(|member| member.is_up() || member.is_lost());
    processes.extend(shown.zip(current.iter().cycle()).map(|(member, release)| ReleaseProcess {
        release: release.clone(),
        state: match member {
            member if member.is_restarting() => InstanceState::Restarting,
            member if member.is_up() => InstanceState::Running,
            _ => InstanceState::Stopped,
        },
        pid: member.pid(),
        container: Some(member.name().to_owned()),
        since: member.since(),
        restarts: member.restarts,
        last_end: Some(member.told()).filter(|_| !member.is_up()),
        unwell: None,
        address: member.address().unwrap_or_default(),
        memory_bytes: None,
    }));
    let is_project = project.is_some();
    let led = match (shell, spec.as_ref().is_some_and(|spec| spec.proxy.is_some())) {
        (Some(shell), true) => Some(leads(files, shell, layout).await.ok().flatten().map(|(_, leads)| leads)),
        _ => None,
    };
    let matched = led.as_ref().and_then(|leads| leads.as_ref()?.matched.clone());
    let shared = |leads: Leads| leads.release.map(|release| (release, 100)).into_iter().chain(leads.shares);
    let led = led.map(|leads| leads.map(|leads| shared(leads).collect()).unwrap_or_default());
    let routers = routers.into_iter().map(|record| RouterProcess {
        pid: record.router.pid,
        address: (record.host, record.port),
        since: record.since,
        refused: record.refused,
    });
    processes.sort_by_key(|process| release_number(process.release.as_str()));
    Ok(ServiceProcesses {
        service,
        environment: spec.as_ref().map(|spec| spec.environment.clone()),
        current,
        wanted: spec.filter(ReleaseSpec::is_kept_running).and_then(|spec| spec.address()),
        led,
        matched,
        is_project,
        processes,
        routers: routers.collect(),
    })
}

/// Whether the record of a release does not say that its process was ended: most of those that are kept were.
async fn may_run(files: &dyn Files, layout: &ServiceLayout, release: &ReleaseId) -> Result<bool, Failure> {
    let bytes = files.read(&layout.instance(release)).await?.unwrap_or_default();
    let record = serde_json::from_slice::<InstanceRecord>(&bytes);
    Ok(record.is_ok_and(|record| record.activity != Activity::Stopped))
}

/// The resident memory of each process group, by the id of its leader.
async fn group_memory(shell: &dyn Shell) -> Result<BTreeMap<u32, u64>, Failure> {
    // A process that ends while it is read is left out, and makes `cat` end with 1.
    let command = Command::read(["sh", "-c", "getconf PAGESIZE; cat /proc/[0-9]*/stat 2>/dev/null"]);
    let cancel = CancellationToken::new();
    let output = shell.run(&command, Call { token: None, lines: &NoLines, cancel: &cancel }).await?;
    Ok(memory_of_groups(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads the size of a page, and behind it the `stat` of every process.
fn memory_of_groups(text: &str) -> BTreeMap<u32, u64> {
    let mut lines = text.lines();
    let Some(page) = lines.next().and_then(|line| line.trim().parse::<u64>().ok()) else { return BTreeMap::new() };
    let mut groups = BTreeMap::new();
    for stat in lines.filter_map(ProcessStat::parse).filter(ProcessStat::is_alive) {
        let Ok(leader) = u32::try_from(stat.group) else { continue };
        *groups.entry(leader).or_insert(0) += stat.resident.saturating_mul(page);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_group_is_that_of_all_its_processes() {
        let stat = |pid: u32, state: char, group: u32, pages: u32| {
            format!("{pid} (a b) {state} 1 {group} 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 123456 1 {pages} 3\n")
        };
        let text = format!("4096\n{}{}{}noise\n", stat(7, 'S', 7, 2), stat(8, 'R', 7, 3), stat(9, 'Z', 7, 100));
        assert_eq!(memory_of_groups(&text), BTreeMap::from([(7, 5 * 4096)]));
        assert!(memory_of_groups("getconf: not found\n").is_empty());
    }
}
