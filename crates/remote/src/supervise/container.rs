//! Releases whose process is a container: their engine keeps it running, so they have no supervisor.
//!
//! The record is written before the container is made, so whoever ends the release finds it. All changes are made while the
//! instance's lock is held; nobody else holds it for longer than such a change takes.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pleach_core::error::{Failure, Kind, quote_path};
use pleach_core::word::ReleaseId;

use super::child::{free_port, has_release};
use super::record::{Activity, ContainerRecord, InstanceRecord, Looked, MadeOf};
use super::request::{ContainerRequest, ImageRequest, RemoveRequest, StartRequest, Stopped};
use crate::daemon::{cannot_lock, lock_file};
use crate::directory::{InstanceState, ServiceLayout};
use crate::docker::{
    Container, ContainerSpec, ContainerState, Engine, EngineError, EngineWay, Printed, Published, how_it_ended, label,
};

/// Where what runs in a container listens, and where the engine leads there from.
const INSIDE: &str = "0.0.0.0";
const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How long another starter or stopper may take.
const OTHER: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A port that was free is sometimes taken before the engine has it.
const PORTS: u32 = 3;

/// Has a release's container run; does nothing where it does.
pub(super) fn start(request: &StartRequest, container: &ContainerRequest) -> Result<InstanceRecord, Failure> {
    let layout = ServiceLayout::new(&request.directory);
    if !has_release(&layout.release(&request.release)) {
        let because = format!("there is no directory `{}`", layout.release(&request.release).display());
        return Err(Failure::new(Kind::Rejected, format!("could not start release `{}`", request.release))
            .because(because)
            .next(format!("look with `ls -la {}`", quote_path(&request.directory))));
    }
    let _lock = locked(&layout.instance_lock(&request.release), &request.release)?;
    run(async {
        let engine = Engine::connect(EngineWay::socket(&container.socket)).await?;
        Starting { request, container, layout, engine }.start().await
    })
}

struct Starting<'a> {
    request: &'a StartRequest,
    container: &'a ContainerRequest,
    layout: ServiceLayout,
    engine: Engine,
}

impl Starting<'_> {
    async fn start(&self) -> Result<InstanceRecord, Failure> {
        let name = &self.container.name;
        let there = self.engine.container(name).await?;
        if let Some(there) = &there {
            self.require_own(there)?;
        }
        let mut record = self.record();
        if let Some(there) = there.as_ref().filter(|there| there.is_up()) {
            // Whose run it is stays: this one has not started it.
            return match self.earlier().filter(|earlier| earlier.activity == Activity::Running) {
                Some(mut earlier) => {
                    fill(&mut earlier, there);
                    Ok(earlier)
                }
                None => self.note_running(record, there),
            };
        }
        let mut wanted = there.as_ref().and_then(published);
        for last in (1..=PORTS).map(|attempt| attempt == PORTS) {
            record.port = free_port(&record.host, wanted.take()).map_err(|error| self.no_port(&error))?;
            record.activity = Activity::Waiting;
            self.save(&record)?;
            match self.make_and_start(record.port).await {
                Ok(container) => return self.note_running(record, &container),
                Err(error) if last || !is_taken(record.port) => return Err(error.into()),
                Err(_) => {}
            }
        }
        Err(Failure::new(Kind::Internal, format!("could not start release `{}`", self.request.release)))
    }

    /// What an earlier attempt has made with another port, or what has another value of a secret, gives way: nothing of it runs.
    async fn make_and_start(&self, port: u16) -> Result<Container, EngineError> {
        let (name, spec) = (&self.container.name, self.spec(port));
        match self.engine.ensure_container(&spec).await {
            Err(EngineError::Conflict { .. }) => {
                self.engine.ensure_no_container(name).await?;
                self.engine.ensure_container(&spec).await?;
            }
            made => drop(made?),
        }
        self.engine.ensure_started(name).await?;
        self.engine.require_container(name).await
    }

    fn spec(&self, port: u16) -> ContainerSpec {
        let (request, container) = (self.request, self.container);
        let mut variables = request.variables.clone();
        variables.insert("HOST".into(), INSIDE.into());
        variables.extend(container.port.map(|port| ("PORT".to_owned(), port.to_string())));
        let (directory, port_text) = (request.directory.to_string_lossy(), port.to_string());
        let labels = label::labels([
            (label::ENVIRONMENT, Some(container.environment.as_str())),
            (label::SERVICE, Some(request.service.as_str())),
            (label::RELEASE, Some(request.release.as_str())),
            (label::RUN, Some(container.made_by.as_str())),
            (label::DIRECTORY, Some(&*directory)),
            (label::PORT, Some(port_text.as_str())),
        ]);
        ContainerSpec {
            name: container.name.clone(),
            image: container.image.clone(),
            command: container.command.clone(),
            variables,
            labels,
            ports: container
                .port
                .map(|inside| Published { container: inside, host: PRIVATE, port })
                .into_iter()
                .collect(),
            memory: container.memory.map(|size| size.0),
            millicpus: container.millicpus,
            volumes: container.volumes.clone(),
            network: None,
        }
    }

    /// Something else of that name is somebody's.
    fn require_own(&self, there: &Container) -> Result<(), Failure> {
        let directory = self.request.directory.to_string_lossy();
        if there.labels.get(label::DIRECTORY).is_some_and(|text| *text == *directory) {
            return Ok(());
        }
        Err(Failure::new(Kind::Conflict, format!("container `{}` is in the way", there.name))
            .because("Pleach has not made it for this directory")
            .state("it is left as it is")
            .next(format!(
                "look with `docker inspect {0}`, and rename it with `docker rename {0} {0}-old`",
                there.name
            )))
    }

    fn earlier(&self) -> Option<InstanceRecord> {
        InstanceRecord::load(&self.layout.instance(&self.request.release))
    }

    fn record(&self) -> InstanceRecord {
        InstanceRecord {
            service: self.request.service.clone(),
            release: self.request.release.clone(),
            run: self.request.run.clone(),
            activity: Activity::Waiting,
            supervisor: None,
            container: Some(ContainerRecord {
                name: self.container.name.clone(),
                socket: self.container.socket.clone(),
                program: self.container.program.clone(),
            }),
            group: None,
            host: PRIVATE.to_string(),
            port: self.earlier().map_or(0, |record| record.port),
            restarts: 0,
            last_end: None,
            killed: false,
            health: None,
            pid: None,
            since: Timestamp::now(),
        }
    }

    fn note_running(&self, mut record: InstanceRecord, container: &Container) -> Result<InstanceRecord, Failure> {
        record.port = published(container).unwrap_or(record.port);
        record.activity = Activity::Running;
        fill(&mut record, container);
        self.save(&record)?;
        Ok(record)
    }

    fn save(&self, record: &InstanceRecord) -> Result<(), Failure> {
        save(&self.layout, record)
    }

    fn no_port(&self, error: &std::io::Error) -> Failure {
        Failure::new(Kind::Rejected, format!("could not start release `{}`", self.request.release))
            .because(format!("no port of {PRIVATE} is free: {error}"))
            .next("see what listens with `ss -ltn`")
    }
}

fn save(layout: &ServiceLayout, record: &InstanceRecord) -> Result<(), Failure> {
    let path = layout.instance(&record.release);
    record.save(&path).map_err(|error| {
        Failure::new(Kind::Rejected, format!("could not write `{}`", path.display()))
            .because(error.to_string())
            .next(format!("make room, or make it writable: `df -h {}`", quote_path(&layout.run())))
    })
}

/// The port that a container was made with: what one that does not run publishes, its engine does not say.
fn published(container: &Container) -> Option<u16> {
    container.labels.get(label::PORT)?.parse().ok()
}

/// Whether somebody else has a port that the engine was to lead to a container: it has no code of its own for that.
fn is_taken(port: u16) -> bool {
    TcpListener::bind((PRIVATE, port)).is_err()
}

/// What the engine knows better than whoever wrote the record.
fn fill(record: &mut InstanceRecord, container: &Container) {
    record.restarts = u32::try_from(container.restarts).unwrap_or(u32::MAX);
    if let Some(since) = container.started.as_ref().and_then(|text| text.parse().ok()) {
        record.since = since;
    }
    if let ContainerState::Restarting { code, out_of_memory } | ContainerState::Ended { code, out_of_memory, .. } =
        &container.state
    {
        record.last_end = Some(how_it_ended(*code, *out_of_memory));
    }
}

/// Reads a release's record, and asks the engine where its process is a container that was not ended; `None` without a
/// record. Changes nothing.
pub(super) fn look(directory: &Path, release: &ReleaseId) -> Result<Option<Looked>, Failure> {
    let layout = ServiceLayout::new(directory);
    let Some(mut record) = InstanceRecord::load(&layout.instance(release)) else { return Ok(None) };
    let Some(container) = record.container.clone().filter(|_| record.activity != Activity::Stopped) else {
        return Ok(Some(Looked { record, state: InstanceState::Stopped, made: None }));
    };
    let found = run(async {
        let engine = Engine::connect(EngineWay::socket(&container.socket)).await?;
        Ok(engine.container(&container.name).await?)
    })?;
    let state = match found.as_ref().map(|found| &found.state) {
        Some(ContainerState::Running | ContainerState::Paused) => InstanceState::Running,
        Some(ContainerState::Restarting { .. }) => InstanceState::Restarting,
        _ => InstanceState::Stopped,
    };
    if let Some(found) = &found {
        fill(&mut record, found);
        record.health = found.health.clone().filter(|_| found.runs());
        record.pid = found.pid;
    }
    let made = found.map(|found| MadeOf { image: found.image, labels: found.labels });
    Ok(Some(Looked { record, state, made }))
}

/// What a release's container printed, each line with the time of it: `[COUNT|all [SINCE]]`.
pub(super) fn lines(
    directory: &Path,
    release: &ReleaseId,
    mut arguments: impl Iterator<Item = String>,
) -> Result<Printed, Failure> {
    let record = InstanceRecord::load(&ServiceLayout::new(directory).instance(release));
    let Some(container) = record.and_then(|record| record.container) else { return Ok(Printed::default()) };
    let count = arguments.next().and_then(|count| count.parse().ok());
    let since = arguments.next().filter(|since| !since.is_empty());
    run(async {
        let engine = Engine::connect(EngineWay::socket(&container.socket)).await?;
        match engine.printed(&container.name, count, since.as_deref()).await {
            Err(error) if error.is_not_found() => Ok(Printed::default()),
            printed => Ok(printed?),
        }
    })
}

/// Ends a release's container and keeps it: whoever goes back to the release starts it as it was. The caller holds the
/// instance's lock.
pub(super) fn stop(
    record: &mut InstanceRecord,
    container: &ContainerRecord,
    grace: Duration,
) -> Result<Stopped, Failure> {
    run(async {
        let engine = Engine::connect(EngineWay::socket(&container.socket)).await?;
        let before = engine.container(&container.name).await?;
        let was_running = before.is_some_and(|before| before.is_up());
        let begun = Instant::now();
        engine.ensure_stopped(&container.name, grace).await?;
        record.killed = was_running && begun.elapsed() >= grace;
        Ok(Stopped { was_running, drained: true, killed: record.killed })
    })
}

/// Ends a release's container and starts it again.
pub(super) fn again(layout: &ServiceLayout, mut record: InstanceRecord, grace: Duration) -> Result<(), Failure> {
    let Some(container) = record.container.clone() else { return Ok(()) };
    let _lock = locked(&layout.instance_lock(&record.release), &record.release)?;
    let found = run(async {
        let engine = Engine::connect(EngineWay::socket(&container.socket)).await?;
        engine.ensure_stopped(&container.name, grace).await?;
        engine.ensure_started(&container.name).await?;
        Ok(engine.require_container(&container.name).await?)
    })?;
    fill(&mut record, &found);
    save(layout, &record)
}

/// Gives an image of this machine's engine a name, so that nobody takes it for one that nothing needs.
pub(super) fn name_image(request: &ImageRequest) -> Result<(), Failure> {
    run(async {
        let engine = Engine::connect(EngineWay::socket(&request.socket)).await?;
        Ok(engine.ensure_name(&request.image, &request.name).await?)
    })
}

/// Removes a release's container and the name of its image, and with it the image where nothing else needs it. Volumes stay.
pub(super) fn remove(request: &RemoveRequest) -> Result<(), Failure> {
    let layout = ServiceLayout::new(&request.directory);
    let _lock = locked(&layout.instance_lock(&request.release), &request.release)?;
    run(async {
        let engine = Engine::connect(EngineWay::socket(&request.socket)).await?;
        let own = label::labels([
            (label::DIRECTORY, Some(&*request.directory.to_string_lossy())),
            (label::RELEASE, Some(request.release.as_str())),
        ]);
        if let Some(there) = engine.container(&request.container).await?
            && has_all(&there.labels, &own)
        {
            engine.ensure_stopped(&request.container, Duration::ZERO).await?;
            engine.ensure_no_container(&request.container).await?;
        }
        match engine.ensure_no_image(&request.image_name).await {
            // Somebody runs a container of theirs on it: it is theirs now.
            Err(EngineError::Conflict { .. }) => Ok(()),
            removed => Ok(removed?),
        }
    })
}

fn has_all(labels: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// Waits for whoever changes the same release at this moment.
fn locked(path: &Path, release: &ReleaseId) -> Result<File, Failure> {
    let (lock, begun) = (lock_file(path)?, Instant::now());
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(error)) => return Err(cannot_lock(path, &error)),
            Err(TryLockError::WouldBlock) if begun.elapsed() > OTHER => {
                return Err(Failure::new(Kind::Conflict, format!("release `{release}` is being started or stopped"))
                    .because(format!("`{}` is locked by something that does not end", path.display()))
                    .next(format!("look with `fuser {}`", quote_path(path))));
            }
            Err(TryLockError::WouldBlock) => sleep(LOOK_AGAIN),
        }
    }
}

pub(super) fn run<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed = |error: std::io::Error| {
        Failure::new(Kind::Transient, "could not begin to speak to the Docker engine").because(error.to_string())
    };
    runtime.map_err(failed)?.block_on(work)
}
