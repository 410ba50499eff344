//! The service's process: started asleep, woken once its record is written.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use tokio::process::Child;

use super::log::open_log;
use super::request::StartRequest;
use crate::daemon::OWN_EXECUTABLE;
use crate::directory::ServiceLayout;
use crate::process::{Group, MARK};

const WAKE: &[u8] = b"go";

/// A process that waits to be woken.
pub(super) struct Sleeper {
    pub(super) child: Child,
    pub(super) group: Group,
}

/// Starts the process of `request` asleep, in a group of its own, with its output in the log.
pub(super) fn spawn(request: &StartRequest, host: &str, port: u16) -> io::Result<Sleeper> {
    let layout = ServiceLayout::new(&request.directory);
    let log = open_log(&layout.log(&request.release))?;
    let mut command = tokio::process::Command::new(OWN_EXECUTABLE);
    command.arg0("pleach").args(["supervise", "child"]).args(&request.argv);
    command.current_dir(layout.release(&request.release)).process_group(0);
    let mark = layout.instance(&request.release).to_string_lossy().into_owned();
    command.envs(&request.variables).env("HOST", host).env("PORT", port.to_string()).env(MARK, &mark);
    command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
    let child = command.spawn()?;
    let gone = || io::Error::other("the process ended before it was looked at");
    let group = child.id().and_then(|pid| Group::led_by(pid, Some(mark))).ok_or_else(gone)?;
    Ok(Sleeper { child, group })
}

/// Wakes a sleeper: from here on it is the service.
pub(super) fn wake(sleeper: &mut Sleeper) -> io::Result<()> {
    use std::os::fd::AsFd;
    let Some(stdin) = sleeper.child.stdin.take() else { return Ok(()) };
    // Two bytes into an empty pipe cannot block.
    let fd = stdin.as_fd().try_clone_to_owned()?;
    std::fs::File::from(fd).write_all(WAKE)
}

/// `supervise child PROGRAM ARGUMENTS…`: waits to be woken and becomes the program. Ends silently if its supervisor is gone.
pub(super) fn become_service(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let mut word = [0; WAKE.len()];
    if io::stdin().lock().read_exact(&mut word).is_err() || word != *WAKE {
        return ExitCode::SUCCESS;
    }
    let Some(program) = arguments.next() else { return ExitCode::FAILURE };
    let error = Command::new(&program).args(arguments).stdin(Stdio::null()).exec();
    // Standard error is the service's log.
    let _ = writeln!(io::stderr(), "could not start `{program}`: {error}");
    ExitCode::from(127)
}

/// A port that nobody listens on now: `wished` if it is one.
pub(super) fn free_port(host: &str, wished: Option<u16>) -> io::Result<u16> {
    if let Some(port) = wished.filter(|port| TcpListener::bind((host, *port)).is_ok()) {
        return Ok(port);
    }
    Ok(TcpListener::bind((host, 0))?.local_addr()?.port())
}

/// Whether the release's directory is there.
pub(super) fn has_release(path: &Path) -> bool {
    path.is_dir()
}
