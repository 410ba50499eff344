//! A release's Compose project, within reach: what asks the `docker compose` of the target, and what it is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pleach_core::config::{CommandLine, ComposeConfig, EnvironmentValue, ServiceConfig};
use pleach_core::error::{Failure, Kind, OUTPUT_LINES};
use pleach_core::port::{
    Call, Command, CommandOutput, Effect, ExitStatus, ImageId, NoLines, Permissions, Secrets, Shell,
};
use tokio_util::sync::CancellationToken;

use super::compose::{compose_line, docker, logs_line, pinned_line, starting, written_files};
use super::composed::{Composed, MEMBER, Member, PINNED, STARTING, USUAL};
use super::instance::told_status;
use super::parameter::word;
use super::release::{ReleaseRecord, ReleaseSpec};
use super::site::Site;
use super::sudo::elevated;
use crate::ssh::quote_text;

/// The first one that pulls only what is missing.
const OLDEST: (u32, u32) = (2, 22);

/// What the project is before it is pinned. It may hold secrets: only its owner reads it.
const RESOLVED: &str = "compose.resolved.json";

/// Names the places of files that containers see, one a line. What lies in the release is copied to a place named after what it
/// holds: a container whose files did not change need not be made anew.
const KEEP: &str = r#"named=$1 keep=$2; shift 2
release=$(readlink -f -- "$named") || exit 1
home=${release%/releases/*}
for path do
    case $path in "$named" | "$named"/* | "$release" | "$release"/* | "$home"/*) ;; *) printf '%s\n' "$path"; continue ;; esac
    real=$(readlink -e -- "$path") || {
        printf '%s\n' "$path" >&2
        case $path in "$named"/* | "$release"/*) exit 44 ;; *) exit 45 ;; esac
    }
    case $real in
    "$release") printf '%s\n' "$named"; continue ;;
    "$release"/*) ;;
    "$home"/releases/* | "$home"/releases | "$home"/run/* | "$home"/.pleach/* | "$home") printf '%s\n' "$path" >&2; exit 45 ;;
    *) printf '%s\n' "$real"; continue ;;
    esac
    folder=${real%/*} name=${real##*/}
    digest=$(tar -C "$folder" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - -- "$name" | sha256sum) || exit 1
    kept=$keep/$(printf %.32s "$digest")
    if [ ! -d "$kept" ]; then
        rm -rf -- "$kept.partial" && mkdir -p -- "$kept.partial" && cp -a -- "$real" "$kept.partial/" &&
            sync && mv -- "$kept.partial" "$kept" || exit 1
    fi
    printf '%s\n' "$kept/$name"
done"#;

/// Removes what no release names any more.
const FORGET: &str = r#"cd -- "$1" 2>/dev/null || exit 0
for kept in *; do
    grep -qsF -- "/$kept/" "$2"/*/compose.pleach.json || rm -rf -- "$kept"
done"#;

/// One release's project.
pub(super) struct Project<'a> {
    site: &'a Site<'a>,
    record: &'a ReleaseRecord,
    compose: &'a ComposeConfig,
    secrets: &'a dyn Secrets,
}

impl<'a> Project<'a> {
    pub(super) fn of(site: &'a Site<'a>, record: &'a ReleaseRecord, secrets: &'a dyn Secrets) -> Result<Self, Failure> {
        let missing = || Failure::new(Kind::Internal, format!("release `{}` is no Compose project", record.release));
        let compose = record.spec.compose.as_ref().ok_or_else(missing)?;
        Ok(Self { site, record, compose, secrets })
    }

    pub(super) fn name(&self) -> &str {
        self.compose.project.as_deref().unwrap_or_default()
    }

    /// The services and their images, once they are pinned.
    pub(super) fn services(&self) -> &BTreeMap<String, ImageId> {
        static NONE: BTreeMap<String, ImageId> = BTreeMap::new();
        self.record.compose.as_ref().unwrap_or(&NONE)
    }

    /// The services that a name means.
    pub(super) fn part(&self, name: &str) -> Vec<&String> {
        self.compose.part(name, self.services().keys())
    }

    fn socket(&self) -> Option<&Path> {
        self.site.place.docker_socket.as_deref()
    }

    fn folder(&self) -> PathBuf {
        self.site.layout().release(&self.record.release)
    }

    /// A command about the project as a person types it.
    pub(super) fn typed(&self, verb: &str) -> String {
        let line = format!("{} compose -p {} {verb}", docker(self.socket()), self.name());
        self.site.place.typed(match &self.record.spec.sudo {
            Some(user) => format!("sudo -u {user} {line}"),
            None => line,
        })
    }

    /// What removes the containers of some services, as a person types it.
    pub(super) fn typed_removal(&self, services: &[&str], members: &[Member]) -> String {
        let of = members.iter().filter(|member| services.contains(&member.service()));
        let names: Vec<&str> = of.map(Member::name).collect();
        let line = format!("{} rm {}", docker(self.socket()), names.join(" "));
        self.site.place.typed(match &self.record.spec.sudo {
            Some(user) => format!("sudo -u {user} {line}"),
            None => line,
        })
    }

    async fn command(&self, line: String, effect: Effect) -> Result<Command, Failure> {
        let line = CommandLine::Line(line);
        Ok(Command { effect, ..self.site.service_command(&line, self.record, self.secrets).await? })
    }

    async fn ask(&self, line: String, effect: Effect) -> Result<CommandOutput, Failure> {
        let command = self.command(line, effect).await?;
        let command = self.site.as_user(command, self.record.spec.sudo.as_ref(), self.secrets).await?;
        self.site.require_shell()?.run(&command, self.site.call).await
    }

    fn failed(&self, doing: &str, output: &CommandOutput) -> Failure {
        let lines = output.last_lines();
        let because = lines.iter().rev().find(|line| !line.trim().is_empty()).cloned();
        Failure::new(Kind::Rejected, format!("could not {doing} of Compose project `{}`", self.name()))
            .because(because.unwrap_or_else(|| format!("`docker compose` {}", told_status(output.status))))
            .output(lines)
    }

    /// Runs a verb of `docker compose` about what is pinned.
    pub(super) async fn run(&self, verb: &str, doing: &str) -> Result<(), Failure> {
        let output = self.ask(pinned_line(self.socket(), self.compose, verb), Effect::Write).await?;
        if output.succeeded() {
            Ok(())
        } else {
            Err(self.failed(doing, &output).next(format!("see `{}`", self.typed("ps -a"))))
        }
    }

    /// All of its containers.
    pub(super) async fn members(&self) -> Result<Vec<Member>, Failure> {
        let command = looking(&self.record.spec, &members_line(self.socket(), self.name()));
        let command = self.site.as_user(command, self.record.spec.sudo.as_ref(), self.secrets).await?;
        let output = self.site.require_shell()?.run(&command, self.site.call).await?;
        read_members(&output, self.name())
            .map_err(|failure| failure.next(format!("look with `{}`", self.typed("ps -a"))))
    }

    /// What some services have printed last.
    pub(super) async fn last_lines(&self, services: &str) -> Vec<String> {
        let options = format!("--no-log-prefix --tail {OUTPUT_LINES} {services}");
        let output = self.ask(logs_line(self.socket(), self.compose, &options), Effect::Read).await;
        output.map(|output| output.last_lines()).unwrap_or_default()
    }

    /// Resolves it, gets its images, pins them and what containers see of the release, all in one file. Nothing that runs is
    /// touched.
    pub(super) async fn pin(&self) -> Result<BTreeMap<String, ImageId>, Failure> {
        self.require_compose().await?;
        self.require_own().await?;
        let files = self.require_files().await?;
        // Images are built of all that lies there, and what holds secrets must not be among it: also not what a killed attempt left.
        for stale in [RESOLVED, PINNED, STARTING] {
            self.site.files.remove(&self.folder().join(stale), self.site.token()).await?;
        }
        let mut composed = self.resolve(&files).await?;
        let names = composed.images(self.name());
        if names.is_empty() {
            return Err(Failure::new(Kind::Rejected, format!("Compose project `{}` has no services", self.name()))
                .because("the Compose files name none, or all of them belong to other profiles")
                .next(self.again("name the profile as `profiles` in `compose` of the service in `pleach.toml`")));
        }
        self.get_images(&composed).await?;
        let images = self.images(&names).await?;
        let paths = self.keep(composed.host_paths()).await?;
        composed.pin(&images, &paths);
        let (folder, token) = (self.folder(), self.site.token());
        let script = starting(self.socket(), self.compose, names.keys());
        self.site.files.write(&folder.join(STARTING), script.as_bytes(), Permissions::Public, token).await?;
        self.site.files.write(&folder.join(PINNED), &composed.to_bytes(), Permissions::Private, token).await?;
        Ok(images)
    }

    async fn require_compose(&self) -> Result<(), Failure> {
        let output = self.ask(version_line(self.socket()), Effect::Read).await?;
        let Err(because) = judge_version(&output) else { return Ok(()) };
        let install = self.site.place.typed("sudo apt-get install docker-compose-plugin".to_owned());
        Err(Failure::new(
            Kind::Rejected,
            format!("service `{}` cannot run as a Compose project", self.site.place.service),
        )
        .because(because)
        .next(self.again(&format!(
            "install it from Docker's packages with `{install}`, or Debian's `docker-compose` of 2.22 or newer"
        ))))
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

    /// Advice that holds as well where the release is taken back.
    fn again(&self, first: &str) -> String {
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

    async fn resolve(&self, files: &[PathBuf]) -> Result<Composed, Failure> {
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
        Composed::parse(&bytes).map_err(|error| {
            Failure::new(Kind::Rejected, format!("could not read the resolved Compose project `{}`", self.name()))
                .because(error.to_string())
        })
    }

    /// What is wrong with the Compose files, and where.
    async fn mistaken(&self, output: &CommandOutput, files: &[PathBuf]) -> Failure {
        let folder = format!("{}/", self.folder().display());
        let lines: Vec<String> = output.last_lines().into_iter().map(|line| line.replace(&folder, "")).collect();
        let because = lines.iter().rev().find(|line| !line.trim().is_empty()).cloned();
        let because = because.unwrap_or_else(|| format!("`docker compose config` {}", told_status(output.status)));
        let because = match self.place_of(&because, files).await {
            Some(place) => format!("{place}: {because}"),
            None => because,
        };
        Failure::new(Kind::Rejected, format!("Compose project `{}` cannot be resolved", self.name()))
            .because(because)
            .next(self.again("mend it on its branch"))
            .output(lines)
    }

    async fn place_of(&self, said: &str, files: &[PathBuf]) -> Option<String> {
        let named = said.strip_prefix("validating ").and_then(|rest| rest.split_once(": "));
        let [only] = files else {
            let (file, rest) = named?;
            return self.line_in(file, rest).await;
        };
        let only = only.to_string_lossy().into_owned();
        match (named, said.strip_prefix("yaml: line ").and_then(|rest| rest.split_once(':'))) {
            (Some((file, rest)), _) => self.line_in(file, rest).await,
            (None, Some((line, _))) => Some(format!("`{only}`, line {line}")),
            _ => None,
        }
    }

    async fn line_in(&self, file: &str, said: &str) -> Option<String> {
        let text = self.site.files.read(&self.folder().join(file)).await.ok()??;
        let line = line_of(&String::from_utf8_lossy(&text), said)?;
        Some(format!("`{file}`, line {line}"))
    }

    async fn get_images(&self, composed: &Composed) -> Result<(), Failure> {
        let line = |verb: &str| compose_line(self.socket(), self.name(), &written_files(self.compose), verb);
        if composed.is_built() {
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

    /// The digests that names lead to, each of them given a name that keeps it.
    async fn images(&self, names: &BTreeMap<String, String>) -> Result<BTreeMap<String, ImageId>, Failure> {
        let docker = docker(self.socket());
        let words: Vec<String> = names.values().map(|name| quote_text(name)).collect();
        let inspect = format!("{docker} image inspect --format '{{{{.Id}}}}' {}", words.join(" "));
        let output = self.ask(inspect, Effect::Read).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let ids: Vec<ImageId> = text.lines().filter_map(|line| ImageId::new(line.trim()).ok()).collect();
        if !output.succeeded() || ids.len() != names.len() {
            return Err(self
                .failed("find the images", &output)
                .next(self.again("see whether somebody removes images there")));
        }
        let images: BTreeMap<String, ImageId> = names.keys().cloned().zip(ids).collect();
        let front = self.site.place.image_name(&self.record.release);
        let tags = images.values().map(|image| format!("{docker} tag {image} {front}-{}", image.short()));
        let output = self.ask(tags.collect::<Vec<_>>().join(" && "), Effect::Write).await?;
        if output.succeeded() { Ok(images) } else { Err(self.failed("keep the images", &output)) }
    }

    /// Where containers find what they saw in the release.
    async fn keep(&self, paths: Vec<PathBuf>) -> Result<BTreeMap<PathBuf, PathBuf>, Failure> {
        if paths.is_empty() {
            return Ok(BTreeMap::new());
        }
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut argv: Vec<String> = ["sh", "-c", KEEP, "pleach"].map(str::to_owned).to_vec();
        argv.extend([text(&self.folder()), text(&self.site.layout().kept_mounts())]);
        argv.extend(paths.iter().map(|path| text(path)));
        let output = self.site.require_shell()?.run(&Command::write(argv), self.site.call).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        let path = said.trim();
        let (folder, releases) = (self.folder(), self.site.layout().releases());
        let path = match (Path::new(path).strip_prefix(&folder), Path::new(path).strip_prefix(&releases)) {
            (Ok(inside), _) => inside.to_owned(),
            (_, Ok(beside)) => Path::new("..").join(beside),
            _ => path.into(),
        };
        let path = path.display();
        let wrong = |because: &str, instead: String| {
            let what = format!("a container of Compose project `{}` cannot have `{path}`", self.name());
            Err(Failure::new(Kind::Rejected, what).because(because).because(instead))
        };
        match output.status {
            ExitStatus::Code(0) => {}
            ExitStatus::Code(44) => {
                return wrong(
                    "the commit does not have it, so each release would begin with an empty one",
                    format!(
                        "`shared = [\"{path}/\"]` in `pleach.toml` has all releases share it, as a named volume does"
                    ),
                );
            }
            ExitStatus::Code(45) => {
                return wrong(
                    "it leads out of the release, to where Pleach keeps its own files",
                    "it has to be in the service's directory, an absolute path, or a named volume".to_owned(),
                );
            }
            _ => return Err(self.failed("keep the files", &output)),
        }
        let kept = String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect::<Vec<_>>();
        Ok(paths.into_iter().zip(kept).collect())
    }
}

impl Site<'_> {
    /// Whether all images of a release's project are there; tells which is not.
    pub(super) async fn missing_image(&self, record: &ReleaseRecord) -> Result<Option<String>, Failure> {
        let Some(images) = &record.compose else { return Ok(None) };
        let words: Vec<&str> = images.values().map(ImageId::as_str).collect();
        let docker = docker(self.place.docker_socket.as_deref());
        let line = format!("{docker} image inspect --format '{{{{.Id}}}}' {}", words.join(" "));
        let output = self.require_shell()?.run(&unasked(&record.spec, &line), self.call).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let gone = images.iter().find(|(_, image)| !text.contains(image.as_str()));
        Ok(gone.map(|(service, image)| format!("{} of `{service}`", image.short())))
    }

    /// Removes the names that keep the images of a release's project, and what of files none needs any more.
    pub(super) async fn remove_project(&self, record: &ReleaseRecord) -> Result<(), Failure> {
        let docker = docker(self.place.docker_socket.as_deref());
        let front = self.place.image_name(&record.release);
        let names =
            format!("{docker} image ls --filter 'reference={front}-*' --format '{{{{.Repository}}}}:{{{{.Tag}}}}'");
        // An image that something uses keeps its name: so it is found.
        let line = format!("names=$({names}) || exit 1; for name in $names; do {docker} rmi \"$name\" || :; done");
        let command = Command { effect: Effect::Write, ..unasked(&record.spec, &line) };
        let output = self.require_shell()?.run(&command, self.call).await?;
        if output.succeeded() {
            return Ok(());
        }
        Err(Failure::new(Kind::Rejected, format!("could not give up the images of release `{}`", record.release))
            .because(output.last_lines().pop().unwrap_or_else(|| told_status(output.status)))
            .output(output.last_lines()))
    }

    /// Removes what containers saw of releases that are gone.
    pub(super) async fn forget_mounts(&self) -> Result<(), Failure> {
        let layout = self.layout();
        let (kept, releases) = (layout.kept_mounts(), layout.releases());
        let argv =
            ["sh", "-c", FORGET, "pleach", &kept.to_string_lossy(), &releases.to_string_lossy()].map(str::to_owned);
        self.run_command(&Command::write(argv), "remove files that no release needs").await.map(drop)
    }
}

fn version_line(socket: Option<&Path>) -> String {
    format!("{} compose version --short", docker(socket))
}

/// The version, or what is wrong with it.
fn judge_version(output: &CommandOutput) -> Result<String, String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim().trim_start_matches('v');
    let mut parts = version.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
    match (output.succeeded(), parts.next(), parts.next()) {
        (true, Some(major), Some(minor)) if (major, minor) >= OLDEST => Ok(version.to_owned()),
        (true, Some(_), _) => {
            Err(format!("`docker compose` there is {version}, and {}.{} is needed", OLDEST.0, OLDEST.1))
        }
        _ => {
            let lines = output.last_lines();
            let said = lines.iter().find(|line| !line.trim().is_empty()).cloned().unwrap_or_default();
            // Without the plugin `docker` takes what stands behind `compose` for its own.
            let unknown = ["unknown flag", "not a docker command", "unknown command"];
            Err(match unknown.iter().any(|words| said.contains(words)) {
                true => "`docker` there knows no `compose`".to_owned(),
                false => format!("`docker compose` cannot be run there: {}", said.trim()),
            })
        }
    }
}

/// The version of `docker compose` that a service's project is run by, or what is wrong with it.
///
/// # Errors
/// The target could not be asked.
pub async fn compose_version(
    shell: &dyn Shell,
    service: &ServiceConfig,
    socket: Option<&Path>,
) -> Result<Result<String, String>, Failure> {
    let command = plain(&service.environment, &version_line(socket));
    let cancel = CancellationToken::new();
    let output = shell.run(&command, Call { token: None, lines: &NoLines, cancel: &cancel }).await?;
    Ok(judge_version(&output))
}

/// The containers of the project that a release has, where nothing is known but its record.
pub(super) async fn members_of(shell: &dyn Shell, spec: &ReleaseSpec) -> Result<Vec<Member>, Failure> {
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
        let said = output.last_lines().into_iter().rev().find(|line| !line.trim().is_empty());
        return Err(failed(said.unwrap_or_else(|| format!("`docker` {}", told_status(output.status)))));
    }
    Member::parse(&String::from_utf8_lossy(&output.stdout)).map_err(|error| failed(error.to_string()))
}

/// A line of a release's project as whoever may, if `sudo` asks for nothing.
pub(super) fn unasked(spec: &ReleaseSpec, line: &str) -> Command {
    match &spec.sudo {
        Some(user) => elevated(looking(spec, line), user, None),
        None => looking(spec, line),
    }
}

/// A line that only looks at the engine.
fn looking(spec: &ReleaseSpec, line: &str) -> Command {
    plain(&spec.variables, line)
}

/// With those variables that are no secrets.
fn plain(variables: &BTreeMap<String, EnvironmentValue>, line: &str) -> Command {
    let mut command = Command::read(["sh", "-c", line]);
    for (name, value) in variables {
        if let EnvironmentValue::Plain(text) = value {
            command = command.variable(name, text);
        }
    }
    command
}

/// The line that lists the containers of a project.
pub(super) fn members_line(socket: Option<&Path>, project: &str) -> String {
    let docker = docker(socket);
    let list = format!(
        "ids=$({docker} ps -aq --filter label=com.docker.compose.project={project} \
         --filter label=com.docker.compose.oneoff=False) || exit 1"
    );
    // One of them may be gone in between.
    let inspect = format!("{{ [ -z \"$ids\" ] || {docker} inspect --format '{MEMBER}' $ids; }}");
    format!("{list}; seen=$({inspect}) || {{ {list}; seen=$({inspect}) || exit 1; }}; printf '%s\\n' \"$seen\"")
}

/// The line of a YAML text that a message like `services.web Additional property x is not allowed` is about.
fn line_of(text: &str, said: &str) -> Option<usize> {
    let path = said.split_whitespace().next()?;
    let property = said.strip_prefix(path)?.trim().strip_prefix("Additional property ");
    let keys = path.split('.').chain(property.and_then(|rest| rest.split_whitespace().next()));
    let mut lines = text.lines().enumerate();
    let mut found = None;
    for key in keys {
        let is_key = |line: &str| {
            line.trim()
                .trim_start_matches(['"', '\''])
                .strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
        };
        match lines.find(|(_, line)| is_key(line)) {
            Some((at, _)) => found = Some(at + 1),
            None => break,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_mistake_is_found_by_its_key() {
        let text = "services:\n  web:\n    image: x\n  db:\n    image: y\n    comand: z\n";
        assert_eq!(line_of(text, "services.db Additional property comand is not allowed"), Some(6));
        assert_eq!(line_of(text, "services.db.image must be a string"), Some(5));
        assert_eq!(line_of(text, "volumes must be a mapping"), None);
    }
}
