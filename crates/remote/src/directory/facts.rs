//! What is read from a target before a plan is made.
//!
//! | fact | value |
//! |---|---|
//! | `root` | the target's directory, absolute |
//! | `program` | the executable there that knows `supervise` and `route` |
//! | `port/N` | who listens on port N of the machine, in words |
//! | `service/NAME/current` | the current release |
//! | `service/NAME/commit` | its commit |
//! | `service/NAME/settings` | the digest of its settings |
//! | `service/NAME/image` | the digest of the image that its container is made from |
//! | `service/NAME/project` | of its Compose project the images of all services, and where a registry has them |
//! | `service/NAME/halted` | `true` where its `start` command was not what was run last |
//! | `service/NAME/fallen` | what of its Compose project is not as it should be |
//! | `service/NAME/last-number` | the highest number that any release had |
//! | `service/NAME/releases` | the releases that are there whole, oldest first: `release`, `commit`, `created`, `spec` |
//! | `service/NAME/running` | releases with a process |
//! | `service/NAME/orphaned` | those of them that nobody supervises |
//! | `service/NAME/led` | what the proxy leads to it: `bind`, `release` if it is one, and in words `seen` |
//! | `service/NAME/backups` | its backups, oldest first |
//! | `service/NAME/routers` | addresses with a router, as `[HOST, PORT]` |
//!
//! A fact that would be nothing is absent.

use std::path::Path;

use pleach_core::error::Failure;
use pleach_core::port::{FileKind, Files, Shell};
use pleach_core::target::Facts;
use pleach_core::word::ReleaseId;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::backup::read_backups;
use super::command::is_halted;
use super::compose::{Standing, judge, members_of};
use super::instance::InstanceState;
use super::layout::{ServiceLayout, release_number};
use super::led::leads;
use super::release::{ReleaseRecord, ReleaseSpec, ReleaseState};
use super::site::{RunFolder, current, instance, is_service, read_json, read_run_folder};
use crate::proxy::Bind;

/// A release that can be switched to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct KeptRelease {
    pub(super) release: ReleaseId,
    pub(super) settings: String,
    pub(super) spec: ReleaseSpec,
}

/// What the proxy leads to a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LedFact {
    /// The public address; unknown where the proxy cannot be asked.
    pub(super) bind: Option<Bind>,
    /// Where all requests go.
    pub(super) release: Option<ReleaseId>,
    /// In words.
    pub(super) seen: String,
}

/// Reads the facts of all services below `root`; the machine's ports are the target's own to tell.
pub async fn probe_directory(
    files: &dyn Files,
    shell: &dyn Shell,
    root: &Path,
    program: &Path,
) -> Result<Facts, Failure> {
    let mut facts = Facts::from([("root".to_owned(), json!(root)), ("program".to_owned(), json!(program))]);
    for entry in files.list(root).await? {
        if entry.kind == FileKind::Directory && !entry.name.starts_with('.') {
            probe_service(files, shell, &root.join(&entry.name), &entry.name, &mut facts).await?;
        }
    }
    Ok(facts)
}

async fn probe_service(
    files: &dyn Files,
    shell: &dyn Shell,
    directory: &Path,
    name: &str,
    facts: &mut Facts,
) -> Result<(), Failure> {
    let layout = ServiceLayout::new(directory);
    if !is_service(files, &layout).await? {
        return Ok(());
    }
    let mut add = |fact: &str, value: serde_json::Value| facts.insert(format!("service/{name}/{fact}"), value);
    let current = current(files, &layout).await?;
    let mut numbers: Vec<u64> = Vec::new();
    let mut there = Vec::new();
    for stat in files.list(&layout.releases()).await? {
        numbers.extend(release_number(stat.name.split('.').next().unwrap_or_default()));
        if stat.kind == FileKind::Directory && release_number(&stat.name).is_some() {
            there.push(stat.name);
        }
    }
    let mut kept = Vec::new();
    for stat in files.list(&layout.records()).await? {
        let Some(release) = stat.name.strip_suffix(".json").and_then(|name| ReleaseId::new(name).ok()) else {
            continue;
        };
        numbers.extend(release_number(release.as_str()));
        let Some(record) = read_json::<ReleaseRecord>(files, &layout.record(&release)).await? else { continue };
        if current.as_ref() == Some(&release) {
            add("commit", json!(record.spec.commit));
            add("settings", json!(record.settings));
            if let Some(image) = &record.image {
                add("image", json!(image));
            }
            if let Some(images) = record.project() {
                add("project", json!(images));
            }
            if is_halted(files, &layout, &record).await? {
                add("halted", json!(true));
            } else if let Some(images) = &record.compose
                && let Ok(members) = members_of(shell, &record.spec).await
                && let Standing::Lost(told, _) | Standing::Waits(told) = judge(images, &members)
            {
                add("fallen", json!(told));
            }
        }
        if record.state == ReleaseState::Used && there.iter().any(|name| name == release.as_str()) {
            kept.push((
                release_number(release.as_str()),
                KeptRelease { release, settings: record.settings, spec: record.spec },
            ));
        }
    }
    kept.sort_by_key(|(number, _)| *number);
    let kept: Vec<KeptRelease> = kept.into_iter().map(|(_, kept)| kept).collect();
    if !kept.is_empty() {
        add("releases", json!(kept));
    }
    if let Some(release) = current {
        add("current", json!(release));
    }
    // On the way to a host nobody waits for one after the other.
    let (backups, processes) = tokio::try_join!(read_backups(files, &layout), probe_processes(files, shell, &layout))?;
    if !backups.is_empty() {
        add("backups", json!(backups));
    }
    if let Some(number) = numbers.iter().max() {
        add("last-number", json!(number));
    }
    for (fact, value) in processes {
        add(fact, value);
    }
    Ok(())
}

/// A proxy that cannot be asked keeps nobody from looking at what runs, nor from stopping it.
async fn probe_led(files: &dyn Files, shell: &dyn Shell, layout: &ServiceLayout) -> Option<LedFact> {
    match leads(files, shell, layout).await {
        Ok(seen) => {
            seen.map(|(led, leads)| LedFact { bind: Some(led.bind), release: leads.release, seen: leads.evidence })
        }
        Err(failure) => Some(LedFact { bind: None, release: None, seen: failure.what }),
    }
}

async fn probe_processes(
    files: &dyn Files,
    shell: &dyn Shell,
    layout: &ServiceLayout,
) -> Result<Vec<(&'static str, serde_json::Value)>, Failure> {
    let RunFolder { routers, releases, led } = read_run_folder(files, layout).await?;
    let led = if led { probe_led(files, shell, layout).await } else { None };
    let routers: Vec<(String, u16)> = routers.into_iter().map(|record| (record.host, record.port)).collect();
    let (mut running, mut orphaned) = (Vec::new(), Vec::new());
    for release in releases {
        match instance(files, Some(shell), layout, &release).await? {
            Some((_, InstanceState::Orphaned | InstanceState::Ending)) => {
                running.push(release.clone());
                orphaned.push(release);
            }
            Some((_, state)) if state.is_up() => running.push(release),
            _ => {}
        }
    }
    let facts = [
        ("running", !running.is_empty(), json!(running)),
        ("orphaned", !orphaned.is_empty(), json!(orphaned)),
        ("routers", !routers.is_empty(), json!(routers)),
        ("led", led.is_some(), json!(led)),
    ];
    Ok(facts.into_iter().filter(|(_, there, _)| *there).map(|(fact, _, value)| (fact, value)).collect())
}
