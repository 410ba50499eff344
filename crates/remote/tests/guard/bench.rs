//! What the tests stand on: a folder, a shell, a holder.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pleach_core::port::{Holder, LeaseRequest, Shell};
use pleach_core::word::{EnvironmentName, RunId, TargetName};
use pleach_remote::guard::{Guard, TargetLeases};
use pleach_remote::local::{Fence, LocalShell};
use pleach_remote::process::ProcessStat;
use pleach_testbed::machine::Machine;
use tempfile::TempDir;

/// Every shell that a target may have as `sh`.
pub(crate) const SHELLS: [&[&str]; 3] = [&["dash"], &["busybox", "sh"], &["bash", "--posix"]];

/// No name that a script may take for granted.
const PREFIX: &str = "pleach it's $(a) ";

pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) guard: Guard,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(&["sh"])
    }

    pub(crate) fn with(interpreter: &[&str]) -> Self {
        // In memory where that can be had: what is flushed there need not wait for everybody else's disk.
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in("/dev/shm");
        Self::in_folder(folder.unwrap_or_else(|_| on_disk()), interpreter.iter().copied())
    }

    /// The same on a machine, which sees no memory of others.
    pub(crate) fn on(machine: &Machine) -> Self {
        Self::in_folder(on_disk(), shell_on(machine))
    }

    fn in_folder<S: Into<String>>(folder: TempDir, interpreter: impl IntoIterator<Item = S>) -> Self {
        let guard = Guard::new(folder.path().join(".pleach")).interpreter(interpreter);
        Self { folder, guard }
    }

    pub(crate) fn shell(&self) -> LocalShell {
        LocalShell::new(Fence::new(self.folder.path().join("fence")))
    }

    pub(crate) fn leases(&self, holder: Holder) -> TargetLeases {
        self.leases_with(self.guard.clone(), holder)
    }

    pub(crate) fn leases_with(&self, guard: Guard, holder: Holder) -> TargetLeases {
        let shell: Arc<dyn Shell> = Arc::new(self.shell());
        TargetLeases::new(shell, guard, holder, Arc::new(|_| false))
    }

    pub(crate) fn place(&self) -> PathBuf {
        self.guard.place(&environment(), &target())
    }

    /// The script in a file, for those who call it by hand.
    pub(crate) fn script(&self) -> PathBuf {
        let path = self.folder.path().join("guard.sh");
        fs::write(&path, Guard::script()).expect("written");
        path
    }
}

fn on_disk() -> TempDir {
    tempfile::Builder::new().prefix(PREFIX).tempdir().expect("a folder")
}

/// The words in front of a script that have a machine run it.
pub(crate) fn shell_on(machine: &Machine) -> Vec<String> {
    let shell = machine.command("sh");
    let words = std::iter::once(shell.get_program()).chain(shell.get_args());
    words.map(|word| word.to_str().expect("text").to_owned()).collect()
}

pub(crate) fn environment() -> EnvironmentName {
    EnvironmentName::new("prod").expect("a name")
}

pub(crate) fn target() -> TargetName {
    TargetName::new("vm").expect("a name")
}

pub(crate) fn request(run: &str, lifetime: Duration) -> LeaseRequest {
    let run = RunId::new(run).expect("a name");
    LeaseRequest { environment: environment(), target: target(), run, reason: "deploys".into(), lifetime }
}

pub(crate) const LONG: Duration = Duration::from_secs(600);

/// A holder of which the target can say nothing.
pub(crate) fn elsewhere(user: &str) -> Holder {
    Holder { user: user.into(), host: "laptop".into(), boot: "another".into(), process: 7, process_start: 9 }
}

/// A holder that is a process of this machine.
pub(crate) fn here(process: u32) -> Holder {
    let read = |path: &str| fs::read_to_string(path).expect("readable").trim().to_owned();
    let mut boot = read("/proc/sys/kernel/random/boot_id");
    let space = fs::read_link("/proc/self/ns/pid").expect("a link");
    if space.as_os_str() != "pid:[4026531836]" {
        boot.push_str(&format!(" {}", space.display()));
    }
    let stat = ProcessStat::parse(&read(&format!("/proc/{process}/stat"))).expect("a stat line");
    Holder { user: "me".into(), host: "here".into(), boot, process, process_start: stat.start }
}

/// A process that does nothing until it is killed, which it is at the end of the test.
pub(crate) struct Sleeper(Child);

impl Sleeper {
    pub(crate) fn new() -> Self {
        let child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("started");
        Self(child)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn end(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("waited for");
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args([name, &process.to_string()]).status().expect("kill");
    assert!(status.success(), "{name} to {process}");
}

/// The text of a request as the guard reads it.
pub(crate) fn request_text(run: &str, more: &str) -> String {
    format!(
        "environment prod\ntarget vm\nrun {run}\nuser me\nhost laptop\nboot another\nprocess 7\nstart 9\nreason deploys\n\
         lifetime 60000\n{more}end\n"
    )
}

/// Runs a program to its end with this on its standard input. In a session of its own: a test that ends it ends no other.
pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(argv: &[S], stdin: &str) -> (Option<i32>, String, String) {
    use std::io::Write;
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().expect("started");
    // Ended before it read all of it.
    let _ = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("waited for");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Calls the guard: `guard(script, ["take", place], request)`.
pub(crate) fn guard(script: &Path, arguments: &[&str], stdin: &str) -> (Option<i32>, String) {
    let mut argv = vec!["sh", script.to_str().expect("text")];
    argv.extend(arguments);
    let (code, out, _) = run(&argv, stdin);
    (code, out)
}

/// The value behind a word of what the guard printed.
pub(crate) fn word(printed: &str, key: &str) -> Option<String> {
    printed.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix(' ')?.to_owned()))
}
