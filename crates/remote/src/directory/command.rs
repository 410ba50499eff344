//! Which command of the service's own was run last, where something else keeps the service running.
//!
//! What such a command does cannot be seen from outside, so it is written down: before it is run, and again once it has
//! exited with 0. A step that finds its own command ended does not run it again, and one that is taken back runs nothing
//! where nothing was run.
//!
//! | written | `start` or `stop` of a release | is taken back by |
//! |---|---|---|
//! | nothing, or of another run | was not run by this one | nothing |
//! | begun | may have been run | its counterpart |
//! | ended | was run | its counterpart |

use std::path::Path;

use pleach_core::config::CommandLine;
use pleach_core::error::Failure;
use pleach_core::port::{Files, Secrets};
use pleach_core::word::{ReleaseId, RunId};
use serde::{Deserialize, Serialize};

use super::layout::ServiceLayout;
use super::parameter::word;
use super::release::{ReleaseRecord, ReleaseSpec};
use super::site::{Site, read_json};
use crate::ssh::quote_words;

/// A command of the service's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ServiceCommand {
    Build,
    Start,
    Stop,
}

impl ServiceCommand {
    /// What the config calls it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }

    /// Its line, if the release has one.
    pub(super) fn line(self, spec: &ReleaseSpec) -> Option<&CommandLine> {
        match self {
            Self::Build => spec.build.as_ref(),
            Self::Start => spec.start.as_ref(),
            Self::Stop => spec.stop.as_ref(),
        }
    }
}

/// How far the last one has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Progress {
    Begun,
    Ended,
}

/// The one that was run last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LastCommand {
    pub(super) command: ServiceCommand,
    pub(super) release: ReleaseId,
    pub(super) run: RunId,
    pub(super) progress: Progress,
}

impl LastCommand {
    /// Whether it is this one and has come to its end.
    pub(super) fn has_ended(&self, command: ServiceCommand, release: &ReleaseId) -> bool {
        self.command == command && self.release == *release && self.progress == Progress::Ended
    }
}

/// Whether `release` has a `start` command and something else than that was run last: the service was stopped, or its start
/// never came to its end. Nothing written says nothing.
pub(super) async fn is_halted(
    files: &dyn Files,
    layout: &ServiceLayout,
    record: &ReleaseRecord,
) -> Result<bool, Failure> {
    let last: Option<LastCommand> = read_json(files, &layout.last_command()).await?;
    let started = |last: LastCommand| last.has_ended(ServiceCommand::Start, &record.release);
    Ok(record.spec.start.is_some() && !last.is_none_or(started))
}

/// A command as a person types it on the target.
pub(super) fn typed(line: &CommandLine, user: Option<&String>, directory: &Path) -> String {
    let line = match (line, user) {
        (CommandLine::Line(line), None) => line.clone(),
        // All of a line is the other user's, also behind a `;`.
        (line, user) => {
            let front = user.map(|user| ["sudo".to_owned(), "-u".to_owned(), user.clone()]);
            let words = front.into_iter().flatten().chain(line.argv());
            quote_words(&words.collect::<Vec<_>>())
        }
    };
    format!("cd {} && {line}", word(directory))
}

impl Site<'_> {
    /// What this run has run last; `None` if that was nothing.
    pub(super) async fn own_last_command(&self) -> Result<Option<LastCommand>, Failure> {
        let last: Option<LastCommand> = read_json(self.files, &self.layout().last_command()).await?;
        Ok(last.filter(|last| last.run == *self.run))
    }

    /// Runs `start` or `stop` of a release and writes it down; tells what was seen.
    pub(super) async fn run_noted(
        &self,
        command: ServiceCommand,
        line: &CommandLine,
        record: &ReleaseRecord,
        secrets: &dyn Secrets,
    ) -> Result<String, Failure> {
        let path = self.layout().last_command();
        let (release, run) = (record.release.clone(), self.run.clone());
        let mut last = LastCommand { command, release, run, progress: Progress::Begun };
        self.write_json(&path, &last).await?;
        let seen = self.run_line(command, line, record, secrets).await?;
        last.progress = Progress::Ended;
        self.write_json(&path, &last).await?;
        Ok(seen)
    }

    /// Runs a command of a release; tells what was seen.
    pub(super) async fn run_line(
        &self,
        command: ServiceCommand,
        line: &CommandLine,
        record: &ReleaseRecord,
        secrets: &dyn Secrets,
    ) -> Result<String, Failure> {
        let ready = self.service_command(line, record, secrets).await?;
        let user = record.spec.sudo.as_ref().filter(|_| command != ServiceCommand::Build);
        let ready = self.as_user(ready, user, secrets).await?;
        let doing = format!("run the `{}` command `{line}`", command.word());
        let directory = self.layout().release(&record.release);
        self.run_command(&ready, &doing).await.map_err(|failure| {
            let there = self.place.typed(typed(line, user, &directory));
            failure.next(format!("see what it says by hand: `{there}`"))
        })?;
        Ok(format!("`{line}` exited with 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_is_told_to_type_is_the_same_command_as_the_same_user() {
        let line = CommandLine::Line("systemctl reset-failed x; systemctl restart x".into());
        let words = CommandLine::Words(["echo", "it's"].map(str::to_owned).to_vec());
        let (here, root) = (Path::new("/srv/x"), "root".to_owned());
        assert_eq!(typed(&line, None, here), "cd /srv/x && systemctl reset-failed x; systemctl restart x");
        let elevated = "cd /srv/x && sudo -u root sh -c 'systemctl reset-failed x; systemctl restart x'";
        assert_eq!(typed(&line, Some(&root), here), elevated);
        assert_eq!(typed(&words, None, here), r"cd /srv/x && echo 'it'\''s'");
    }
}
