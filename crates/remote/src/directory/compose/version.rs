//! Whether the `docker compose` of a target can run projects.

use std::path::Path;

use pleach_core::config::ServiceConfig;
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Call, CommandOutput, Effect, NoLines, Shell};
use tokio_util::sync::CancellationToken;

use super::line::docker;
use super::project::{Project, plain};

/// The first one that pulls only what is missing.
const OLDEST: (u32, u32) = (2, 22);

impl Project<'_> {
    pub(super) async fn require_compose(&self) -> Result<(), Failure> {
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
