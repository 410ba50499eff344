//! `backup`, `put-back` and `forget`: [backups](crate::directory::backup), made, put back and removed.

use std::path::Path;

use pleach_core::error::{Failure, Kind};
use pleach_core::phase::{Applied, Evidence, Inspection, StepContext};
use pleach_core::port::{Command, Secrets};
use pleach_core::word::RunId;
use serde_json::Value;

use super::install::ensure_program;
use crate::directory::backup::{Backup, copied};
use crate::directory::files::{self, quoted, start_anew};
use crate::directory::parameter::{BackupParameters, ForgetParameters, PutBackParameters};
use crate::directory::site::{Site, read_json};
use crate::directory::volumes::{self, ask_keep, ask_prove, ask_put_back, start_again};
use crate::kept::KeptFiles;
use crate::volume::PutBackVolumes;

pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: BackupParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.kept.place)?;
    Ok(match read_json::<Backup>(site.files, &site.layout().backup_record(cx.run)).await? {
        Some(made) => Inspection::Settled { evidence: Evidence::seen(seen(&made)), output: Value::Null },
        None => {
            let copied = copied(&parameters.paths, &parameters.kept.volumes);
            Inspection::Pending { changes: vec![format!("keep {copied} at release `{}`", parameters.release)] }
        }
    })
}

fn seen(made: &Backup) -> String {
    let Backup { backup, release, .. } = made;
    match made.data() {
        Some(data) => format!("backup `{backup}` has release `{release}` and {data}"),
        None => format!("backup `{backup}` has release `{release}` alone"),
    }
}

/// The record comes last: what has one was proven.
pub(super) async fn apply(cx: &StepContext<'_>) -> Result<Applied, Failure> {
    let parameters: BackupParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.kept.place)?;
    let layout = site.layout();
    if let Some(made) = read_json::<Backup>(site.files, &layout.backup_record(cx.run)).await? {
        return Ok(Applied::unchanged(seen(&made)));
    }
    let current = site.current().await?;
    if current.as_ref() != Some(&parameters.release) {
        let now = current.map_or_else(|| "nothing".to_owned(), |release| format!("release `{release}`"));
        return Err(Failure::new(Kind::Conflict, format!("release `{}` is no longer current", parameters.release))
            .because(format!("`current` leads to {now}"))
            .next("see what is live with `pleach status`, then make another one"));
    }
    let record = site.require_record(&parameters.release).await?;
    site.files.ensure_directory(&layout.backup(cx.run), site.token()).await?;
    let mut proven = Vec::new();
    if !parameters.paths.is_empty() {
        let kept = KeptFiles::new(layout.backup_files(cx.run));
        let shell = site.require_shell()?;
        kept.keep(shell, cx.call(), &parameters.paths).await?;
        proven.push(files::told(&kept.prove(shell, cx.call()).await?));
    }
    if !parameters.kept.volumes.is_empty() {
        ensure_program(&site).await?;
        let place = layout.backup_volumes(cx.run);
        ask_keep(&site, &parameters.kept, &place).await?;
        proven.push(volumes::told(&ask_prove(&site, &place).await?));
    }
    let made = Backup {
        backup: cx.run.clone(),
        environment: record.spec.environment.clone(),
        made: jiff::Timestamp::now(),
        release: parameters.release.clone(),
        commit: record.spec.commit.clone(),
        image: record.image.clone(),
        paths: parameters.paths.clone(),
        volumes: parameters.kept.volumes.clone(),
        size: size(&site, &layout.backup(cx.run)).await?,
    };
    site.write_json(&layout.backup_record(cx.run), &made).await?;
    let proven = if proven.is_empty() { String::new() } else { format!(": equal copies of {}", proven.join(", ")) };
    Ok(Applied::changed(format!("{}{proven}", seen(&made))))
}

/// What a folder takes on its disk.
async fn size(site: &Site<'_>, folder: &Path) -> Result<u64, Failure> {
    let command = Command::read(["du".to_owned(), "-sk".to_owned(), folder.to_string_lossy().into_owned()]);
    let output = site.run_command(&command, "measure the backup").await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let kib = text.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    Ok(kib.unwrap_or_default().saturating_mul(1024))
}

pub(super) async fn undo(cx: &StepContext<'_>) -> Result<Evidence, Failure> {
    let parameters: BackupParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.kept.place)?;
    remove(&site, cx.run).await?;
    Ok(Evidence::seen(format!("there is no backup `{}`", cx.run)))
}

/// First its record: half a backup is none.
async fn remove(site: &Site<'_>, backup: &RunId) -> Result<(), Failure> {
    let layout = site.layout();
    site.files.remove(&layout.backup_record(backup), site.token()).await?;
    site.files.remove(&layout.backup(backup), site.token()).await
}

pub(super) async fn inspect_put_back(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: PutBackParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.kept.place)?;
    if let Some(told) = read_json::<String>(site.files, &site.layout().restored(cx.run)).await? {
        return Ok(Inspection::Settled { evidence: Evidence::seen(told), output: Value::Null });
    }
    let found = require(&site, &parameters).await?;
    Ok(Inspection::Pending { changes: vec![format!("put back {}", copied(&found.paths, &found.volumes))] })
}

async fn require(site: &Site<'_>, parameters: &PutBackParameters) -> Result<Backup, Failure> {
    let PutBackParameters { environment, backup, .. } = parameters;
    let path = site.layout().backup_record(backup);
    read_json(site.files, &path).await?.ok_or_else(|| {
        Failure::new(Kind::Conflict, format!("there is no backup `{backup}`"))
            .because(format!("`{}` is not there", path.display()))
            .next(format!("see what there is with `pleach backup {environment} --list`"))
    })
}

/// Puts back copies of what the backup keeps, so that it can be put back again. They are put back once, however often that is
/// interrupted, and go then.
pub(super) async fn put_back(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let parameters: PutBackParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.kept.place)?;
    let layout = site.layout();
    if let Some(told) = read_json::<String>(site.files, &layout.restored(cx.run)).await? {
        return Ok(Applied::unchanged(told));
    }
    let found = require(&site, &parameters).await?;
    let shell = site.require_shell()?;
    remove_earlier(&site, cx.run).await?;
    let (mut aside, mut changed, mut stopped) = (Vec::new(), false, false);
    if !found.volumes.is_empty() {
        ensure_program(&site).await?;
        let all = layout.restoring_volumes(cx.run);
        let place = KeptFiles::new(all.join(cx.run.as_str()));
        place.stage(shell, cx.call(), &layout.backup_volumes(&found.backup)).await?;
        // Apart from what the run itself would put aside, were it taken back.
        let beside = layout.replaced_volumes().join("restored");
        let request = PutBackVolumes { all, aside: beside, ..parameters.kept.put_back() };
        let done = ask_put_back(&site, &request, cx.run).await?;
        aside.extend(done.aside);
        (changed, stopped) = (done.changed, done.stopped);
    }
    if !found.paths.is_empty() {
        let place = KeptFiles::new(layout.restoring_files(cx.run));
        place.stage(shell, cx.call(), &layout.backup_files(&found.backup)).await?;
        let done = place.put_back(shell, cx.call()).await?;
        aside.extend(done.aside);
        changed |= done.changed;
    }
    let mut told = format!("{} as in backup `{}`", found.data().unwrap_or_default(), found.backup);
    if !aside.is_empty() {
        told = format!("{told}; what was there lies in {}", quoted(&aside));
    }
    if changed && let Some(anew) = start_on_it(&site, &parameters, stopped, secrets).await? {
        told = format!("{told}; {anew}");
    }
    site.write_json(&layout.restored(cx.run), &told).await?;
    for staged in [layout.restoring_files(cx.run), layout.restoring_volumes(cx.run)] {
        site.files.remove(&staged, site.token()).await?;
    }
    Ok(if changed { Applied::changed(told) } else { Applied::unchanged(told) })
}

/// What Pleach keeps running of another release is not started on older data: the steps behind this one bring the right one.
/// What something else keeps running was stopped by the step before, and is started behind this one.
async fn start_on_it(
    site: &Site<'_>,
    parameters: &PutBackParameters,
    stopped: bool,
    secrets: &dyn Secrets,
) -> Result<Option<String>, Failure> {
    let Some(current) = site.current().await?.filter(|current| *current == parameters.release) else { return Ok(None) };
    if !site.require_record(&current).await?.spec.is_kept_running() {
        return Ok(None);
    }
    if stopped { start_again(site, secrets).await } else { start_anew(site, secrets).await }
}

async fn remove_earlier(site: &Site<'_>, run: &RunId) -> Result<(), Failure> {
    let folder = site.layout().all_restoring();
    for stat in site.files.list(&folder).await? {
        if stat.name != run.as_str() {
            site.files.remove(&folder.join(&stat.name), site.token()).await?;
        }
    }
    Ok(())
}

pub(super) async fn inspect_forgotten(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: ForgetParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    let folder = site.layout().backup(&parameters.backup);
    Ok(match site.files.stat(&folder).await? {
        None => Inspection::Settled { evidence: gone(&parameters), output: Value::Null },
        Some(_) => Inspection::Pending { changes: vec![format!("remove `{}`", folder.display())] },
    })
}

fn gone(parameters: &ForgetParameters) -> Evidence {
    Evidence::seen(format!("there is no backup `{}` any more", parameters.backup))
}

pub(super) async fn forget(cx: &StepContext<'_>) -> Result<Applied, Failure> {
    let parameters: ForgetParameters = cx.require_parameters()?;
    let site = Site::of_step(cx, &parameters.place)?;
    remove(&site, &parameters.backup).await?;
    Ok(Applied::changed(format!("there is no backup `{}` any more", parameters.backup)))
}
