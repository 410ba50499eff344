//! A release's Compose project, within reach: what asks the `docker compose` of the target, and what it is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pleach_core::config::{CommandLine, ComposeConfig, EnvironmentValue};
use pleach_core::error::{Failure, Kind, OUTPUT_LINES};
use pleach_core::port::{
    Call, Command, CommandOutput, Containers, Effect, Files, ImageId, NoLines, Permissions, ProjectImages, Secrets,
    Shell,
};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::line::{compose_line, docker, images_line, logs_line, members_line, pinned_line, starting, written_files};
use super::member::Member;
use super::proven::place_in_registry;
use super::resolved::{PINNED, Resolved, STARTING, USUAL};
use crate::directory::instance::told_status;
use crate::directory::layout::ServiceLayout;
use crate::directory::parameter::word;
use crate::directory::release::{ReleaseRecord, ReleaseSpec};
use crate::directory::site::Site;
use crate::directory::sudo::elevated;
use crate::local::hex;

/// What the project is before it is pinned. It may hold secrets: only its owner reads it.
const RESOLVED: &str = "compose.resolved.json";

/// All that is written into a release beside what its commit has.
pub(in crate::directory) const WRITTEN: [&str; 3] = [RESOLVED, PINNED, STARTING];

/// What a project has been pinned to.
pub(in crate::directory) struct Pinned {
    pub(in crate::directory) images: BTreeMap<String, ImageId>,
    /// Where registries have those of them that one has.
    pub(in crate::directory) registry: BTreeMap<String, String>,
    /// What those are called that it builds.
    pub(in crate::directory) called: BTreeMap<String, String>,
    /// The SHA-256 of the file.
    pub(in crate::directory) digest: String,
}

/// One release's project.
pub(in crate::directory) struct Project<'a> {
    pub(super) site: &'a Site<'a>,
    pub(super) record: &'a ReleaseRecord,
    compose: &'a ComposeConfig,
    secrets: &'a dyn Secrets,
}

impl<'a> Project<'a> {
    pub(in crate::directory) fn of(
        site: &'a Site<'a>,
        record: &'a ReleaseRecord,
        secrets: &'a dyn Secrets,
    ) -> Result<Self, Failure> {
        let missing = || Failure::new(Kind::Internal, format!("release `{}` is no Compose project", record.release));
        let compose = record.spec.compose.as_ref().ok_or_else(missing)?;
        Ok(Self { site, record, compose, secrets })
    }

    pub(in crate::directory) fn name(&self) -> &str {
        self.compose.project.as_deref().unwrap_or_default()
    }

    /// The services and their images, once they are pinned.
    pub(in crate::directory) fn services(&self) -> &BTreeMap<String, ImageId> {
        static NONE: BTreeMap<String, ImageId> = BTreeMap::new();
        self.record.compose.as_ref().unwrap_or(&NONE)
    }

    /// The services that a name means.
    pub(in crate::directory) fn part(&self, name: &str) -> Vec<&String> {
        self.compose.part(name, self.services().keys())
    }

    pub(super) fn socket(&self) -> Option<&Path> {
        self.site.place.docker_socket.as_deref()
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.site.layout().release(&self.record.release)
    }

    /// A command about the project as a person types it.
    pub(in crate::directory) fn typed(&self, verb: &str) -> String {
        self.typed_as(format!("{} compose -p {} {verb}", docker(self.socket()), self.name()))
    }

    /// What removes the containers of some services, as a person types it.
    pub(in crate::directory) fn typed_removal(&self, services: &[&str], members: &[Member]) -> String {
        let of = members.iter().filter(|member| services.contains(&member.service()));
        let names: Vec<&str> = of.map(Member::name).collect();
        self.typed_as(format!("{} rm {}", docker(self.socket()), names.join(" ")))
    }

    fn typed_as(&self, line: String) -> String {
        let user = self.record.spec.sudo.as_ref();
        self.site.place.typed(user.map_or_else(|| line.clone(), |user| format!("sudo -u {user} {line}")))
    }

    async fn command(&self, line: String, effect: Effect) -> Result<Command, Failure> {
        let line = CommandLine::Line(line);
        Ok(Command { effect, ..self.site.service_command(&line, self.record, self.secrets).await? })
    }

    pub(super) async fn ask(&self, line: String, effect: Effect) -> Result<CommandOutput, Failure> {
        let command = self.command(line, effect).await?;
        self.run_as(command).await
    }

    /// As whoever may ask the engine.
    async fn run_as(&self, command: Command) -> Result<CommandOutput, Failure> {
        let command = self.site.as_user(command, self.record.spec.sudo.as_ref(), self.secrets).await?;
        self.site.require_shell()?.run(&command, self.site.call).await
    }

    pub(super) fn failed(&self, doing: &str, output: &CommandOutput) -> Failure {
        Failure::new(Kind::Rejected, format!("could not {doing} of Compose project `{}`", self.name()))
            .because(last_word(output))
            .output(output.last_lines())
    }

    /// Runs a verb of `docker compose` about what is pinned.
    pub(in crate::directory) async fn run(&self, verb: &str, doing: &str) -> Result<(), Failure> {
        let output = self.ask(pinned_line(self.socket(), self.compose, verb), Effect::Write).await?;
        if output.succeeded() {
            Ok(())
        } else {
            Err(self.failed(doing, &output).next(format!("see `{}`", self.typed("ps -a"))))
        }
    }

    /// All of its containers.
    pub(in crate::directory) async fn members(&self) -> Result<Vec<Member>, Failure> {
        let line = members_line(self.socket(), self.name());
        let output = self.run_as(plain(&self.record.spec.variables, &line)).await?;
        read_members(&output, self.name())
            .map_err(|failure| failure.next(format!("look with `{}`", self.typed("ps -a"))))
    }

    /// What some services have printed last.
    pub(in crate::directory) async fn last_lines(&self, services: &str) -> Vec<String> {
        let options = format!("--no-log-prefix --tail {OUTPUT_LINES} {services}");
        let output = self.ask(logs_line(self.socket(), self.compose, &options), Effect::Read).await;
        output.map(|output| output.last_lines()).unwrap_or_default()
    }

    /// Resolves it, gets its images, pins them and what containers see of the release, all in one file. Nothing that runs is
    /// touched.
    ///
    /// With images that were proven elsewhere, these are taken as they are.
    pub(in crate::directory) async fn pin(
        &self,
        proven: Option<(&ProjectImages, &dyn Containers)>,
    ) -> Result<Pinned, Failure> {
        self.require_compose().await?;
        self.require_own().await?;
        let files = self.require_files().await?;
        // Images are built of all that lies there, and what holds secrets must not be among it: also not what a killed attempt left.
        for stale in WRITTEN {
            self.site.files.remove(&self.folder().join(stale), self.site.token()).await?;
        }
        let mut resolved = self.resolve(&files).await?;
        let names = resolved.images(self.name());
        if names.is_empty() {
            return Err(Failure::new(Kind::Rejected, format!("Compose project `{}` has no services", self.name()))
                .because("the Compose files name none, or all of them belong to other profiles")
                .next(self.again("name the profile as `profiles` in `compose` of the service in `pleach.toml`")));
        }
        self.require_containers(&names)?;
        let (images, registry) = match proven {
            Some((proven, containers)) => {
                let images = self.take_proven(&resolved, &names, proven, containers).await?;
                let place = |name: &String| Some((name.clone(), proven.get(name)?.registry.clone()?));
                (images, names.keys().filter_map(place).collect())
            }
            None => {
                self.get_images(&resolved).await?;
                self.images(&resolved, &names).await?
            }
        };
        self.keep_images(&images).await?;
        let paths = self.keep(resolved.host_paths()).await?;
        let called = resolved.called(self.name());
        resolved.pin(&images, &paths);
        let (folder, token) = (self.folder(), self.site.token());
        let script = starting(self.socket(), self.compose, names.keys());
        self.site.files.write(&folder.join(STARTING), script.as_bytes(), Permissions::Public, token).await?;
        let pinned = resolved.to_bytes();
        self.site.files.write(&folder.join(PINNED), &pinned, Permissions::Private, token).await?;
        Ok(Pinned { images, registry, called, digest: hex(&Sha256::digest(&pinned)) })
    }

    /// No container of this project was started from elsewhere.
    async fn require_own(&self) -> Result<(), Failure> {
        let home = self.site.place.directory.join("releases");
        let members = self.members().await?;
        let Some(other) = members.iter().find(|member| !member.directory().starts_with(&home)) else { return Ok(()) };
        let from = other.directory().display();
        let down =
            self.site.place.typed(format!("cd {} && docker compose -p {} down", word(other.directory()), self.name()));
        Err(Failure::new(Kind::Conflict, format!("Compose project `{}` is run by somebody else", self.name()))
            .because(format!("its container `{}` was started from `{from}`", other.name()))
            .next(
                self.again(&format!(
                    "name another `project` in `pleach.toml`, or end that, its volumes stay: `{down}`"
                )),
            ))
    }

    /// Scripts that run in a container name services that are there.
    fn require_containers(&self, names: &BTreeMap<String, String>) -> Result<(), Failure> {
        let spec = &self.record.spec;
        let missing = spec.scripts.iter().find_map(|script| {
            let container = script.container.as_ref().filter(|container| !names.contains_key(*container))?;
            Some((&script.name, container))
        });
        let Some((script, container)) = missing else { return Ok(()) };
        let there = names.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        Err(Failure::new(Kind::Rejected, format!("script `{script}` of service `{}` cannot be run", spec.service))
            .because(format!("Compose project `{}` has no service `{container}`: it has {there}", self.name()))
            .next(self.again("name one of them as its `container` in `pleach.toml`")))
    }

    /// Advice that holds as well where the release is taken back.
    pub(super) fn again(&self, first: &str) -> String {
        format!("{first}; then `pleach deploy {}`", self.record.spec.environment)
    }

    /// `docker compose` would look for them in the folders above as well.
    async fn require_files(&self) -> Result<Vec<PathBuf>, Failure> {
        let folder = self.folder();
        for file in &self.compose.files {
            if self.site.files.stat(&folder.join(file)).await?.is_none() {
                return Err(self.no_file(format!("the commit has no `{}`", file.display())));
            }
        }
        if !self.compose.files.is_empty() {
            return Ok(self.compose.files.clone());
        }
        for file in USUAL {
            if self.site.files.stat(&folder.join(file)).await?.is_some() {
                return Ok(vec![file.into()]);
            }
        }
        Err(self.no_file(format!("the commit has none of {}", USUAL.map(|name| format!("`{name}`")).join(", "))))
    }

    fn no_file(&self, because: String) -> Failure {
        let service = &self.site.place.service;
        Failure::new(Kind::Rejected, format!("there is no Compose file of service `{service}`")).because(because).next(
            self.again(
                "name them from the service's directory as `files` in `compose` of the service in `pleach.toml`",
            ),
        )
    }

    async fn resolve(&self, files: &[PathBuf]) -> Result<Resolved, Failure> {
        // Through a file: of what a command prints, secrets are taken out.
        let config = compose_line(None, self.name(), &written_files(self.compose), "config --format json");
        let command = self.command(format!("umask 077; {config} >{RESOLVED}"), Effect::Write).await?;
        let output = self.site.require_shell()?.run(&command, self.site.call).await?;
        if !output.succeeded() {
            return Err(self.mistaken(&output, files).await);
        }
        let path = self.folder().join(RESOLVED);
        let bytes = self.site.files.read(&path).await?.unwrap_or_default();
        self.site.files.remove(&path, self.site.token()).await?;
        Resolved::parse(&bytes).map_err(|error| {
            Failure::new(Kind::Rejected, format!("could not read the resolved Compose project `{}`", self.name()))
                .because(error.to_string())
        })
    }

    async fn get_images(&self, resolved: &Resolved) -> Result<(), Failure> {
        let line = |verb: &str| compose_line(self.socket(), self.name(), &written_files(self.compose), verb);
        if resolved.is_built() {
            let output = self.ask(line("build --quiet"), Effect::Write).await?;
            if !output.succeeded() {
                return Err(self.failed("build the images", &output).next(self.again("mend it on its branch")));
            }
        }
        let pull = format!("pull --quiet --ignore-buildable --policy {}", self.compose.pull.as_str());
        let output = self.ask(line(&pull), Effect::Write).await?;
        if output.succeeded() {
            return Ok(());
        }
        let login = self.site.place.typed("docker login".to_owned());
        Err(self.failed("pull the images", &output).next(self.again(&format!("where it asks for a login, `{login}`"))))
    }

    /// The digests that names lead to, and where registries have them.
    async fn images(
        &self,
        resolved: &Resolved,
        names: &BTreeMap<String, String>,
    ) -> Result<(BTreeMap<String, ImageId>, BTreeMap<String, String>), Failure> {
        let line = images_line(self.socket(), names.values().map(String::as_str));
        let output = self.ask(line, Effect::Read).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let seen = |line: &str| {
            let (id, places) = line.trim().split_once(' ').unwrap_or((line.trim(), "[]"));
            let places: Option<Vec<String>> = serde_json::from_str(places).ok()?;
            Some((ImageId::new(id).ok()?, places.unwrap_or_default()))
        };
        let seen: Vec<(ImageId, Vec<String>)> = text.lines().filter_map(seen).collect();
        if !output.succeeded() || seen.len() != names.len() {
            return Err(self
                .failed("find the images", &output)
                .next(self.again("see whether somebody removes images there")));
        }
        let (mut images, mut registry) = (BTreeMap::new(), BTreeMap::new());
        for ((name, image), (id, places)) in names.iter().zip(seen) {
            images.insert(name.clone(), id);
            // Some engines note a place also for what they have built themselves.
            if let Some(place) = place_in_registry(image, &places).filter(|_| !resolved.is_own(name)) {
                registry.insert(name.clone(), place);
            }
        }
        Ok((images, registry))
    }

    /// Gives each of them a name that keeps it.
    async fn keep_images(&self, images: &BTreeMap<String, ImageId>) -> Result<(), Failure> {
        let (docker, front) = (docker(self.socket()), self.site.place.image_name(&self.record.release));
        let tags = images.values().map(|image| format!("{docker} tag {image} {front}-{}", image.short()));
        let output = self.ask(tags.collect::<Vec<_>>().join(" && "), Effect::Write).await?;
        if output.succeeded() { Ok(()) } else { Err(self.failed("keep the images", &output)) }
    }

    /// Which of its images is not there any more; none where all are.
    pub(in crate::directory) async fn missing_image(&self) -> Result<Option<String>, Failure> {
        let line = images_line(self.socket(), self.services().values().map(ImageId::as_str));
        let output = self.ask(line, Effect::Read).await?;
        missing(self.services(), &output)
            .map_err(|()| self.failed("see the images", &output).next(format!("look with `{}`", self.typed("images"))))
    }

    /// Removes the names that keep its images.
    pub(in crate::directory) async fn give_up_images(&self) -> Result<(), Failure> {
        let (docker, front) = (docker(self.socket()), self.site.place.image_name(&self.record.release));
        let names =
            format!("{docker} image ls --filter 'reference={front}-*' --format '{{{{.Repository}}}}:{{{{.Tag}}}}'");
        // An image that something uses keeps its name: so it is found.
        let line = format!("names=$({names}) || exit 1; for name in $names; do {docker} rmi \"$name\" || :; done");
        let command = Command { effect: Effect::Write, ..plain(&self.record.spec.variables, &line) };
        let output = self.run_as(command).await?;
        if output.succeeded() { Ok(()) } else { Err(self.failed("give up the images", &output)) }
    }
}

/// What is wrong with the file that a release is pinned in, if anything is.
pub(in crate::directory) async fn pinned_fault(
    files: &dyn Files,
    layout: &ServiceLayout,
    record: &ReleaseRecord,
) -> Result<Option<String>, Failure> {
    let path = layout.release(&record.release).join(PINNED);
    let Some(bytes) = files.read(&path).await? else { return Ok(Some(format!("`{}` is not there", path.display()))) };
    let is = hex(&Sha256::digest(&bytes));
    let other = record.pinned.as_ref().filter(|wanted| **wanted != is);
    Ok(other.map(|wanted| {
        format!("`{}` was changed since: its SHA-256 begins with {:.12}, not {wanted:.12}", path.display(), is)
    }))
}

/// Which image is not among those that an answer to [`images_line`] tells of; fails where that says nothing of it.
pub(super) fn missing(images: &BTreeMap<String, ImageId>, output: &CommandOutput) -> Result<Option<String>, ()> {
    if output.succeeded() {
        return Ok(None);
    }
    if !String::from_utf8_lossy(&output.stderr).to_lowercase().contains("no such image") {
        return Err(());
    }
    let there = String::from_utf8_lossy(&output.stdout);
    let gone = images.iter().find(|(_, image)| !there.contains(image.as_str()));
    Ok(gone.map(|(service, image)| format!("{} of `{service}`", image.short())))
}

/// Which image of a release's project is not there any more, where nothing is known but its record.
pub(in crate::directory) async fn missing_image_of(
    shell: &dyn Shell,
    spec: &ReleaseSpec,
    images: &BTreeMap<String, ImageId>,
) -> Result<Option<String>, Failure> {
    let line = images_line(spec.docker_socket.as_deref(), images.values().map(ImageId::as_str));
    let cancel = CancellationToken::new();
    let call = Call { token: None, lines: &NoLines, cancel: &cancel };
    let output = shell.run(&unasked(spec, &line), call).await?;
    missing(images, &output).map_err(|()| {
        Failure::new(Kind::Rejected, "could not see the images of a Compose project")
            .because(last_word(&output))
            .output(output.last_lines())
    })
}

/// The last that a command said, or else how it ended.
pub(super) fn last_word(output: &CommandOutput) -> String {
    let said = output.last_lines().into_iter().rev().find(|line| !line.trim().is_empty());
    said.unwrap_or_else(|| format!("it {}", told_status(output.status)))
}

/// The containers of the project that a release has, where nothing is known but its record.
pub(in crate::directory) async fn members_of(shell: &dyn Shell, spec: &ReleaseSpec) -> Result<Vec<Member>, Failure> {
    let name = spec.compose.as_ref().and_then(|compose| compose.project.as_deref()).unwrap_or_default();
    let command = unasked(spec, &members_line(spec.docker_socket.as_deref(), name));
    let cancel = CancellationToken::new();
    let output = shell.run(&command, Call { token: None, lines: &NoLines, cancel: &cancel }).await?;
    read_members(&output, name)
}

fn read_members(output: &CommandOutput, project: &str) -> Result<Vec<Member>, Failure> {
    let failed = |because: String| {
        Failure::new(Kind::Rejected, format!("could not see the containers of Compose project `{project}`"))
            .because(because)
            .output(output.last_lines())
    };
    if !output.succeeded() {
        return Err(failed(last_word(output)));
    }
    Member::parse(&String::from_utf8_lossy(&output.stdout)).map_err(|error| failed(error.to_string()))
}

/// A line about a release's project as whoever may, if `sudo` asks for nothing.
pub(in crate::directory) fn unasked(spec: &ReleaseSpec, line: &str) -> Command {
    let command = plain(&spec.variables, line);
    match &spec.sudo {
        Some(user) => elevated(command, user, None),
        None => command,
    }
}

/// A line that only looks, with those variables that are no secrets.
pub(super) fn plain(variables: &BTreeMap<String, EnvironmentValue>, line: &str) -> Command {
    let mut command = Command::read(["sh", "-c", line]);
    for (name, value) in variables {
        if let EnvironmentValue::Plain(text) = value {
            command = command.variable(name, text);
        }
    }
    command
}
