//! Many real `sshd`s on this machine, and programs that speak with them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use pleach_testbed::sshd::{Server, SshBed};

use crate::{Figure, Table};

const PACKAGES: [&str; 4] = ["asyncssh", "parallel-ssh", "pyinfra", "ansible-core"];

/// Servers with the keys and the config that lead to them.
pub struct Hosts {
    /// Keys, known hosts, and a config whose host `target` is each of them, by its port.
    pub bed: SshBed,
    /// Where each listens on 127.0.0.1.
    pub ports: Vec<u16>,
    _servers: Vec<Server>,
}

impl Hosts {
    /// Starts so many; `options` are lines of their config.
    pub fn start(count: usize, options: &str) -> Self {
        let bed = SshBed::new(options);
        let servers: Vec<Server> = (0..count).map(|_| bed.second(options)).collect();
        Self { ports: servers.iter().map(|server| server.port).collect(), bed, _servers: servers }
    }

    /// The folder of keys and config.
    pub fn folder(&self) -> String {
        self.bed.at("").to_string_lossy().trim_end_matches('/').to_owned()
    }

    /// The user's config.
    pub fn config(&self) -> PathBuf {
        self.bed.at("config")
    }

    /// The ports with commas in between.
    pub fn listed(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        ports.join(",")
    }
}

/// Where the programs of the peers are, and which are not.
pub struct Peers {
    /// Their folder.
    pub programs: PathBuf,
    /// What could not be installed.
    pub missing: Vec<&'static str>,
}

impl Peers {
    /// Installs them beside this program, unless an earlier run has.
    ///
    /// # Panics
    /// When this program has no path.
    pub fn install() -> Self {
        let own = std::env::current_exe().expect("this program has a path");
        let folder = own.parent().and_then(Path::parent).expect("target/release").join("bench-peers");
        let quiet = |program: &Path, words: &[&str]| {
            let mut command = Command::new(program);
            command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let place = folder.to_string_lossy().into_owned();
        let programs = folder.join("bin");
        if !programs.join("python").exists() && !quiet(Path::new("python3"), &["-m", "venv", &place]) {
            return Self { programs, missing: PACKAGES.to_vec() };
        }
        let missing = |package: &&&str| {
            let there = || quiet(&programs.join("python"), &["-m", "pip", "show", "-q", package]);
            !there() && !quiet(&programs.join("python"), &["-m", "pip", "install", "-q", package])
        };
        let missing = PACKAGES.iter().filter(missing).copied().collect();
        Self { programs, missing }
    }

    /// Whether a package could be installed.
    pub fn has(&self, package: &str) -> bool {
        !self.missing.contains(&package)
    }

    /// `sh` with one of the scripts of `peers/`, which finds the programs.
    pub fn script(&self, file: &str) -> Command {
        let mut command = Command::new("sh");
        let path = format!("{}:{}", self.programs.display(), std::env::var("PATH").unwrap_or_default());
        command.arg(script(file)).env("PATH", path).stderr(Stdio::null());
        command
    }

    /// Python with one of the scripts of `peers/`.
    pub fn python(&self, file: &str) -> Command {
        let mut command = Command::new(self.programs.join("python"));
        command.arg(script(file)).stderr(Stdio::null());
        command
    }
}

fn script(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(file)
}

/// This very program in another role.
///
/// # Panics
/// When this program has no path.
pub fn own_client(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(words);
    command
}

/// The release build of the command, beside this benchmark.
///
/// # Panics
/// When it has not been built.
pub fn pleach() -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let binary = own.parent().and_then(Path::parent).expect("target/release").join("pleach");
    assert!(binary.exists(), "build it first: `cargo build --release -p pleach`");
    binary
}

/// What programs tell of themselves: `answers N`, and `peak KIB`.
#[derive(Default)]
pub struct Told(RefCell<BTreeMap<String, (usize, u64)>>);

impl Told {
    /// Runs a program and keeps what it tells under this name.
    ///
    /// # Panics
    /// When it does not start.
    pub fn run(&self, name: &str, command: &mut Command) {
        let output =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().and_then(std::process::Child::wait_with_output);
        self.hear(name, &output.unwrap_or_else(|error| panic!("{name}: {error}")));
    }

    /// Keeps what a program has told.
    pub fn hear(&self, name: &str, output: &Output) {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let figure = |word: &str| text.lines().find_map(|line| line.strip_prefix(word)?.trim().parse::<u64>().ok());
        let answers = figure("answers").map_or(0, |answers| usize::try_from(answers).unwrap_or(0));
        self.keep(name, answers, figure("peak").unwrap_or(0));
    }

    /// Keeps how many answers there were and how many KiB of memory it took.
    pub fn keep(&self, name: &str, answers: usize, peak: u64) {
        let mut told = self.0.borrow_mut();
        let entry = told.entry(name.to_owned()).or_insert((usize::MAX, 0));
        *entry = (entry.0.min(answers), entry.1.max(peak));
    }

    /// Prints it, of `expected` answers.
    pub fn print(&self, figures: &[Figure], expected: usize) {
        let title = "fewest answers of a round, and most memory of the process";
        let mut answers = Table::new(title, &["variant", "answers", "memory"]);
        for figure in figures {
            let (fewest, peak) = self.0.borrow().get(&figure.name).copied().unwrap_or_default();
            let memory = if peak == 0 { "-".to_owned() } else { format!("{:.1} MB", peak as f64 / 1024.0) };
            answers.row(vec![figure.name.clone(), format!("{fewest} of {expected}"), memory]);
        }
        answers.print();
    }
}

/// Runs a program to its end; gives what it said and the most memory that it had, in KiB.
///
/// # Panics
/// When it does not start.
pub fn watched(command: &mut Command) -> (Output, u64) {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child: Child = child.expect("the program starts");
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let watching: JoinHandle<u64> = std::thread::spawn(move || {
        let mut peak = 0;
        // It only ever rises, so the last look tells; a process that has ended has no such line.
        while let Some(now) = peak_of(&status) {
            peak = now;
            sleep(Duration::from_millis(2));
        }
        peak
    });
    let output = child.wait_with_output().expect("it ends");
    (output, watching.join().unwrap_or(0))
}

fn peak_of(status: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}
