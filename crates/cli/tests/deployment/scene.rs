//! A project with two services on two branches, a place to deploy them to, and the command run in it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pleach_testbed::port::free_ports;
use tempfile::TempDir;

/// The services.
pub(crate) const SERVICES: [&str; 2] = ["alpha", "beta"];

/// A repository with a branch for each service at version 1, and the environments `local` and `prod`.
///
/// `prod` wants typed consent. What still runs when it is dropped is stopped by the command itself.
pub(crate) struct Scene {
    place: TempDir,
    /// Of the services in `local`; the one behind each is that of `prod`.
    ports: Vec<u16>,
    /// What the command sees besides.
    pub(crate) variables: Vec<(String, String)>,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command that is at work.
pub(crate) struct Working {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    heard: String,
}

/// Somebody who asks the services all the time.
pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    asking: std::thread::JoinHandle<(usize, usize)>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let scene = Self { place, ports: SERVICES.iter().map(|_| free_ports(2)).collect(), variables: Vec::new() };
        std::fs::create_dir(scene.root()).expect("made");
        let mut config = String::from("[project]\nname = \"skills\"\n");
        for (name, port) in SERVICES.iter().zip(&scene.ports) {
            // A branch with a file `slow` takes long to build, one with `sick` never becomes healthy, one with `stubborn`
            // has to be killed.
            config += &format!(
                "[services.{name}]\nbranch = \"skill/{name}\"\nport = {port}\nstop-grace = \"3s\"\n\
                 run = \"test -e stubborn && trap '' TERM; test -e sick && exec sleep 60; exec '{}'\"\n\
                 build = \"echo building; if test -e slow; then sleep 60; fi\"\n\
                 health = {{ http = {{ path = \"/health\" }}, period = \"20ms\", success = 2, within = \"20s\" }}\n\
                 test = {{}}\n",
                service().display()
            );
        }
        config += "[environments.local]\ntargets.here = { kind = \"directory\", path = \"../live\" }\n\
                   [environments.prod]\nconsent = \"typed\"\non-failure = \"hold\"\n\
                   targets.there = { kind = \"directory\", path = \"../prod\", port-offset = 1 }\n";
        scene.git(&["init", "-q", "-b", "main"]);
        scene.write("pleach.toml", &config);
        scene.git(&["add", "."]);
        scene.git(&["commit", "-qm", "Config"]);
        for name in SERVICES {
            scene.git(&["branch", "-q", &format!("skill/{name}")]);
            scene.version(name, 1);
        }
        scene
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.place.path().join("repository")
    }

    pub(crate) fn place(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn write(&self, file: &str, content: &str) {
        let file = self.root().join(file);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, content).expect("written");
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid"];
        let output = Command::new("git").args(identity).args(arguments).current_dir(self.root()).output().expect("git");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Commits a file on a service's branch.
    pub(crate) fn commit(&self, service: &str, file: &str, content: Option<&str>) {
        self.git(&["switch", "-q", &format!("skill/{service}")]);
        match content {
            Some(content) => self.write(file, content),
            None => std::fs::remove_file(self.root().join(file)).expect("removed"),
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", &format!("Change {file}")]);
        self.git(&["switch", "-q", "main"]);
    }

    /// A new version on a service's branch.
    pub(crate) fn version(&self, service: &str, version: u32) {
        let text = format!("{{\n  \"name\": \"{service}\",\n  \"version\": \"{version}.0.0\",\n  \"rules\": 1\n}}\n");
        self.commit(service, "service.json", Some(&text));
    }

    /// A commit after which the service dies at once.
    pub(crate) fn break_service(&self, service: &str) {
        self.commit(service, "service.json", None);
    }

    /// A commit that takes a minute to build.
    pub(crate) fn slow_down(&self, service: &str) {
        self.commit(service, "slow", Some("slow"));
    }

    /// A commit after which the service never becomes healthy, and does not end when it is asked to.
    pub(crate) fn make_sick_and_stubborn(&self, service: &str) {
        self.commit(service, "stubborn", Some("stubborn"));
        self.commit(service, "sick", Some("sick"));
    }

    /// A commit with a file of this name.
    pub(crate) fn file(&self, service: &str, name: &str) {
        self.commit(service, name, Some(name));
    }

    /// A commit with a file of this many bytes.
    pub(crate) fn large_file(&self, service: &str, bytes: usize) {
        self.commit(service, "large", Some(&"x".repeat(bytes)));
    }

    /// Asks the services all the time, from now until it is told to stop.
    pub(crate) fn clients(&self) -> Clients {
        let (stop, ports) = (Arc::new(AtomicBool::new(false)), self.ports.clone());
        let stopped = stop.clone();
        let asking = std::thread::spawn(move || {
            let (mut asked, mut failed) = (0, 0);
            while !stopped.load(Ordering::Relaxed) {
                failed += ports.iter().filter(|port| get(**port, "/health").is_none()).count();
                asked += ports.len();
                std::thread::sleep(Duration::from_millis(5));
            }
            (asked, failed)
        });
        Clients { stop, asking }
    }

    pub(crate) fn pleach(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().expect("pleach runs"))
    }

    /// Another clone, as somebody on another machine has one.
    pub(crate) fn cloned_to(&self, place: &Path) -> PathBuf {
        let cloned = Command::new("git").args(["clone", "-q"]).arg(self.root()).arg(place).status();
        assert!(cloned.expect("git").success());
        self.fetch_to(place);
        place.to_owned()
    }

    /// That one has all branches as they are here by now.
    pub(crate) fn fetch_to(&self, clone: &Path) {
        let branches = ["fetch", "-q", "origin", "+refs/heads/skill/*:refs/heads/skill/*"];
        let fetched = Command::new("git").args(branches).current_dir(clone).status();
        assert!(fetched.expect("git").success());
    }

    /// Runs the command in another clone.
    pub(crate) fn pleach_in(&self, clone: &Path, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).current_dir(clone).output().expect("pleach runs"))
    }

    /// Runs the command as the last arguments of another one, where one is named.
    pub(crate) fn under(&self, other: &[impl AsRef<OsStr>], arguments: &[&str]) -> Said {
        let Some((program, words)) = other.split_first() else { return self.pleach(arguments) };
        let mut command = Command::new(program);
        command.args(words).arg(env!("CARGO_BIN_EXE_pleach")).args(arguments);
        let output = command.current_dir(self.root()).stdin(Stdio::null()).output().unwrap_or_else(|error| {
            panic!("`{}` does not start: {error}; `cargo testbed` installs it", program.as_ref().display());
        });
        Said::of(output)
    }

    /// Runs the command, which must end with this code.
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> Said {
        let said = self.pleach(arguments);
        assert_eq!(said.code, code, "pleach {arguments:?}\n{}\n{}", said.stdout, said.stderr);
        said
    }

    /// Runs the command in a terminal where somebody types these lines; all that it says stands in `stdout`.
    pub(crate) fn types(&self, arguments: &[&str], lines: &[&str]) -> Said {
        let mut command = Command::new("script");
        let words: Vec<String> = arguments.iter().map(|word| format!("'{word}'")).collect();
        let line = format!("NO_COLOR=1 '{}' {}", env!("CARGO_BIN_EXE_pleach"), words.join(" "));
        command.args(["-qec", &line, "/dev/null"]).current_dir(self.root());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("`script` starts");
        let typed: String = lines.iter().map(|line| format!("{line}\n")).collect();
        // It may have ended before all was typed.
        let _ = child.stdin.take().expect("piped").write_all(typed.as_bytes());
        let mut said = Said::of(child.wait_with_output().expect("it ends"));
        said.stdout = said.stdout.replace('\r', "");
        said
    }

    /// Starts the command and lets it work.
    pub(crate) fn start(&self, arguments: &[&str]) -> Working {
        Working::of(&mut self.command(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pleach"));
        command.args(arguments).current_dir(self.root()).stdin(Stdio::null()).env_remove("NO_COLOR");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The version that a service answers with on its public port; nothing if it does not answer.
    pub(crate) fn answers(&self, service: &str) -> Option<String> {
        let at = SERVICES.iter().position(|name| *name == service).expect("a service");
        let answer = get(self.ports[at], "/metadata")?;
        let (_, behind) = answer.split_once("\"version\": \"")?;
        behind.split('"').next().map(str::to_owned)
    }

    /// The directories of all runs.
    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        let runs = std::fs::read_dir(self.root().join(".git/pleach/runs")).into_iter().flatten().flatten();
        runs.map(|run| run.path()).collect()
    }

    pub(crate) fn port(&self, service: &str) -> u16 {
        self.ports[SERVICES.iter().position(|name| *name == service).expect("a service")]
    }

    pub(crate) fn newest_run(&self) -> String {
        let number = |run: &PathBuf| -> u64 {
            let text = std::fs::read_to_string(run.join("number")).expect("counted");
            text.trim().parse().expect("a number")
        };
        let newest = self.runs().into_iter().max_by_key(number).expect("a run");
        newest.file_name().expect("named").to_string_lossy().into_owned()
    }

    /// Lets all leases end at the end of this century.
    pub(crate) fn postpone_leases(&self) {
        let place = self.root().join(".git/pleach/leases/local");
        let mut changed = 0;
        for file in std::fs::read_dir(place).expect("leases").flatten() {
            let Ok(text) = std::fs::read_to_string(file.path()) else { continue };
            let Ok(mut lease) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
            let Some(expires) = lease.pointer_mut("/expires") else { continue };
            *expires = "2099-12-31T00:00:00Z".into();
            std::fs::write(file.path(), lease.to_string()).expect("written");
            changed += 1;
        }
        assert!(changed > 0, "there is a lease");
    }

    /// A file of the state directory.
    pub(crate) fn state_file(&self, name: &str) -> String {
        std::fs::read_to_string(self.root().join(".git/pleach").join(name)).expect("there")
    }
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// An error has four parts: what, because, state, next. The second is left out where the first is the cause itself.
pub(crate) fn told_in_four_parts(said: &Said) {
    for part in ["error: ", "\n  state: ", "\n  next: "] {
        assert!(said.stderr.contains(part), "{part:?}: {}", said.stderr);
    }
}

impl Clients {
    /// Nobody was left without an answer.
    pub(crate) fn all_were_answered(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (asked, failed) = self.asking.join().expect("clients");
        assert!(asked > 0);
        assert_eq!(failed, 0, "of {asked} requests");
    }
}

impl Drop for Scene {
    /// Leaves no process behind, and says so where `resume` and `stop` do not get there.
    fn drop(&mut self) {
        let resumed = self.pleach(&["resume"]);
        let stopped = self.pleach(&["stop", "local", "--yes"]);
        let left = self.running();
        if !left.is_empty() && !std::thread::panicking() {
            panic!(
                "{left:?} are left running\n{}{}{}{}",
                resumed.stdout, resumed.stderr, stopped.stdout, stopped.stderr
            );
        }
    }
}

impl Scene {
    /// The logs of all instances whose processes run now.
    pub(crate) fn instances(&self) -> Vec<PathBuf> {
        self.running().into_iter().filter(|file| file.extension().is_some_and(|end| end == "log")).collect()
    }

    /// What services, their supervisors and routers have as standard error now: a log or a lock of their own.
    pub(crate) fn running(&self) -> BTreeSet<PathBuf> {
        let live = self.place.path().join("live");
        let processes = std::fs::read_dir("/proc").expect("proc").flatten();
        let files = processes.filter_map(|process| std::fs::read_link(process.path().join("fd/2")).ok());
        files.filter(|file| file.starts_with(&live)).collect()
    }
}

impl Working {
    /// Starts it.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, stderr, heard: String::new() }
    }

    /// Waits until it says this on standard error.
    pub(crate) fn says(&mut self, words: &str) {
        assert!(self.says_or_ends(words), "it ended without saying {words:?}:\n{}", self.heard);
    }

    /// Waits until it says this on standard error; `false` if it ends without.
    pub(crate) fn says_or_ends(&mut self, words: &str) -> bool {
        let mut line = String::new();
        while self.stderr.read_line(&mut line).expect("read") > 0 {
            let found = line.contains(words);
            self.heard.push_str(&line);
            if found {
                return true;
            }
            line.clear();
        }
        false
    }

    /// Waits until the journal of a run that was not among `earlier` has so many records; `false` if it ends before.
    pub(crate) fn reaches(&mut self, scene: &Scene, earlier: &[PathBuf], records: usize) -> bool {
        loop {
            let ended = self.child.try_wait().expect("asked").is_some();
            let runs = scene.runs();
            let run = runs.iter().find(|run| !earlier.contains(run));
            let text = run.and_then(|run| std::fs::read_to_string(run.join("journal.jsonl")).ok());
            // The first line is no record.
            if text.is_some_and(|text| text.lines().count() > records) {
                return !ended;
            }
            if ended {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("sent");
    }

    /// Sends a signal; `false` if it has ended.
    pub(crate) fn signal_if_alive(&mut self, signal: rustix::process::Signal) -> bool {
        let alive = self.child.try_wait().expect("asked").is_none();
        if alive {
            self.signal(signal);
        }
        alive
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("asked").is_some()
    }

    /// Waits for its end.
    pub(crate) fn ends(mut self) -> Said {
        self.stderr.read_to_string(&mut self.heard).expect("read");
        let mut stdout = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut stdout).expect("read");
        let status = self.child.wait().expect("waited");
        Said { code: status.code().unwrap_or(-1), stdout, stderr: self.heard }
    }
}

/// The demo's own service, compiled once for all tests of this program.
fn service() -> &'static Path {
    static SERVICE: OnceLock<PathBuf> = OnceLock::new();
    SERVICE.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/sample/main.rs");
        let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("service-{}", std::process::id()));
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let built = Command::new(rustc).args(["--edition", "2024", "-o"]).arg(&binary).arg(source).status();
        assert!(built.expect("rustc runs").success());
        binary
    })
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}
