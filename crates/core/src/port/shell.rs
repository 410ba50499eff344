//! Running commands on a target.
//!
//! A command is a value: building one and reading its answer are pure, one thin place runs it. A preview refuses every
//! [`Effect::Write`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::{FencingToken, Secret};
use crate::error::Failure;

/// Whether a command may change its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Only looks.
    Read,
    /// May change something; needs a lease that the target still honours.
    Write,
}

/// The value of an environment variable.
#[derive(Clone, Debug)]
pub enum Value {
    /// May be shown.
    Plain(String),
    /// Never shown, logged or stored.
    Secret(Secret),
}

/// A command to run on a target.
#[derive(Clone, Debug)]
pub struct Command {
    /// Program and arguments; no shell reads them.
    pub argv: Vec<String>,
    /// Whether it may change the target.
    pub effect: Effect,
    /// What it reads from standard input; nothing if absent.
    pub stdin: Option<Bytes>,
    /// Variables on top of the target's own environment.
    pub environment: BTreeMap<String, Value>,
    /// Where it runs; the target's own default if absent.
    pub directory: Option<PathBuf>,
    /// Whether it may leave something running that goes on printing, as a command that somebody else wrote may. One that
    /// only looks shares a shell with others unless this is set.
    pub alone: bool,
}

impl Command {
    /// A command that only looks.
    pub fn read<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self::new(Effect::Read, argv)
    }

    /// A command that may change the target.
    pub fn write<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self::new(Effect::Write, argv)
    }

    /// A command line for the target's POSIX shell, given on standard input so that it never stands in an argument.
    pub fn script(effect: Effect, text: impl Into<String>) -> Self {
        let mut command = Self::new(effect, ["sh", "-s"]);
        command.stdin = Some(text.into().into_bytes().into());
        command
    }

    fn new<S: Into<String>>(effect: Effect, argv: impl IntoIterator<Item = S>) -> Self {
        let argv = argv.into_iter().map(Into::into).collect();
        Self { argv, effect, stdin: None, environment: BTreeMap::new(), directory: None, alone: false }
    }

    /// Runs in `directory`.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Shares nothing with other commands: nobody knows what it leaves running.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Sets a variable that may be shown.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), Value::Plain(value.into()));
        self
    }

    /// Sets a variable that is never shown.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, value: Secret) -> Self {
        self.environment.insert(name.into(), Value::Secret(value));
        self
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// A signal of this number ended it.
    Signal(i32),
}

/// Which of a command's two streams a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a command said and how it ended. Bytes, because not every program prints UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOutput {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output, at most the adapter's bound of it: the end is kept.
    pub stdout: Vec<u8>,
    /// Standard error, likewise.
    pub stderr: Vec<u8>,
}

impl CommandOutput {
    /// Whether it exited with 0.
    pub fn succeeded(&self) -> bool {
        self.status == ExitStatus::Code(0)
    }

    /// Standard output as text without the last line end; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// The last lines of both streams, standard error last, for an error message.
    pub fn last_lines(&self) -> Vec<String> {
        let both = [&self.stdout, &self.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        both.iter().flat_map(|text| text.lines().map(str::to_owned)).collect()
    }
}

/// Takes a command's lines as they come.
pub trait LineSink: Send + Sync {
    /// One line without its end. Must not block.
    fn line(&self, stream: Stream, line: &str);
}

/// Forgets every line.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLines;

impl LineSink for NoLines {
    fn line(&self, _: Stream, _: &str) {}
}

/// What goes along with every call that may change something.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The token of the lease under which the call is made; a target refuses a write with an older one than it has seen.
    pub token: Option<FencingToken>,
    /// Gets each line as it is printed.
    pub lines: &'a dyn LineSink,
    /// Asks the command to end early. Dropping the future ends it at once.
    pub cancel: &'a CancellationToken,
}

/// Runs commands.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Shell: Send + Sync {
    /// Runs `command` to its end. A command that ran and failed is not an `Err`: see [`CommandOutput::status`].
    ///
    /// Secrets of the command's environment that it prints are handed on to nobody: neither in lines nor in the output.
    ///
    /// The future owns what it started: when it is dropped, the command and all its children are ended.
    async fn run<'a>(&self, command: &Command, call: Call<'a>) -> Result<CommandOutput, Failure>;
}
