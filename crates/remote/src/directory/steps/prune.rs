//! `prune`: old releases go, except those that a way back needs.

use std::collections::BTreeSet;

use pleach_core::error::Failure;
use pleach_core::period::Period;
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use pleach_core::port::{FileKind, Secrets};
use pleach_core::word::{ReleaseId, RunId};
use serde_json::Value;

use super::channel;
use crate::directory::backup::read_backups;
use crate::directory::layout::release_number;
use crate::directory::parameter::PruneParameters;
use crate::directory::pin::Pin;
use crate::directory::release::ReleaseState;
use crate::directory::site::Site;

/// What may go: releases, and pins that no way back counts on any more.
struct Surplus {
    releases: Vec<ReleaseId>,
    pins: Vec<Pin>,
    /// Runs whose copies of files and volumes nobody puts back any more: this one's have taken their place.
    copies: Vec<RunId>,
    kept: usize,
    /// Whether the current release has a process and has lost it.
    ended: bool,
}

impl Surplus {
    fn is_nothing(&self) -> bool {
        self.releases.is_empty() && self.copies.is_empty() && !self.ended
    }

    fn told(&self) -> String {
        match self.kept {
            1 => "1 release is kept".to_owned(),
            kept => format!("{kept} releases are kept"),
        }
    }
}

async fn surplus(cx: &StepContext<'_>, site: &Site<'_>, parameters: &PruneParameters) -> Result<Surplus, Failure> {
    let keep = usize::try_from(parameters.keep).unwrap_or(usize::MAX).max(2);
    let mut pins = site.pins().await?;
    let old = pins.split_off(pins.len().min(keep - 1));
    let mut needed: BTreeSet<ReleaseId> = pins.into_iter().filter_map(|pin| pin.release).collect();
    needed.insert(parameters.release.clone());
    needed.extend(parameters.previous.release.clone());
    needed.extend(parameters.previous.running.iter().cloned());
    needed.extend(site.current().await?);
    needed.extend(read_backups(site.files, &site.layout()).await?.into_iter().map(|backup| backup.release));
    let mut there: Vec<(u64, ReleaseId)> = Vec::new();
    for stat in site.files.list(&site.layout().releases()).await? {
        if stat.kind == FileKind::Directory
            && let (Some(number), Ok(release)) = (release_number(&stat.name), ReleaseId::new(&stat.name))
        {
            there.push((number, release));
        }
    }
    there.sort();
    there.reverse();
    let mut releases = remnants(site, &there).await?;
    let gone = releases.len();
    for (_, release) in there.iter().skip(keep) {
        if !site.is_up(release).await? && !needed.contains(release) {
            releases.push(release.clone());
        }
    }
    let kept = there.len() + gone - releases.len();
    let pins = old.into_iter().filter(|pin| pin.run != *cx.run).collect();
    let (copies, ended) = (copies(cx, site).await?, has_ended(site, &parameters.release).await?);
    Ok(Surplus { releases, pins, copies, kept, ended })
}

/// This is the last that a run does, so it sees to it that what it has switched to still runs.
async fn has_ended(site: &Site<'_>, release: &ReleaseId) -> Result<bool, Failure> {
    let record = site.require_record(release).await?;
    if !record.spec.is_kept_running() || site.current().await?.as_ref() != Some(release) {
        return Ok(false);
    }
    let routed = match record.spec.routed() {
        Some((_, port)) => site.router(port).await?.is_some(),
        None => true,
    };
    Ok(!routed || !site.is_up(release).await?)
}

async fn copies(cx: &StepContext<'_>, site: &Site<'_>) -> Result<Vec<RunId>, Failure> {
    let mut kept = site.files.list(&site.layout().all_kept()).await?;
    kept.extend(site.files.list(&site.layout().all_kept_volumes()).await?);
    let runs: BTreeSet<RunId> = kept.into_iter().filter_map(|stat| RunId::new(&stat.name).ok()).collect();
    Ok(runs.into_iter().filter(|run| run != cx.run).collect())
}

/// Records without a tree: a removal that was interrupted goes on with them.
async fn remnants(site: &Site<'_>, there: &[(u64, ReleaseId)]) -> Result<Vec<ReleaseId>, Failure> {
    let mut remnants = Vec::new();
    for stat in site.files.list(&site.layout().records()).await? {
        if let Some(release) = stat.name.strip_suffix(".json").and_then(|name| ReleaseId::new(name).ok())
            && !there.iter().any(|(_, other)| *other == release)
            && site.record(&release).await?.is_some_and(|record| record.state == ReleaseState::Used)
            && site.current().await?.as_ref() != Some(&release)
        {
            remnants.push(release);
        }
    }
    Ok(remnants)
}

pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: PruneParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let surplus = surplus(cx, &site, &parameters).await?;
    let names = match &parameters.channel {
        Some(channel) => channel::surplus(cx, &site, channel, &parameters.release).await?,
        None => Vec::new(),
    };
    Ok(if surplus.is_nothing() && names.is_empty() {
        let evidence = Evidence::seen(surplus.told());
        Inspection::Settled { evidence, output: Value::Null }
    } else {
        let releases = surplus.releases.iter().map(|release| format!("remove release `{release}`"));
        let copies = surplus.copies.iter().map(|run| format!("remove what run `{run}` kept of files and volumes"));
        let ended = surplus.ended.then(|| format!("start release `{}` again", parameters.release));
        let names = names.iter().map(|name| format!("remove the name `{name}`"));
        Inspection::Pending { changes: ended.into_iter().chain(releases).chain(copies).chain(names).collect() }
    })
}

pub(super) async fn apply(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let parameters: PruneParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let surplus = surplus(cx, &site, &parameters).await?;
    let mut seen = Vec::new();
    if surplus.ended {
        let record = site.require_record(&parameters.release).await?;
        let routers: Vec<(String, u16)> = record.spec.routed().into_iter().collect();
        seen = site.ensure_up(&parameters.release, &routers, secrets).await?;
    }
    for pin in &surplus.pins {
        site.files.remove(&site.layout().pin(&pin.run), site.token()).await?;
        site.files.remove(&site.layout().names(&pin.run), site.token()).await?;
    }
    for run in &surplus.copies {
        site.files.remove(&site.layout().kept(run), site.token()).await?;
        site.files.remove(&site.layout().kept_volumes(run), site.token()).await?;
    }
    for release in &surplus.releases {
        // Nothing of it runs, but a starter that was interrupted may have left a sleeping process.
        if site.instance(release).await?.is_some()
            && let Some(record) = site.record(release).await?
        {
            site.ensure_stopped(release, Period::ZERO, record.spec.stop_grace).await?;
        }
        site.remove_release(release, secrets).await?;
    }
    let removed: Vec<&str> = surplus.releases.iter().map(ReleaseId::as_str).collect();
    seen.push(surplus.told());
    if !removed.is_empty() {
        seen.push(format!("removed {}", removed.join(", ")));
    }
    // Behind the releases: what only these needed is a version that nothing needs by now.
    let names = match &parameters.channel {
        Some(channel) => channel::forget_surplus(cx, &site, channel, &parameters.release).await?,
        None => Vec::new(),
    };
    if !names.is_empty() {
        seen.push(format!("{} lead nowhere now", names.join(", ")));
    }
    let evidence = seen.join("; ");
    let unchanged = surplus.is_nothing() && names.is_empty();
    Ok(if unchanged { Applied::unchanged(evidence) } else { Applied::changed(evidence) })
}
