//! `supervise keep-volumes` and `prove-volumes`.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use pleach_core::error::{Failure, Kind};
use serde_json::Value;

use super::record::{self, KeptArchive, KeptVolume, cannot};
use super::request::{KeepVolumes, Owner};
use super::scan::scan;
use crate::docker::{Engine, EngineWay};
use crate::local::file_digest;

/// A volume that changes while it is read is read again so often.
const TRIES: usize = 3;

/// Keeps volumes and proves what is kept; what an earlier attempt kept is replaced.
pub(crate) async fn keep(request: &KeepVolumes) -> Result<Vec<KeptVolume>, Failure> {
    let engine = Engine::connect(EngineWay::socket(&request.socket)).await?;
    let place = &request.place;
    discard(place)?;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(place);
    made.map_err(|error| cannot("keep volumes", place, &error))?;
    let kept = keep_all(&engine, request).await;
    let removed = engine.ensure_no_container(&request.holder).await;
    let kept = kept.and_then(|kept| {
        record::save(place, &kept).map_err(|error| cannot("keep volumes", place, &error))?;
        Ok(kept)
    });
    match kept {
        Ok(kept) => removed.map(|()| kept).map_err(Failure::from),
        Err(failure) => {
            discard(place)?;
            Err(failure)
        }
    }
}

async fn keep_all(engine: &Engine, request: &KeepVolumes) -> Result<Vec<KeptVolume>, Failure> {
    let mut kept = Vec::new();
    for (at, named) in request.volumes.iter().enumerate() {
        let name = real_name(named, request);
        require_own(engine, request, named, &name).await?;
        let before = keep_one(engine, request, &name, &format!("{at}.tar")).await?;
        kept.push(KeptVolume { name, before });
    }
    Ok(kept)
}

async fn keep_one(
    engine: &Engine,
    request: &KeepVolumes,
    name: &str,
    file: &str,
) -> Result<Option<KeptArchive>, Failure> {
    let Some(volume) = engine.volume(name).await? else { return Ok(None) };
    engine.hold_volume(&request.holder, name).await?;
    for _ in 0..TRIES {
        let first = scan(engine, &request.holder, name, Some(&request.place.join(file))).await?;
        let second = scan(engine, &request.holder, name, None).await?;
        if first.tree == second.tree {
            return Ok(Some(KeptArchive { volume, file: file.to_owned(), sha256: first.sha256, tree: first.tree }));
        }
    }
    Err(Failure::new(Kind::Rejected, format!("could not keep volume `{name}`"))
        .because(format!("it changed while it was read, {TRIES} times"))
        .state("nothing was changed")
        .next("deploy while less is written to it, or after `pleach stop`; or take it out of `snapshot`"))
}

/// What the volume of a project is called on the engine: as the resolved file says, else as Compose would call it.
fn real_name(named: &str, request: &KeepVolumes) -> String {
    let Owner::Project(project) = &request.owner else { return named.to_owned() };
    let written = |path: &Path| -> Option<String> {
        let file: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        Some(file.get("volumes")?.get(named)?.get("name")?.as_str()?.to_owned())
    };
    request.resolved.as_deref().and_then(written).unwrap_or_else(|| format!("{project}_{named}"))
}

/// What it is put back with ends all that runs on it, so nothing of somebody else may: told before anything is changed.
async fn require_own(engine: &Engine, request: &KeepVolumes, named: &str, name: &str) -> Result<(), Failure> {
    let running = engine.running_with(name).await?;
    let Some(other) = running.iter().find(|one| !request.owner.owns(one)) else { return Ok(()) };
    Err(Failure::new(Kind::Conflict, format!("volume `{name}` cannot be kept"))
        .because(format!("container `{}`, which is none of this service, runs on it", other.name))
        .state("nothing was changed")
        .next(format!("end it with `docker stop {}`, or take `volume:{named}` out of `snapshot`", other.name)))
}

fn discard(place: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(cannot("remove what an earlier attempt kept of volumes", place, &error))
        }
        _ => Ok(()),
    }
}

/// The archives are as they were written.
pub(crate) fn prove(place: &Path) -> Result<Vec<KeptVolume>, Failure> {
    let kept = record::require(place)?;
    for (volume, before) in kept.iter().filter_map(|kept| Some((kept, kept.before.as_ref()?))) {
        require_whole(place, volume, before)?;
    }
    Ok(kept)
}

pub(super) fn require_whole(place: &Path, volume: &KeptVolume, before: &KeptArchive) -> Result<(), Failure> {
    let path = place.join(&before.file);
    let doing = format!("read what is kept of volume `{}`", volume.name);
    if file_digest(&path).map_err(|error| cannot(&doing, &path, &error))?.0 == before.sha256 {
        return Ok(());
    }
    Err(Failure::new(Kind::Conflict, format!("what is kept of volume `{}` is damaged", volume.name))
        .because(format!("`{}` is not as it was written", path.display()))
        .state("the volume was not touched")
        .next("look whether the disk is well with `dmesg | tail`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_of_a_project_is_called_as_its_resolved_file_says_else_as_compose_would() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("compose.pleach.json");
        fs::write(&file, r#"{"volumes":{"data":{"name":"shared-data","external":true},"db":{}}}"#).expect("written");
        let mut request = KeepVolumes {
            place: folder.path().join("kept"),
            socket: "/nowhere".into(),
            holder: "holder".into(),
            owner: Owner::Project("shop".into()),
            volumes: Vec::new(),
            resolved: Some(file),
        };
        assert_eq!(["data", "db"].map(|named| real_name(named, &request)), ["shared-data", "shop_db"]);
        request.resolved = None;
        assert_eq!(real_name("data", &request), "shop_data");
        request.owner = Owner::Service("/srv/shop".into());
        assert_eq!(real_name("data", &request), "data");
    }

    #[test]
    fn a_damaged_archive_and_a_missing_record_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path();
        prove(place).expect_err("there is no record");
        fs::write(place.join("0.tar"), "archive").expect("written");
        let before = KeptArchive {
            volume: crate::docker::Volume {
                name: "data".into(),
                driver: "local".into(),
                options: [].into(),
                labels: [].into(),
            },
            file: "0.tar".into(),
            sha256: file_digest(&place.join("0.tar")).expect("read").0,
            tree: super::super::tree::Tree { digest: "d".into(), entries: 1, files: 1, bytes: 7 },
        };
        let kept = [KeptVolume { name: "data".into(), before: Some(before) }];
        record::save(place, &kept).expect("written");
        assert_eq!(prove(place).expect("whole"), kept);
        fs::write(place.join("0.tar"), "archivE").expect("written");
        let damaged = prove(place).expect_err("damaged");
        assert!(damaged.what.contains("damaged"), "{damaged:?}");
    }
}
