//! A service's place on a target together with the ports that reach it: what phases, snapshots and probes work with.

use std::collections::BTreeMap;
use std::path::Path;

use pleach_core::config::EnvironmentValue;
use pleach_core::error::{Failure, Kind};
use pleach_core::phase::StepContext;
use pleach_core::port::{
    Call, Command, CommandOutput, FencingToken, FileKind, Files, Http, NoLines, Permissions, Secrets, Shell,
};
use pleach_core::snapshot::SnapshotContext;
use pleach_core::word::{ReleaseId, RunId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::container;
use super::instance::{InstanceState, told_status};
use super::layout::{ServiceLayout, release_number};
use super::parameter::{Place, word};
use super::release::ReleaseRecord;
use crate::mask::Mask;
use crate::process::{Identity, ProcessStat};
use crate::route::RouterRecord;
use crate::supervise::{Activity, InstanceRecord};

/// One service on one target, within reach.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) place: &'a Place,
    pub(super) run: &'a RunId,
    pub(super) files: &'a dyn Files,
    pub(super) shell: Option<&'a dyn Shell>,
    pub(super) http: Option<&'a dyn Http>,
    pub(super) call: Call<'a>,
}

impl<'a> Site<'a> {
    pub(super) fn of_step(cx: &StepContext<'a>, place: &'a Place) -> Result<Self, Failure> {
        let (shell, http) = (cx.target.shell(), cx.target.http());
        Ok(Self { place, run: cx.run, files: cx.require_files()?, shell, http, call: cx.call() })
    }

    pub(super) fn of_snapshot(cx: &SnapshotContext<'a>, place: &'a Place) -> Result<Self, Failure> {
        let (shell, http) = (cx.target.shell(), cx.target.http());
        let files = cx.target.files().ok_or_else(|| lacks(cx.target.id().as_str(), "keeps no files"))?;
        Ok(Self { place, run: cx.run, files, shell, http, call: cx.call() })
    }

    pub(super) fn layout(&self) -> ServiceLayout {
        self.place.layout()
    }

    pub(super) fn token(&self) -> Option<FencingToken> {
        self.call.token
    }

    pub(super) fn require_shell(&self) -> Result<&'a dyn Shell, Failure> {
        self.shell.ok_or_else(|| lacks(self.place.service.as_str(), "lies where no commands can be run"))
    }

    /// The release that `current` leads to; `None` if there is no such link. Something else by that name is a conflict.
    pub(super) async fn current(&self) -> Result<Option<ReleaseId>, Failure> {
        current(self.files, &self.layout()).await
    }

    pub(super) async fn record(&self, release: &ReleaseId) -> Result<Option<ReleaseRecord>, Failure> {
        read_json(self.files, &self.layout().record(release)).await
    }

    /// The record of a release that must be there.
    pub(super) async fn require_record(&self, release: &ReleaseId) -> Result<ReleaseRecord, Failure> {
        let layout = self.layout();
        self.record(release).await?.ok_or_else(|| {
            Failure::new(Kind::Conflict, format!("release `{release}` of `{}` is not there", self.place.service))
                .because(format!("`{}` does not exist", layout.record(release).display()))
                .next(format!("look with `{}`", self.place.typed(format!("ls {}", word(&layout.releases())))))
        })
    }

    pub(super) async fn write_json(&self, path: &Path, value: &(impl Serialize + Sync)) -> Result<(), Failure> {
        let bytes = serde_json::to_vec_pretty(value)
            .map_err(|error| Failure::new(Kind::Internal, "could not write a record").because(error.to_string()))?;
        if let Some(folder) = path.parent() {
            self.files.ensure_directory(folder, self.token()).await?;
        }
        self.files.write(path, &bytes, Permissions::Public, self.token()).await
    }

    pub(super) async fn instance(
        &self,
        release: &ReleaseId,
    ) -> Result<Option<(InstanceRecord, InstanceState)>, Failure> {
        instance(self.files, self.shell, &self.layout(), release).await
    }

    /// The record of a port's router that listens.
    pub(super) async fn router(&self, port: u16) -> Result<Option<RouterRecord>, Failure> {
        let record: Option<RouterRecord> = read_process_json(self.files, &self.layout().router(port)).await?;
        match record {
            Some(record) if listens(self.files, &record).await? => Ok(Some(record)),
            _ => Ok(None),
        }
    }

    /// Asks `supervise` or `route` on the target.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        words: [&str; 2],
        request: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        self.ask_with(&words, request).await
    }

    /// The same with more words than a command and its verb.
    pub(super) async fn ask_with<T: DeserializeOwned>(
        &self,
        words: &[&str],
        request: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        let program = self.place.program.to_string_lossy().into_owned();
        let mut command = Command::write([program.as_str()].iter().chain(words).copied());
        let bytes = serde_json::to_vec(request)
            .map_err(|error| Failure::new(Kind::Internal, "could not send a request").because(error.to_string()))?;
        command.stdin = Some(bytes.into());
        // Its answer is for this program; people get the step's own words, also where it was cut off.
        let quiet = Call { lines: &NoLines, ..self.call };
        let output = self.require_shell()?.run(&command, quiet).await.map_err(without_answer)?;
        let doing = format!("`{program} {}` {}", words.join(" "), told_status(output.status));
        crate::daemon::parse(&output.stdout).unwrap_or_else(|| {
            Err(Failure::new(Kind::UnknownOutcome, doing)
                .because("its answer could not be read")
                .next(format!(
                    "look with `{}` whether it is Pleach",
                    self.place.typed(format!("'{program}' --version"))
                ))
                .output(output.last_lines()))
        })
    }

    /// Runs a command of the service's own, and fails if it does not exit with 0.
    pub(super) async fn run_command(&self, command: &Command, doing: &str) -> Result<CommandOutput, Failure> {
        let output = self.require_shell()?.run(command, self.call).await?;
        if output.succeeded() {
            return Ok(output);
        }
        Err(Failure::new(Kind::Rejected, format!("could not {doing} of service `{}`", self.place.service))
            .because(format!("it {}", told_status(output.status)))
            .output(output.last_lines()))
    }

    /// The last lines that a release's process printed, without its secrets.
    pub(super) async fn last_lines(&self, release: &ReleaseId, secrets: &dyn Secrets) -> Vec<String> {
        let Ok(Some(record)) = self.record(release).await else { return Vec::new() };
        let lines = match record.spec.image {
            Some(_) => self.container_lines(release).await,
            None => {
                let log = self.files.read(&self.layout().log(release)).await;
                let bytes = log.ok().flatten().unwrap_or_default();
                let tail = &bytes[bytes.len().saturating_sub(16 * 1024)..];
                String::from_utf8_lossy(tail).lines().map(str::to_owned).collect()
            }
        };
        self.without_secrets(release, lines, secrets).await
    }

    /// What a release has printed, without its secrets. Nothing where these cannot be fetched: then it is not known what must
    /// not be shown.
    pub(super) async fn without_secrets(
        &self,
        release: &ReleaseId,
        lines: Vec<String>,
        secrets: &dyn Secrets,
    ) -> Vec<String> {
        let Ok(Some(record)) = self.record(release).await else { return Vec::new() };
        let Ok(variables) = self.variables(&record.spec, release, secrets).await else { return Vec::new() };
        let mask = Mask::of(crate::mask::secrets(variables.values()));
        lines.iter().map(|line| mask.text(line).into_owned()).collect()
    }
}

/// Of what a command printed that was cut off, its answer in JSON is for nobody.
fn without_answer(mut failure: Failure) -> Failure {
    failure.output.retain(|line| !line.starts_with('{'));
    failure
}

/// Asks the executable on the target for what changes nothing there.
pub(super) async fn ask_program<T: DeserializeOwned>(
    shell: &dyn Shell,
    program: &Path,
    words: &[&str],
    stdin: Option<Vec<u8>>,
    what: impl FnOnce() -> String,
) -> Result<T, Failure> {
    let program = program.to_string_lossy();
    let mut command = Command::read([&*program].iter().chain(words).copied());
    command.stdin = stdin.map(Into::into);
    let cancel = CancellationToken::new();
    let call = Call { token: None, lines: &NoLines, cancel: &cancel };
    let output = shell.run(&command, call).await.map_err(without_answer)?;
    crate::daemon::parse(&output.stdout).unwrap_or_else(|| {
        Err(Failure::new(Kind::UnknownOutcome, format!("could not {}", what()))
            .because(format!("the answer of `{program}` could not be read"))
            .output(output.last_lines()))
    })
}

fn lacks(name: &str, what: &str) -> Failure {
    Failure::new(Kind::Unsupported, format!("`{name}` {what}"))
}

pub(super) async fn current(files: &dyn Files, layout: &ServiceLayout) -> Result<Option<ReleaseId>, Failure> {
    let path = layout.current();
    let foreign = |what: String| {
        Failure::new(Kind::Conflict, format!("`{}` is not a link to a release", path.display()))
            .because(what)
            .next(format!("move it away: `mv '{0}' '{0}.old'`", path.display()))
    };
    match files.stat(&path).await?.map(|stat| stat.kind) {
        None => Ok(None),
        Some(FileKind::Symlink(target)) => match ServiceLayout::release_of(&target) {
            Some(release) => Ok(Some(release)),
            None => Err(foreign(format!("it leads to `{}`", target.display()))),
        },
        Some(_) => Err(foreign("it is no link at all".to_owned())),
    }
}

/// A JSON file; `None` if there is none. One that cannot be read is a failure: what it says matters.
pub(super) async fn read_json<T: DeserializeOwned>(files: &dyn Files, path: &Path) -> Result<Option<T>, Failure> {
    let Some(bytes) = files.read(path).await? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Failure::new(Kind::Rejected, format!("could not understand `{}`", path.display()))
            .because(error.to_string())
            .next(format!("look at it: `cat {}`", word(path)))
    })
}

/// A record of what runs. One of processes is not flushed, so a power cut may leave it empty: then none of them lives.
pub(super) async fn read_process_json<T: DeserializeOwned>(
    files: &dyn Files,
    path: &Path,
) -> Result<Option<T>, Failure> {
    match files.stat(path).await? {
        Some(stat) if stat.size > 0 => read_json(files, path).await,
        _ => Ok(None),
    }
}

/// Whether a folder below a target's root is a service's: every service that was touched has records.
pub(super) async fn is_service(files: &dyn Files, layout: &ServiceLayout) -> Result<bool, Failure> {
    let records = layout.directory().join(".pleach");
    Ok(files.stat(&records).await?.is_some_and(|stat| stat.kind == FileKind::Directory))
}

/// What a record and the machine say together of a release's process; a shell is needed where that is a container.
pub(super) async fn instance(
    files: &dyn Files,
    shell: Option<&dyn Shell>,
    layout: &ServiceLayout,
    release: &ReleaseId,
) -> Result<Option<(InstanceRecord, InstanceState)>, Failure> {
    let record: Option<InstanceRecord> = read_process_json(files, &layout.instance(release)).await?;
    let Some(record) = record else { return Ok(None) };
    if let Some(container) = record.container.as_ref().filter(|_| record.activity != Activity::Stopped) {
        let shell = shell.ok_or_else(|| lacks(record.service.as_str(), "lies where no engine can be asked"))?;
        let looked = container::look(shell, container, layout.directory(), release).await?;
        return Ok(looked.map(|looked| (looked.record, looked.state)));
    }
    let supervised = match &record.supervisor {
        Some(supervisor) => is_alive(files, supervisor).await?,
        None => false,
    };
    let serves = match &record.group {
        Some(group) => is_alive(files, &group.leader).await?,
        None => false,
    };
    let state = match (record.activity, supervised, serves) {
        (Activity::Stopped, ..) | (_, false, false) => InstanceState::Stopped,
        (_, false, true) => InstanceState::Orphaned,
        (Activity::Ending, true, _) => InstanceState::Ending,
        (Activity::Running, true, true) => InstanceState::Running,
        _ => InstanceState::Restarting,
    };
    Ok(Some((record, state)))
}

/// What the records of a service's processes tell.
#[derive(Default)]
pub(super) struct RunFolder {
    /// The routers that listen.
    pub(super) routers: Vec<RouterRecord>,
    /// The releases that have a record of a process, whatever became of it.
    pub(super) releases: Vec<ReleaseId>,
    /// Whether the target's proxy was told to lead to the service.
    pub(super) led: bool,
}

pub(super) async fn read_run_folder(files: &dyn Files, layout: &ServiceLayout) -> Result<RunFolder, Failure> {
    let RunFolder { mut routers, mut releases, mut led } = RunFolder::default();
    for stat in files.list(&layout.run()).await? {
        led |= layout.led().file_name().is_some_and(|name| name == stat.name.as_str());
        let Some(name) = stat.name.strip_suffix(".json") else { continue };
        if name.starts_with("router-") {
            let record: Option<RouterRecord> = read_process_json(files, &layout.run().join(&stat.name)).await?;
            if let Some(record) = record
                && listens(files, &record).await?
            {
                routers.push(record);
            }
        } else if release_number(name).is_some() {
            releases.extend(ReleaseId::new(name).ok());
        }
    }
    Ok(RunFolder { routers, releases, led })
}

/// Whether a router lives and takes connections.
pub(super) async fn listens(files: &dyn Files, record: &RouterRecord) -> Result<bool, Failure> {
    Ok(!record.leaving && is_alive(files, &record.router).await?)
}

/// Whether a process of the target lives, as its `/proc` says.
pub(super) async fn is_alive(files: &dyn Files, process: &Identity) -> Result<bool, Failure> {
    let boot = files.read(Path::new("/proc/sys/kernel/random/boot_id")).await?.unwrap_or_default();
    if String::from_utf8_lossy(&boot).trim() != process.boot {
        return Ok(false);
    }
    // A process that ends while it is read is gone.
    let stat = files.read(Path::new(&format!("/proc/{}/stat", process.pid))).await.unwrap_or_default();
    let stat = stat.and_then(|bytes| ProcessStat::parse(&String::from_utf8_lossy(&bytes)));
    Ok(stat.is_some_and(|stat| process.matches(&stat)))
}

/// The variables of a table, secrets fetched.
pub(super) async fn fetched(
    table: &BTreeMap<String, EnvironmentValue>,
    secrets: &dyn Secrets,
) -> Result<BTreeMap<String, pleach_core::port::Value>, Failure> {
    use pleach_core::port::Value;
    let mut variables = BTreeMap::new();
    for (name, value) in table {
        let value = match value {
            EnvironmentValue::Plain(text) => Value::Plain(text.clone()),
            EnvironmentValue::Secret { secret } => Value::Secret(secrets.fetch(secret).await?),
        };
        variables.insert(name.clone(), value);
    }
    Ok(variables)
}
