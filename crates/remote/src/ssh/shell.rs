//! Commands on a host.
//!
//! A command that may change the target carries its lease's token past the target's fence and has an identity there, so
//! that [`SshShell::fate`], [`SshShell::wait`] and [`SshShell::end`] can speak of it after the link was lost, also from
//! another process. One that only looks leaves no trace: it also runs where the disk is full or read-only.
//!
//! When the future of a run is dropped, what it started is ended by a task of its own; a process that exits at that very
//! moment leaves the command to the target's fence.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pleach_core::error::{Explain, Failure, Kind};
use pleach_core::port::{Call, Command, CommandOutput, Effect, ExitStatus, FencingToken, Shell, Stream, Value};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::execution::{Execution, Feed, Finish, Session, Sink, Twice};
use super::fate::{CommandId, Fate, Force, Whom, end, end_all, fate};
use super::link::{Link, LinkError};
use super::quote::quote_text;
use super::wrapper::{Passage, command_line};
use crate::local::{FenceError, Output};
use crate::mask::{Mask, MaskedLines};

/// The longest pause between two questions whether a command still runs.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why a command did not run, or is not known to have run.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// There is no way to the host.
    #[error("could not run anything on `{host}`")]
    Link {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: LinkError,
    },
    /// There is no such program.
    #[error("could not start `{program}` on `{host}`: there is no such program")]
    NotFound {
        /// The program.
        program: String,
        /// The host.
        host: String,
    },
    /// There is no such directory to run it in.
    #[error("could not start `{program}` on `{host}`: there is no directory `{directory}`")]
    NoDirectory {
        /// The program.
        program: String,
        /// The host.
        host: String,
        /// The directory.
        directory: PathBuf,
    },
    /// The target's fence does not let it through.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// The target cannot guard itself.
    #[error("`{host}` cannot guard `{root}`: {why}")]
    Unguarded {
        /// The host.
        host: String,
        /// The target's root.
        root: PathBuf,
        /// What is wrong.
        why: &'static str,
        /// What mends it.
        mend: String,
    },
    /// Somebody asked what became of it before it started.
    #[error("`{program}` was not started on `{host}`: it was withdrawn before")]
    Withdrawn {
        /// The program.
        program: String,
        /// The host.
        host: String,
    },
    /// The login shell runs no commands.
    #[error("the login shell on `{host}` does not run commands")]
    NoWrapper {
        /// The host.
        host: String,
        /// What it printed instead.
        output: Vec<String>,
    },
    /// A text that no process can be given.
    #[error("{what} cannot be handed to a program on `{host}`")]
    Unspeakable {
        /// What it is.
        what: String,
        /// The host.
        host: String,
    },
    /// The link broke while a command ran.
    #[error("the connection to `{host}` was lost while `{program}` ran")]
    Lost {
        /// The host.
        host: String,
        /// The program.
        program: String,
        /// Its identity there, if it may have changed something.
        id: Option<CommandId>,
        /// What it printed last.
        output: Vec<String>,
    },
    /// The link broke while the host was asked about a command.
    #[error("the connection to `{host}` was lost before it answered")]
    AskLost {
        /// The host.
        host: String,
    },
    /// The host answers nonsense.
    #[error("`{host}` gave an answer that makes no sense: `{text}`")]
    Answer {
        /// The host.
        host: String,
        /// The answer.
        text: String,
    },
    /// Somebody asked for its end.
    #[error("`{program}` was ended on `{host}` before it was done")]
    Cancelled {
        /// The program.
        program: String,
        /// The host.
        host: String,
        /// What it printed last.
        output: Vec<String>,
    },
    /// There was nothing to run.
    #[error("a command has no program")]
    Empty,
}

impl ShellError {
    pub(super) fn no_wrapper(host: String, noise: &[u8]) -> Self {
        let output = String::from_utf8_lossy(noise).lines().map(str::to_owned).collect();
        Self::NoWrapper { host, output }
    }
}

impl Explain for ShellError {
    fn kind(&self) -> Kind {
        match self {
            Self::Link { source, .. } => source.kind(),
            Self::Fence(source) => source.kind(),
            Self::Lost { id: Some(_), .. } => Kind::UnknownOutcome,
            Self::Lost { id: None, .. } | Self::AskLost { .. } => Kind::Transient,
            Self::Cancelled { .. } | Self::Withdrawn { .. } => Kind::Cancelled,
            Self::Empty | Self::Unspeakable { .. } => Kind::Internal,
            Self::NotFound { .. }
            | Self::NoDirectory { .. }
            | Self::Unguarded { .. }
            | Self::NoWrapper { .. }
            | Self::Answer { .. } => Kind::Rejected,
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Link { source, .. } => source.state(),
            Self::Fence(source) => source.state(),
            Self::Lost { id: Some(id), .. } => Some(format!("it may still run there, as `{id}`, or have ended")),
            Self::Lost { id: None, .. } => Some("nothing was changed: it was only to look".into()),
            Self::NotFound { .. }
            | Self::NoDirectory { .. }
            | Self::Unguarded { .. }
            | Self::Withdrawn { .. }
            | Self::NoWrapper { .. } => Some("nothing was changed by this call".into()),
            _ => None,
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Link { source, .. } => source.next(),
            Self::Fence(source) => source.next(),
            Self::NotFound { program, host } => {
                Some(format!("look with `ssh {} command -v {}`", quote_text(host), quote_text(program)))
            }
            Self::NoDirectory { host, directory, .. } => Some(format!(
                "look with `ssh {} ls -ld {}`",
                quote_text(host),
                quote_text(&directory.to_string_lossy())
            )),
            Self::Unguarded { mend, .. } => Some(mend.clone()),
            Self::NoWrapper { host, .. } | Self::Answer { host, .. } => {
                Some(format!("look with `ssh {} echo yes`", quote_text(host)))
            }
            Self::Lost { host, .. } | Self::AskLost { host } => {
                Some(format!("look whether it answers: `ssh {} uptime`", quote_text(host)))
            }
            _ => None,
        }
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Link { source, .. } => source.output(),
            Self::NoWrapper { output, .. } | Self::Lost { output, .. } | Self::Cancelled { output, .. } => {
                output.clone()
            }
            _ => Vec::new(),
        }
    }
}

/// Runs commands on a host; writes pass the fence of the target's root.
#[derive(Clone, Debug)]
pub struct SshShell {
    link: Arc<Link>,
    root: PathBuf,
    /// Registrations whose end was told and that can be cleared away with the next write.
    seen: Arc<Mutex<Vec<String>>>,
}

struct Lines<'a> {
    call: Call<'a>,
    stdout: Output,
    stderr: Output,
}

impl Sink for Lines<'_> {
    fn take(&mut self, stream: Stream, chunk: &[u8]) {
        let output = if stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
        output.take(chunk, self.call.lines);
    }
}

impl SshShell {
    /// A shell on the host behind `link`, for a target whose root there is `root`, absolute.
    pub fn new(link: Arc<Link>, root: impl Into<PathBuf>) -> Self {
        Self { link, root: root.into(), seen: Arc::default() }
    }

    /// The way to the host.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// The target's root on the host.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Runs `command` under a name of the caller's: write it down first, and whoever reads it can ask what became of the
    /// command. A command that only looks has no name.
    pub async fn run_as(&self, id: &CommandId, command: &Command, call: Call<'_>) -> Result<CommandOutput, ShellError> {
        let mask = Mask::of_command(command);
        let lines = MaskedLines { mask: &mask, lines: call.lines };
        let call = Call { lines: &lines, ..call };
        let mut sink = Lines { call, stdout: Output::new(Stream::Stdout), stderr: Output::new(Stream::Stderr) };
        let feed = command.stdin.clone().map_or(Feed::Nothing, Feed::Bytes);
        let finish = self.execute(id, command, feed, call.token, &mut sink, call.cancel).await;
        let (stdout, stderr) = (sink.stdout.finish(call.lines), sink.stderr.finish(call.lines));
        let (stdout, stderr) = (mask.bytes(stdout), mask.bytes(stderr));
        let output = |status| CommandOutput { status, stdout, stderr };
        let (program, host) = (command.argv.first().cloned().unwrap_or_default(), self.link.host().to_owned());
        match finish? {
            Ran::Exited(status) => Ok(output(status)),
            Ran::Cancelled => {
                Err(ShellError::Cancelled { program, host, output: output(ExitStatus::Code(0)).last_lines() })
            }
            Ran::Lost => {
                let id = (command.effect == Effect::Write).then(|| id.clone());
                Err(ShellError::Lost { host, program, id, output: output(ExitStatus::Code(0)).last_lines() })
            }
        }
    }

    /// What became of the command with this name. One that has not started will not start any more.
    pub async fn fate(&self, id: &CommandId) -> Result<Fate, ShellError> {
        fate(&self.link, &self.root, id).await
    }

    /// Waits until the command with this name runs no more, or until `cancel` asks to stop waiting.
    pub async fn wait(&self, id: &CommandId, cancel: &CancellationToken) -> Result<Fate, ShellError> {
        let mut pause = Duration::from_millis(20);
        loop {
            let fate = self.fate(id).await?;
            if fate != Fate::Running {
                return Ok(fate);
            }
            tokio::select! {
                () = cancel.cancelled() => return Ok(Fate::Running),
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }

    /// Ends the command with this name and all that it started, and tells what became of it: it may have ended before.
    pub async fn end(&self, id: &CommandId) -> Result<Fate, ShellError> {
        let whom = Whom::Registered { root: self.root.clone(), id: id.clone() };
        end(&self.link, &whom, Force::Kill).await?;
        self.fate(id).await
    }

    /// Ends all commands below the root that still run.
    pub(super) async fn end_all(&self) -> Result<(), ShellError> {
        end_all(&self.link, &self.root).await
    }

    /// Runs a command and hands on what it prints as it comes.
    pub(super) async fn execute(
        &self,
        id: &CommandId,
        command: &Command,
        feed: Feed,
        token: Option<FencingToken>,
        sink: &mut dyn Sink,
        cancel: &CancellationToken,
    ) -> Result<Ran, ShellError> {
        let host = self.link.host().to_owned();
        self.require_speakable(command)?;
        let marker = CommandId::new().to_string();
        let mut registered = None;
        let line = match command.effect {
            Effect::Read => command_line(command, None, &marker),
            Effect::Write => {
                let token = token.ok_or_else(|| FenceError::NoLease { root: self.root.clone() })?;
                registered = Some(Whom::Registered { root: self.root.clone(), id: id.clone() });
                let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
                let passage = Passage { root: &self.root, token, id: &id.to_string(), seen: &seen };
                command_line(command, Some(&passage), &marker)
            }
        };
        let session = if command.alone { Session::Own } else { Session::Shared(Twice::Allowed) };
        let started = Execution::start(&self.link, line, marker, feed, registered, session).await;
        let execution = started.map_err(|source| ShellError::Link { host: host.clone(), source })?;
        let finish = execution.finish(sink, cancel).await;
        if command.effect == Effect::Write && !matches!(finish, Finish::Lost) {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(id.to_string());
        }
        match finish {
            Finish::Exited(status) => Ok(Ran::Exited(status)),
            Finish::Cancelled => Ok(Ran::Cancelled),
            Finish::Lost => Ok(Ran::Lost),
            Finish::NoWrapper(noise) => Err(ShellError::no_wrapper(host, &noise)),
            Finish::Refused(word) => {
                let program = command.argv.first().cloned().unwrap_or_default();
                let directory = command.directory.clone().unwrap_or_default();
                Err(self.refusal(&word, program, directory, token))
            }
        }
    }

    /// What the wrapper's word for not starting a command means.
    pub(super) fn refusal(
        &self,
        word: &str,
        program: String,
        directory: PathBuf,
        token: Option<FencingToken>,
    ) -> ShellError {
        let (host, root) = (self.link.host().to_owned(), self.root.clone());
        let (word, rest) = word.split_once(' ').unwrap_or((word, ""));
        let look = |what: &str| {
            format!("look with `ssh {} {what} {}`", quote_text(&host), quote_text(&root.to_string_lossy()))
        };
        let unguarded = |why, mend| ShellError::Unguarded { host: host.clone(), root: root.clone(), why, mend };
        match word {
            "directory" => ShellError::NoDirectory { program, host, directory },
            "program" => ShellError::NotFound { program, host },
            "passed" => match rest.parse() {
                Ok(seen) => {
                    let given = token.unwrap_or(FencingToken(0));
                    FenceError::Passed { given, seen: FencingToken(seen), root }.into()
                }
                Err(_) => ShellError::Answer { host, text: rest.to_owned() },
            },
            "damaged" => FenceError::Damaged { path: root.join(".pleach/fence"), text: rest.to_owned() }.into(),
            "withdrawn" => ShellError::Withdrawn { program, host },
            "flock" => unguarded(
                "it has no `flock`",
                format!("install it: `ssh {} sudo apt-get install util-linux`", quote_text(&host)),
            ),
            "folder" => unguarded("its folder `.pleach` could not be made", look("ls -ld")),
            "lock" | "fence" => unguarded("its fence could not be read or locked", look("ls -la")),
            "space" => unguarded("nothing can be written there", look("df -h")),
            word => ShellError::Answer { host, text: word.to_owned() },
        }
    }

    fn require_speakable(&self, command: &Command) -> Result<(), ShellError> {
        let program = command.argv.first().ok_or(ShellError::Empty)?;
        let host = || self.link.host().to_owned();
        if command.argv.iter().any(|argument| argument.contains('\0')) {
            return Err(ShellError::Unspeakable { what: format!("an argument of `{program}`"), host: host() });
        }
        for (name, value) in &command.environment {
            let text = match value {
                Value::Plain(text) => text,
                Value::Secret(secret) => secret.expose(),
            };
            let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let fine = letters && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit());
            // Two low lines in front are the wrapper's own.
            if !fine || name.starts_with("__") || text.contains('\0') {
                return Err(ShellError::Unspeakable { what: format!("the variable `{name}`"), host: host() });
            }
        }
        Ok(())
    }
}

/// How a command that was let through went.
#[derive(Debug)]
pub(super) enum Ran {
    Exited(ExitStatus),
    Cancelled,
    Lost,
}

#[async_trait]
impl Shell for SshShell {
    async fn run<'a>(&self, command: &Command, call: Call<'a>) -> Result<CommandOutput, Failure> {
        Ok(self.run_as(&CommandId::new(), command, call).await?)
    }
}
