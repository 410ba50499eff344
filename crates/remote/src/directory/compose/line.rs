//! The lines that ask the `docker compose` of a target, and `docker` itself. Pure.

use std::path::{Path, PathBuf};

use pleach_core::config::{CommandLine, ComposeConfig};

use super::member::MEMBER;
use super::resolved::{PINNED, STARTING};
use crate::docker::label::COMPOSE_PROJECT;
use crate::ssh::quote_text;

/// `docker compose` of a project, in front of its verb. `files` is what stands between.
pub(super) fn compose_line(socket: Option<&Path>, project: &str, files: &str, verb: &str) -> String {
    format!("{} compose -p {project} {files} {verb}", docker(socket))
}

/// `docker` for the engine of the target.
pub(super) fn docker(socket: Option<&Path>) -> String {
    match socket {
        Some(socket) => format!("DOCKER_HOST={} docker", quote_text(&format!("unix://{}", socket.display()))),
        None => "docker".to_owned(),
    }
}

/// The files and profiles as the config names them.
pub(super) fn written_files(compose: &ComposeConfig) -> String {
    let profiles = compose.profiles.iter().map(|profile| format!("--profile {}", quote_text(profile)));
    std::iter::once(files_words(&compose.files)).chain(profiles).collect::<Vec<_>>().join(" ")
}

/// These files alone.
pub(super) fn files_words(files: &[PathBuf]) -> String {
    files.iter().map(|file| format!("-f {}", quote_text(&file.to_string_lossy()))).collect::<Vec<_>>().join(" ")
}

/// A verb about what is pinned in the release.
pub(super) fn pinned_line(socket: Option<&Path>, compose: &ComposeConfig, verb: &str) -> String {
    compose_line(socket, compose.project.as_deref().unwrap_or_default(), &format!("-f {PINNED}"), verb)
}

/// What its services have printed.
pub(in crate::directory) fn logs_line(socket: Option<&Path>, compose: &ComposeConfig, options: &str) -> String {
    // Some versions clear each line of a terminal even where there is none, whatever they are told.
    pinned_line(socket, compose, &format!("logs --no-color {options} 2>&1 | sed 's/^\x1b\\[2K//'"))
}

/// What starts and stops a release with a project.
pub(in crate::directory) fn commands(socket: Option<&Path>, compose: &ComposeConfig) -> [CommandLine; 2] {
    [format!("sh {STARTING}"), pinned_line(socket, compose, "stop")].map(CommandLine::Line)
}

/// The text of [`STARTING`]: what other releases have started and this one has not would be in its way.
pub(super) fn starting<'a>(
    socket: Option<&Path>,
    compose: &ComposeConfig,
    services: impl Iterator<Item = &'a String>,
) -> String {
    let project = compose.project.as_deref().unwrap_or_default();
    let names: String = services.map(|name| format!("{name} ")).collect();
    let (docker, up) = (docker(socket), pinned_line(socket, compose, "up -d --no-build --pull never"));
    format!(
        r#"# Starts this release of Compose project `{project}`, and stops what other releases have started and this one has not.
export COMPOSE_IGNORE_ORPHANS=1
{docker} ps --filter label={COMPOSE_PROJECT}={project} --filter label=com.docker.compose.oneoff=False \
    --format '{{{{.ID}}}} {{{{.Label "com.docker.compose.service"}}}} {{{{.Label "com.docker.compose.project.config_files"}}}}' |
while read -r id service file; do
    case $file in */{PINNED}) ;; *) continue ;; esac
    case ' {names}' in *" $service "*) ;; *) {docker} stop "$id" >/dev/null || exit 1 ;; esac
done || exit 1
{up}
"#
    )
}

/// The line that lists the containers of a project.
pub(super) fn members_line(socket: Option<&Path>, project: &str) -> String {
    let docker = docker(socket);
    let list = format!(
        "ids=$({docker} ps -aq --filter label={COMPOSE_PROJECT}={project} \
         --filter label=com.docker.compose.oneoff=False) || exit 1"
    );
    // One of them may be gone in between.
    let inspect = format!("{{ [ -z \"$ids\" ] || {docker} inspect --format '{MEMBER}' $ids; }}");
    format!("{list}; seen=$({inspect}) || {{ {list}; seen=$({inspect}) || exit 1; }}; printf '%s\\n' \"$seen\"")
}

/// The line that tells the digests that names of images lead to, and behind each where registries have it, one a line.
pub(super) fn images_line<'a>(socket: Option<&Path>, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(quote_text).collect();
    format!("{} image inspect --format '{{{{.Id}}}} {{{{json .RepoDigests}}}}' {}", docker(socket), names.join(" "))
}
