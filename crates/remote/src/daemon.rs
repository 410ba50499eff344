//! Starting a process of this executable that outlives its starter, and hearing from it once.
//!
//! The starter holds a lock and hands it over as the daemon's standard error, so it stays locked for as long as the daemon
//! lives and no moment is without an owner. The daemon makes a session of its own, so it leaves the starter's process group
//! and terminal, and answers with one line of JSON on its standard output; then it closes that.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use pleach_core::error::{Failure, Kind, quote_path};
use pleach_core::period::Period;
use rustix::process::Signal;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::process::{Identity, MARK};

/// This executable, also if its file was replaced or removed since.
pub(crate) const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// Starts `verb` of `command` with `request` as its standard input and `lock` kept by it; waits for its answer. `labels`
/// only show in the list of processes.
pub(crate) fn launch<T: DeserializeOwned>(
    words: [&str; 2],
    labels: &[&str],
    request: &impl Serialize,
    lock: File,
) -> Result<T, Failure> {
    let failed = |because: String| {
        Failure::new(Kind::Transient, format!("could not start `{}`", words.join(" ")))
            .because(because)
            .next("see whether the machine has room for processes: `ps -e | wc -l`, `free -m`, `df -h /tmp`")
    };
    // A pipe or a lock that the user's own script holds open must not live as long as the service.
    close_fds::set_fds_cloexec(3, &[]);
    let mut command = Command::new(OWN_EXECUTABLE);
    // A service that deploys others is not what these others are part of.
    command.env_remove(MARK);
    command.arg0("pleach").args(words).args(labels).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::from(lock));
    let mut daemon = command.spawn().map_err(|error| failed(error.to_string()))?;
    let (stdin, stdout) = (daemon.stdin.take(), daemon.stdout.take());
    if let Some(mut stdin) = stdin {
        let request = serde_json::to_vec(request).map_err(|error| failed(error.to_string()))?;
        stdin.write_all(&request).map_err(|error| failed(error.to_string()))?;
    }
    let mut line = String::new();
    if let Some(stdout) = stdout {
        BufReader::new(stdout).read_line(&mut line).map_err(|error| failed(error.to_string()))?;
    }
    if line.is_empty() {
        let status = daemon.wait().map_err(|error| failed(error.to_string()))?;
        return Err(failed(format!("it ended with {status} before it was ready")));
    }
    parse(line.as_bytes()).unwrap_or_else(|| Err(failed("its answer could not be read".to_owned())))
}

/// The one line that `supervise` and `route` answer with.
#[derive(Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Told<T> {
    Done(T),
    Failed(Failure),
}

/// Reads an answer; `None` if it is none.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<Result<T, Failure>> {
    match serde_json::from_slice(bytes).ok()? {
        Told::Done(value) => Some(Ok(value)),
        Told::Failed(failure) => Some(Err(failure)),
    }
}

/// Prints an answer as one line.
pub(crate) fn answer<T: Serialize>(result: Result<T, Failure>) -> ExitCode {
    let (told, code) = match result {
        Ok(value) => (Told::Done(value), ExitCode::SUCCESS),
        Err(failure) => (Told::Failed(failure), ExitCode::FAILURE),
    };
    let mut line = serde_json::to_vec(&told).unwrap_or_default();
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    // Whoever asked may be gone; then nobody misses the answer.
    let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
    code
}

/// Answers and closes standard output, so that whoever waits for its end can go on.
pub(crate) fn announce<T: Serialize>(result: Result<T, Failure>) {
    answer(result);
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        // Without it the starter would wait longer, nothing worse.
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

/// Leaves the starter's process group and terminal. Its request has been read before: a starter that is killed while it
/// sends takes the daemon with it. Whoever asks who listens on a port is told `name`: the kernel's own name for a process
/// that was started through [`OWN_EXECUTABLE`] is `exe`.
pub(crate) fn detach(name: &str) -> io::Result<()> {
    rustix::process::setsid()?;
    // Only for people: a kernel that refuses it changes nothing.
    let _ = std::fs::write("/proc/self/comm", name);
    Ok(())
}

/// What a lock tells of the daemon that holds it, once that was asked to end.
#[derive(Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Leaving {
    daemon: Identity,
    within: Period,
}

/// Asks a daemon to end and notes it in its lock: whoever starts the next one must not take this one for one that stays,
/// also when the asker is gone by then. `false` if the daemon is.
pub(crate) fn ask_to_end(lock: &Path, daemon: &Identity, within: Period) -> bool {
    let note = serde_json::to_vec(&Leaving { daemon: daemon.clone(), within }).unwrap_or_default();
    // Without room for the note it still ends; only a starter that comes before that would be misled.
    let _ = std::fs::write(lock, note);
    daemon.signal(Signal::TERM)
}

/// Sees to the end of a daemon that was asked to end by what its lock notes: its asker may be gone. Gives the time that it was
/// given, of which so much has been waited; `None` if nobody has asked it.
pub(crate) fn see_to_end(lock: &Path, daemon: &Identity, waited: Duration) -> Option<Duration> {
    let note: Leaving = serde_json::from_slice(&std::fs::read(lock).ok()?).ok()?;
    if note.daemon != *daemon {
        return None;
    }
    daemon.signal(if waited > note.within.0 { Signal::KILL } else { Signal::TERM });
    Some(note.within.0)
}

/// Whether the lock that this daemon has as its standard error was removed, and with it whatever it is a daemon of.
pub(crate) fn is_removed() -> bool {
    rustix::fs::fstat(io::stderr()).is_ok_and(|lock| lock.st_nlink == 0)
}

/// Reads the request on standard input.
pub(crate) fn read_request<T: DeserializeOwned>() -> Result<T, Failure> {
    let mut bytes = Vec::new();
    let failed = |error: String| Failure::new(Kind::Internal, "could not read the request").because(error);
    io::stdin().lock().read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    // The error of a JSON parser may quote what it read, and that may be a secret.
    serde_json::from_slice(&bytes)
        .map_err(|error| failed(format!("{:?} error at column {}", error.classify(), error.column())))
}

/// Why a lock could not be taken, other than that somebody has it.
pub(crate) fn cannot_lock(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Kind::Rejected, format!("could not lock `{}`", path.display()))
        .because(error.to_string())
        .next(format!("look whether its file system knows locks: `findmnt -T {}`", quote_path(path)))
}

/// Opens or makes a lock file. One that is there is opened to read, which is enough to lock it: a router goes on routing
/// while its disk is read-only.
pub(crate) fn lock_file(path: &Path) -> Result<File, Failure> {
    let failed = |error: io::Error| {
        Failure::new(Kind::Rejected, format!("could not open the lock `{}`", path.display()))
            .because(error.to_string())
            .next(format!("look with `ls -ld {}`", quote_path(path)))
    };
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened.map_err(failed),
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    File::options().create(true).truncate(false).read(true).write(true).open(path).map_err(failed)
}
