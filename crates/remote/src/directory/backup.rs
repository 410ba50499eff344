//! Backups: what a service has beside its releases, kept by name until it is removed by name.
//!
//! What `snapshot` names is kept and proven as for a restore point, in a folder of its own that no run removes; the release that was
//! current stays for as long as a backup names it. Restoring puts it all back and goes to that release. Backups lie on the
//! target's own disk: they help against mistakes, not against the loss of the machine.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_core::plan::Draft;
use pleach_core::port::{FileKind, Files, ImageId};
use pleach_core::word::{CommitId, EnvironmentName, ReleaseId, RunId, ServiceName};
use serde::{Deserialize, Serialize};

use super::files::kept_paths;
use super::layout::ServiceLayout;
use super::parameter::{BackupParameters, ForgetParameters, PutBackParameters, ReleaseParameters, word};
use super::phase::Work;
use super::recipe::{FILES, SHORT, Scene, Steps};
use super::routing::asked;
use super::site::is_service;
use super::volumes::kept_volumes;

/// As long as a snapshot may take.
const COPY: Period = Period::seconds(1800);

/// One backup of one service on one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Backup {
    /// Its name: the run that made it.
    pub backup: RunId,
    /// The environment that it was made in.
    pub environment: EnvironmentName,
    /// When it was whole, by the clock of the machine that made it.
    pub made: Timestamp,
    /// The release that was current.
    pub release: ReleaseId,
    /// Its commit.
    pub commit: CommitId,
    /// The digest of its image, if its container is made from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageId>,
    /// The paths that are kept, absolute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathBuf>,
    /// The volumes that are kept, as the config names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// What the copies take on the target's disk, in bytes.
    pub size: u64,
}

impl Backup {
    /// What it has beside the release, in words: `1 path, 2 volumes`. Nothing where that is all.
    pub fn data(&self) -> Option<String> {
        let many = |count: usize, what: &str| match count {
            0 => None,
            1 => Some(format!("1 {what}")),
            count => Some(format!("{count} {what}s")),
        };
        let parts = [many(self.paths.len(), "path"), many(self.volumes.len(), "volume")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// All backups of a service that are whole, oldest first.
pub(super) async fn read_backups(files: &dyn Files, layout: &ServiceLayout) -> Result<Vec<Backup>, Failure> {
    let mut backups: Vec<Backup> = Vec::new();
    for stat in files.list(&layout.backups()).await? {
        if stat.kind == FileKind::Directory
            && let Ok(run) = RunId::new(&stat.name)
        {
            let record = files.read(&layout.backup_record(&run)).await?;
            // One that cannot be read keeps nobody from deploying: `pleach check` tells of it.
            backups.extend(record.and_then(|bytes| serde_json::from_slice::<Backup>(&bytes).ok()));
        }
    }
    backups.sort_by(|a, b| a.backup.cmp(&b.backup));
    Ok(backups)
}

/// The backups of all services below `root`, oldest first.
pub async fn service_backups(files: &dyn Files, root: &Path) -> Result<Vec<(ServiceName, Backup)>, Failure> {
    let mut all = Vec::new();
    for entry in files.list(root).await?.into_iter().filter(|entry| entry.kind == FileKind::Directory) {
        let layout = ServiceLayout::new(root.join(&entry.name));
        let Ok(service) = ServiceName::new(&entry.name) else { continue };
        if is_service(files, &layout).await? {
            all.extend(read_backups(files, &layout).await?.into_iter().map(|backup| (service.clone(), backup)));
        }
    }
    Ok(all)
}

/// What is copied, in words.
pub(super) fn copied(paths: &[PathBuf], volumes: &[String]) -> String {
    let mut parts: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    parts.extend(volumes.iter().map(|name| format!("volume `{name}`")));
    if parts.is_empty() { "nothing but the release".to_owned() } else { parts.join(", ") }
}

impl Scene<'_> {
    /// No steps where nothing was deployed.
    pub(super) fn backup(&self) -> Result<Draft, Failure> {
        let Some(release) = &self.previous.release else { return self.draft_without_snapshot(None, Steps::default()) };
        let config = self.request.service_config;
        let (paths, volumes) = (kept_paths(config, &self.place), kept_volumes(config));
        let mut steps = self.steps(!volumes.is_empty())?;
        let summary = format!("keep {} at release `{release}`", copied(&paths, &volumes));
        let parameters = BackupParameters { kept: self.on_volumes(volumes), release: release.clone(), paths };
        steps.add(Work::Backup, summary, &parameters, COPY)?;
        self.draft_without_snapshot(Some(release.clone()), steps)
    }

    /// No steps where the backup has nothing of the service.
    pub(super) fn forget(&self, backup: &RunId) -> Result<Draft, Failure> {
        let mut steps = Steps::default();
        if let Some(found) = self.backups.iter().find(|one| one.backup == *backup) {
            let parameters = ForgetParameters { place: self.place.clone(), backup: backup.clone() };
            let has = found.data().map(|data| format!(" with {data}")).unwrap_or_default();
            let summary = format!("remove the backup of release `{}`{has}", found.release);
            steps.add(Work::Forget, summary, &parameters, FILES)?;
        }
        self.draft_without_snapshot(self.previous.release.clone(), steps)
    }

    /// No steps where the backup has nothing of the service.
    pub(super) fn restore(&self, backup: &RunId) -> Result<Draft, Failure> {
        let Some(found) = self.backups.iter().find(|one| one.backup == *backup) else {
            return self.draft_without_snapshot(self.previous.release.clone(), Steps::default());
        };
        let release = &found.release;
        let kept = self.kept.iter().find(|kept| kept.release == *release).ok_or_else(|| self.unrestorable(found))?;
        let mut steps = self.steps(kept.spec.is_kept_running() || !found.volumes.is_empty())?;
        let has_data = !found.paths.is_empty() || !found.volumes.is_empty();
        if has_data {
            self.halt_for_data(&mut steps)?;
        }
        self.guard_files(&mut steps, &found.paths)?;
        self.guard_volumes(&mut steps, &found.volumes)?;
        if has_data {
            let parameters = PutBackParameters {
                kept: self.on_volumes(found.volumes.clone()),
                environment: self.request.environment.clone(),
                backup: backup.clone(),
                release: release.clone(),
            };
            let summary = format!("put back {} as in backup `{backup}`", copied(&found.paths, &found.volumes));
            // What runs on it may be started anew and asked how it is.
            let limit = Period(COPY.0 + kept.spec.within().0 + kept.spec.stop_grace.0 + SHORT.0);
            steps.add(Work::PutBack, summary, &parameters, limit)?;
        }
        if kept.spec.start.is_some() || !self.runs(kept) {
            self.go_live(&mut steps, &kept.spec, release, &[])?;
            self.add_channel(&mut steps, &kept.spec, release, None)?;
            return self.draft(Some(release.clone()), steps);
        }
        self.add_way_back(&mut steps, release, &kept.spec, &[], None)?;
        if kept.spec.is_kept_running() {
            self.add_verify(&mut steps, release, &kept.spec)?;
        }
        self.draft(Some(release.clone()), steps)
    }

    /// What something else keeps running is stopped while its data is put back. Taken back last, it runs again on what was there.
    fn halt_for_data(&self, steps: &mut Steps) -> Result<(), Failure> {
        let old = self.kept.iter().find(|kept| Some(&kept.release) == self.previous.release.as_ref());
        let Some(old) = old.filter(|old| old.spec.start.is_some() && !self.halted) else { return Ok(()) };
        let Some(stop) = &old.spec.stop else { return Ok(()) };
        let back = old.spec.health.is_some().then(|| asked(&old.spec));
        let parameters = ReleaseParameters { back, ..self.about(&old.release) };
        let limit = self.request.service_config.build_limit;
        steps.add(Work::Halt, format!("run `{stop}`"), &parameters, limit)?;
        Ok(())
    }

    fn unrestorable(&self, found: &Backup) -> Failure {
        let Backup { backup, release, commit, paths, .. } = found;
        let (service, target) = (&self.request.service, &self.request.target);
        let copies = if paths.is_empty() {
            self.place.layout().backup(backup)
        } else {
            self.place.layout().backup_files(backup)
        };
        Failure::new(Kind::Conflict, format!("backup `{backup}` of `{service}` on `{target}` cannot be restored"))
            .because(format!("its release `{release}` is not there whole; it was made of commit {}", commit.short()))
            .state("nothing was touched")
            .next(format!("look what it keeps with `{}`", self.place.typed(format!("ls -l {}", word(&copies)))))
    }
}
