//! Commands on this machine.
//!
//! Each command leads a process group of its own: Ctrl-C in the terminal reaches Pleach and not the command, and ending it
//! ends all that it started. When the future is dropped the group is killed at once; on cancel it is asked first and killed
//! after a grace. What has made a session of its own (a supervisor) has left the group and stays.
//!
//! A command sees a few variables of Pleach's own environment and no others (see [`LocalShell::inherited`]): the same
//! config then means the same thing here and on a host behind SSH, and a secret that Pleach was started with does not reach
//! commands that were not given it.

use std::io;
use std::process::{ExitStatus as StdStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use pleach_core::error::{Explain, Failure, Kind};
use pleach_core::port::{Call, Command, CommandOutput, Effect, ExitStatus, Shell, Stream, Value};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use super::begun::Begun;
use super::fence::Fence;
use super::output::Output;
use crate::mask::{Mask, MaskedLines};

/// How long a command may take to end after it was asked to.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// How long what a command left running may keep its output open after the command itself has ended.
const OUTPUT_GRACE: Duration = Duration::from_millis(300);

/// Variables that commands inherit, by name.
const INHERITED: &[&str] = &[
    "CARGO_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "GOPATH",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "JAVA_HOME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "NO_PROXY",
    "NVM_DIR",
    "PATH",
    "PYENV_ROOT",
    "RUSTUP_HOME",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Why a command did not run.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// There is no such program, or no such directory to run it in.
    #[error("could not start `{program}`")]
    NotFound {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be started.
    #[error("could not start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its end could not be waited for.
    #[error("could not wait for `{program}`")]
    Wait {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody asked for its end.
    #[error("`{program}` was ended before it was done")]
    Cancelled {
        /// The program.
        program: String,
        /// What it printed last.
        output: Vec<String>,
    },
    /// There was nothing to run.
    #[error("a command has no program")]
    Empty,
}

impl Explain for ShellError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::Rejected,
            Self::Start { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Kind::Rejected,
            Self::Start { .. } => Kind::Transient,
            Self::Wait { .. } => Kind::UnknownOutcome,
            Self::Cancelled { .. } => Kind::Cancelled,
            Self::Empty => Kind::Internal,
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::NotFound { program, .. } => {
                Some(format!("look with `command -v '{program}'` whether it is installed"))
            }
            Self::Start { program, .. } => Some(format!("look with `ls -l '{program}'` whether it can be executed")),
            Self::Wait { .. } | Self::Cancelled { .. } | Self::Empty => None,
        }
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Cancelled { output, .. } => output.clone(),
            _ => Vec::new(),
        }
    }
}

/// Runs commands on this machine; writes pass the fence.
#[derive(Clone, Debug)]
pub struct LocalShell {
    fence: Fence,
}

impl LocalShell {
    /// A shell whose writes pass `fence`.
    pub fn new(fence: Fence) -> Self {
        Self { fence }
    }

    /// The variables of Pleach's own environment that commands see: where programs and homes lie, language and time zone,
    /// proxies and certificates. Everything else is named in the config.
    pub fn inherited() -> impl Iterator<Item = (String, String)> {
        std::env::vars().filter(|(name, _)| INHERITED.contains(&name.as_str()) || name.starts_with("LC_"))
    }

    fn start(&self, command: &Command, call: &Call<'_>) -> Result<Running, Failure> {
        let (program, arguments) = command.argv.split_first().ok_or(ShellError::Empty)?;
        let mut native = tokio::process::Command::new(program);
        native.args(arguments).env_clear().envs(Self::inherited()).process_group(0);
        native.stdin(if command.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        native.stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in &command.environment {
            native.env(
                name,
                match value {
                    Value::Plain(text) => text.as_str(),
                    Value::Secret(secret) => secret.expose(),
                },
            );
        }
        if let Some(directory) = &command.directory {
            native.current_dir(directory);
        }
        let passage = match command.effect {
            Effect::Write => Some(self.fence.pass(call.token)?),
            Effect::Read => None,
        };
        let spawned = native.spawn();
        drop(passage);
        let child = spawned.map_err(|source| {
            let program = program.clone();
            match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ShellError::NotFound { program, source },
                _ => ShellError::Start { program, source },
            }
        })?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let begun = match (command.effect, child.id()) {
            (Effect::Write, Some(id)) => Begun::note(self.fence.root(), id),
            _ => None,
        };
        Ok(Running { child, group, program: program.clone(), _begun: begun })
    }
}

#[async_trait]
impl Shell for LocalShell {
    async fn run<'a>(&self, command: &Command, call: Call<'a>) -> Result<CommandOutput, Failure> {
        let mask = Mask::of_command(command);
        let lines = MaskedLines { mask: &mask, lines: call.lines };
        let call = Call { lines: &lines, ..call };
        let mut running = self.start(command, &call)?;
        let (stdin, stdout, stderr) =
            (running.child.stdin.take(), running.child.stdout.take(), running.child.stderr.take());
        let feed = async {
            if let (Some(mut stdin), Some(bytes)) = (stdin, &command.stdin) {
                // A command that does not read all of it says so by how it ends.
                let _ = stdin.write_all(bytes).await;
            }
        };
        let mut out = Output::new(Stream::Stdout);
        let mut err = Output::new(Stream::Stderr);
        let read = async {
            tokio::join!(pump(stdout, &mut out, &call), pump(stderr, &mut err, &call));
        };
        let ended = running.wait(&call, async {
            tokio::join!(feed, read);
        });
        let status = ended.await;
        let (stdout, stderr) = (mask.bytes(out.finish(call.lines)), mask.bytes(err.finish(call.lines)));
        let output = |status| CommandOutput { status, stdout, stderr };
        match status.map_err(|source| ShellError::Wait { program: running.program.clone(), source })? {
            Ended::ByItself(status) => Ok(output(exit_status(status))),
            Ended::Cancelled => {
                let output = output(ExitStatus::Code(0)).last_lines();
                Err(ShellError::Cancelled { program: running.program.clone(), output }.into())
            }
        }
    }
}

async fn pump(stream: Option<impl AsyncRead + Unpin>, output: &mut Output, call: &Call<'_>) {
    let Some(mut stream) = stream else { return };
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        output.take(&chunk[..count], call.lines);
    }
}

pub(crate) fn exit_status(status: StdStatus) -> ExitStatus {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, signal) => ExitStatus::Signal(signal.unwrap_or_default()),
    }
}

enum Ended {
    ByItself(StdStatus),
    Cancelled,
}

/// A started command. Dropping it before its end kills its group.
struct Running {
    child: Child,
    group: Option<Pid>,
    program: String,
    /// Forgotten after the group was killed.
    _begun: Option<Begun>,
}

impl Running {
    /// Waits for the command while `streams` are served.
    async fn wait(&mut self, call: &Call<'_>, streams: impl Future<Output = ()>) -> io::Result<Ended> {
        let mut streams = std::pin::pin!(streams);
        let mut streams_ended = false;
        let status = loop {
            tokio::select! {
                status = self.child.wait() => break status?,
                () = &mut streams, if !streams_ended => streams_ended = true,
                () = call.cancel.cancelled() => {
                    self.end(&mut streams, streams_ended).await?;
                    return Ok(Ended::Cancelled);
                }
            }
        };
        // From here on the group is what the command left behind on purpose.
        self.group = None;
        if !streams_ended {
            let _ = timeout(OUTPUT_GRACE, streams).await;
        }
        Ok(Ended::ByItself(status))
    }

    async fn end(
        &mut self,
        streams: &mut (impl Future<Output = ()> + Unpin),
        mut streams_ended: bool,
    ) -> io::Result<()> {
        self.signal(Signal::TERM);
        let grace = sleep(CANCEL_GRACE);
        let mut grace = std::pin::pin!(grace);
        loop {
            tokio::select! {
                status = self.child.wait() => {
                    status?;
                    break;
                }
                () = &mut *streams, if !streams_ended => streams_ended = true,
                () = &mut grace => break,
            }
        }
        self.signal(Signal::KILL);
        self.child.wait().await?;
        self.group = None;
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Gone already is what was wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
