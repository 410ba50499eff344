//! Named volumes, read and written through a container of ours that has one of them and nothing else.
//!
//! Whoever deploys may ask the engine and need not be root, so the folder of a volume is out of reach. What the engine packs of a
//! container's path is not: that container is made of an image without any file, which the engine makes of an empty archive, and is
//! never started. Only removing what is in a volume needs a process: it is `find` of the host itself, whose folders of programs and
//! libraries that container sees, read-only and without a network.
//!
//! The engine's archives carry owners, modes, links, whole seconds of times, and of extended attributes `security.capability`.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::Path;

use bollard::body_try_stream;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, DownloadFromContainerOptionsBuilder,
    ListContainersOptionsBuilder, UploadToContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::archive::end;
use super::container::Container;
use super::engine::Engine;
use super::error::{EngineError, Said};

/// The image without any file.
const NOTHING: (&str, &str) = ("pleach/nothing", "1");

/// Where the volume is, in a container of ours.
const INSIDE: &str = "/volume";

/// Where a host has its programs and what they need.
const TOOLS: [&str; 7] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr"];

/// A volume, and what one like it is made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Volume {
    /// Its name on the engine.
    pub(crate) name: String,
    /// Who keeps it: `local` is a folder of the host.
    pub(crate) driver: String,
    /// What that was told.
    pub(crate) options: BTreeMap<String, String>,
    /// What is written on it.
    pub(crate) labels: BTreeMap<String, String>,
}

impl Engine {
    /// A volume by name; nothing where this engine has none.
    pub(crate) async fn volume(&self, name: &str) -> Result<Option<Volume>, EngineError> {
        match self.docker().inspect_volume(name).await.map_err(self.failed(&format!("look at volume `{name}`"))) {
            Ok(found) => Ok(Some(Volume {
                name: found.name,
                driver: found.driver,
                options: found.options.into_iter().collect(),
                labels: found.labels.into_iter().collect(),
            })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has a volume like this one, which is left as it is where it is there.
    pub(crate) async fn ensure_volume(&self, volume: &Volume) -> Result<(), EngineError> {
        let request = VolumeCreateRequest {
            name: Some(volume.name.clone()),
            driver: Some(volume.driver.clone()),
            driver_opts: Some(volume.options.clone().into_iter().collect()),
            labels: Some(volume.labels.clone().into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        let made = self.docker().create_volume(request).await;
        made.map(drop).map_err(self.failed(&format!("make volume `{}`", volume.name)))
    }

    /// Has what was written to a volume outlive a loss of power. Succeeds where there is none.
    pub(crate) async fn flush_volume(&self, name: &str) -> Result<(), EngineError> {
        let what = format!("look at volume `{name}`");
        let found = match self.docker().inspect_volume(name).await.map_err(self.failed(&what)) {
            Err(error) if error.is_not_found() => return Ok(()),
            found => found?,
        };
        let flushed = File::open(found.mountpoint).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
        // Who may not open its folder may flush all that the host has.
        if flushed.is_err() {
            rustix::fs::sync();
        }
        Ok(())
    }

    /// The containers that run with a volume.
    pub(crate) async fn running_with(&self, volume: &str) -> Result<Vec<Container>, EngineError> {
        let filters = HashMap::from([("volume", vec![volume])]);
        let options = ListContainersOptionsBuilder::default().filters(&filters).build();
        let what = format!("list the containers that use volume `{volume}`");
        let mut running = Vec::new();
        for one in self.docker().list_containers(Some(options)).await.map_err(self.failed(&what))? {
            running.extend(self.container(&one.id.unwrap_or_default()).await?);
        }
        Ok(running)
    }

    /// Makes the container `holder` anew: through it a volume that is there is read and written.
    pub(crate) async fn hold_volume(&self, holder: &str, volume: &str) -> Result<(), EngineError> {
        self.ensure_nothing().await?;
        self.ensure_no_container(holder).await?;
        self.make_holder(holder, volume, &[], Vec::new()).await
    }

    /// All that is in the volume of a holder, as a tar archive of the folder `volume`.
    pub(crate) fn read_volume(&self, holder: &str) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let options = DownloadFromContainerOptionsBuilder::default().path(INSIDE).build();
        let engine = self.clone();
        let parts = self.docker().download_from_container(holder, Some(options));
        parts.map(move |part| part.map_err(|error| io::Error::other(engine.failed("read a volume")(error))))
    }

    /// Puts such an archive into the volume of a holder, over what is in it.
    pub(crate) async fn write_volume(
        &self,
        holder: &str,
        archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<(), EngineError> {
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        let written = self.docker().upload_to_container(holder, Some(options), body_try_stream(archive)).await;
        written.map_err(self.failed("write a volume"))
    }

    /// Removes all that is in a volume.
    pub(crate) async fn empty_volume(&self, holder: &str, volume: &str) -> Result<(), EngineError> {
        let (name, what) = (format!("{holder}-empty"), format!("empty volume `{volume}`"));
        self.ensure_nothing().await?;
        self.ensure_stopped(&name, std::time::Duration::ZERO).await?;
        self.ensure_no_container(&name).await?;
        let tools = TOOLS.iter().filter(|folder| Path::new(folder).is_dir());
        let binds = tools.map(|folder| format!("{folder}:{folder}:ro")).collect();
        let command = ["/usr/bin/env", "find", INSIDE, "-mindepth", "1", "-delete"];
        self.make_holder(&name, volume, &command, binds).await?;
        self.ensure_started(&name).await?;
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let waiting = self.docker().wait_container(&name, Some(options));
        std::pin::pin!(waiting).next().await;
        let ended = self.require_container(&name).await?;
        let said = self.last_lines(&name, 1).await?;
        self.ensure_no_container(&name).await?;
        match ended.state {
            super::ContainerState::Ended { code: 0, .. } => Ok(()),
            state => {
                let source = Said(said.first().cloned().unwrap_or_else(|| format!("{state:?}")));
                Err(EngineError::Conflict { what, place: self.place(), source })
            }
        }
    }

    /// The image without any file; made of an archive without any entry.
    async fn ensure_nothing(&self) -> Result<(), EngineError> {
        let (repository, tag) = NOTHING;
        if self.image(&format!("{repository}:{tag}")).await?.is_some() {
            return Ok(());
        }
        let options = CreateImageOptionsBuilder::default().from_src("-").repo(repository).tag(tag).build();
        let body = body_try_stream(stream::once(async { Ok(end()) }));
        let mut said = std::pin::pin!(self.docker().create_image(Some(options), Some(body), None));
        while let Some(part) = said.next().await {
            part.map_err(self.failed("make an image without any file"))?;
        }
        Ok(())
    }

    async fn make_holder(
        &self,
        name: &str,
        volume: &str,
        command: &[&str],
        binds: Vec<String>,
    ) -> Result<(), EngineError> {
        // One that is never started has to have a command all the same.
        let command = if command.is_empty() { &["-"] } else { command };
        let body = ContainerCreateBody {
            image: Some(format!("{}:{}", NOTHING.0, NOTHING.1)),
            cmd: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            env: Some(vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()]),
            host_config: Some(HostConfig {
                binds: Some(binds),
                mounts: Some(vec![Mount {
                    target: Some(INSIDE.to_owned()),
                    source: Some(volume.to_owned()),
                    typ: Some(MountType::VOLUME),
                    volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
                    ..Mount::default()
                }]),
                network_mode: Some("none".to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let made = self.docker().create_container(Some(options), body).await;
        made.map(drop).map_err(self.failed(&format!("make container `{name}`")))
    }
}
