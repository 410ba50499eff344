//! `supervise put-back-volumes`.
//!
//! Looked at first: a volume that is as it was is left alone, and so is what runs on it. Whatever was ended stays so: whoever asked
//! starts what is to run by then, which may be another release than the one that was ended.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use pleach_core::error::{Failure, Kind};
use pleach_core::word::RunId;

use super::keep::require_whole;
use super::record::{self, KeptVolume, cannot};
use super::request::{PutBackVolumes, VolumesPutBack};
use super::scan::{scan, unpack};
use super::tree::Tree;
use crate::daemon::{cannot_lock, lock_file};
use crate::docker::{Container, Engine, EngineWay};
use crate::local::sync_folder;

/// Has volumes be as they were before `run`, once: what was put back is left alone from then on.
pub(crate) async fn put_back(request: &PutBackVolumes, run: &RunId) -> Result<VolumesPutBack, Failure> {
    let place = request.all.join(run.as_str());
    let kept = record::require(&place)?;
    // Whoever holds it puts back the same.
    let lock = place.join("lock");
    lock_file(&lock)?.lock().map_err(|error| cannot_lock(&lock, &error))?;
    let engine = Engine::connect(EngineWay::socket(&request.socket)).await?;
    let aside = request.aside.join(run.as_str());
    let work = PuttingBack { request, engine, place, aside };
    let done = work.put_back(&kept).await;
    // Nothing is in it, so one that stays is only in the way of the next one, which removes it.
    let _ = work.engine.ensure_no_container(&request.holder).await;
    done
}

struct PuttingBack<'a> {
    request: &'a PutBackVolumes,
    engine: Engine,
    place: PathBuf,
    aside: PathBuf,
}

impl PuttingBack<'_> {
    async fn put_back(&self, kept: &[KeptVolume]) -> Result<VolumesPutBack, Failure> {
        if !self.is("restored") && (self.is("changed") || !self.are(kept).await?) {
            self.mark("changed")?;
            self.end_users(kept).await?;
            for volume in kept {
                self.put_back_one(volume).await?;
            }
            // The engine does not, and the copies go once it counts as done.
            for volume in kept {
                self.engine.flush_volume(&volume.name).await?;
            }
            self.mark("restored")?;
        }
        Ok(VolumesPutBack {
            volumes: kept.iter().map(|volume| volume.name.clone()).collect(),
            aside: kept.iter().map(|volume| self.aside_of(volume)).filter(|path| path.is_file()).collect(),
            changed: self.is("changed"),
            stopped: self.is("stopped"),
        })
    }

    fn is(&self, mark: &str) -> bool {
        self.place.join(mark).exists()
    }

    fn mark(&self, mark: &str) -> Result<(), Failure> {
        let path = self.place.join(mark);
        let marked = File::create(&path).and_then(|file| file.sync_all()).and_then(|()| sync_folder(&path));
        marked.map_err(|error| cannot("put volumes back", &path, &error))
    }

    fn aside_of(&self, volume: &KeptVolume) -> PathBuf {
        self.aside.join(format!("{}.tar", volume.name))
    }

    async fn are(&self, kept: &[KeptVolume]) -> Result<bool, Failure> {
        for volume in kept {
            if !volume.is(self.look(&volume.name).await?.as_ref()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is in a volume; nothing where there is none.
    async fn look(&self, name: &str) -> Result<Option<Tree>, Failure> {
        if self.engine.volume(name).await?.is_none() {
            return Ok(None);
        }
        self.engine.hold_volume(&self.request.holder, name).await?;
        Ok(Some(scan(&self.engine, &self.request.holder, name, None).await?.tree))
    }

    /// Nothing runs on the volumes then; of a project, nothing at all.
    async fn end_users(&self, kept: &[KeptVolume]) -> Result<(), Failure> {
        let mut running: Vec<Container> = Vec::new();
        for volume in kept {
            running.extend(self.engine.running_with(&volume.name).await?);
        }
        if let Some(other) = running.iter().find(|one| !self.request.owner.owns(one)) {
            return Err(Failure::new(Kind::Conflict, "could not put volumes back")
                .because(format!("container `{}`, which is none of this service, runs on one of them", other.name))
                .state("what runs on them runs on")
                .next(format!("end it with `docker stop {}`, then do it again", other.name)));
        }
        if running.is_empty() {
            return Ok(());
        }
        let (name, value) = self.request.owner.label();
        let all = self.engine.containers(&[(name.to_owned(), value.to_owned())].into()).await?;
        self.mark("stopped")?;
        for container in all.iter().filter(|one| one.is_up()) {
            self.engine.ensure_stopped(&container.name, self.request.stop_grace.0).await?;
        }
        Ok(())
    }

    async fn put_back_one(&self, volume: &KeptVolume) -> Result<(), Failure> {
        let (engine, holder) = (&self.engine, &self.request.holder);
        let now = self.look(&volume.name).await?;
        if volume.is(now.as_ref()) {
            return Ok(());
        }
        if let Some(before) = &volume.before {
            require_whole(&self.place, volume, before)?;
        }
        if now.is_some() {
            self.keep_aside(volume).await?;
            engine.empty_volume(holder, &volume.name).await?;
        }
        if let Some(before) = &volume.before {
            engine.ensure_volume(&before.volume).await?;
            engine.hold_volume(holder, &volume.name).await?;
            unpack(engine, holder, &self.place.join(&before.file)).await?;
        }
        if volume.is(self.look(&volume.name).await?.as_ref()) {
            return Ok(());
        }
        Err(Failure::new(Kind::Conflict, format!("volume `{}` was put back and is not as it was", volume.name))
            .because("something has written to it meanwhile, or its file system does not take all of it")
            .state(format!("what was in it lies in `{}`", self.aside_of(volume).display()))
            .next(format!("see what uses it with `docker ps -a --filter volume={}`", volume.name)))
    }

    /// Once: behind an attempt that was interrupted, what is in it is what that one has left.
    async fn keep_aside(&self, volume: &KeptVolume) -> Result<(), Failure> {
        let path = self.aside_of(volume);
        if path.is_file() {
            return Ok(());
        }
        make_private(&self.aside)?;
        let beside = self.aside.join(format!("{}.tar.new", volume.name));
        scan(&self.engine, &self.request.holder, &volume.name, Some(&beside)).await?;
        let kept = fs::rename(&beside, &path).and_then(|()| File::open(&self.aside)?.sync_all());
        kept.map_err(|error| cannot("keep what is in a volume", &path, &error))
    }
}

fn make_private(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| cannot("keep what is in a volume", folder, &error))
}
