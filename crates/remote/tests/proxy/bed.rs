//! An HAProxy of its own for each test, as its user would have set it up, and the command on its target.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pleach_core::error::Failure;
use pleach_core::period::Period;
use pleach_remote::proxy::{
    Backend, DrainRequest, Drained, EnsureRequest, Ensured, LookRequest, Looked, ProxyPlace, RemoveRequest, Server,
    Slot, parse,
};
use pleach_testbed::port::free_ports;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) struct Bed {
    pub(crate) folder: tempfile::TempDir,
    /// The public port; the two behind it are for `blue` and `green`, the others for whoever wants them.
    pub(crate) port: u16,
    haproxy: Option<Child>,
}

pub(crate) fn haproxy() -> &'static str {
    if Path::new("/usr/sbin/haproxy").exists() { "/usr/sbin/haproxy" } else { "haproxy" }
}

impl Bed {
    /// HAProxy runs and knows no service yet.
    pub(crate) fn new() -> Self {
        let mut bed = Self::without_haproxy();
        bed.start();
        bed
    }

    pub(crate) fn without_haproxy() -> Self {
        let bed = Self { folder: tempfile::tempdir().expect("a folder"), port: free_ports(6), haproxy: None };
        let socket = bed.path("admin.sock");
        // What is in the user's own defaults is his: with these, no slow request would be answered.
        let user = format!(
            "global\n    stats socket {} mode 600 level admin\n\ndefaults\n    mode tcp\n    timeout connect 1s\n    timeout \
             client 1s\n    timeout server 1s\n",
            socket.display()
        );
        fs::write(bed.path("haproxy.cfg"), user).expect("written");
        fs::write(bed.file(), "").expect("written");
        bed
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path("pleach.cfg")
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.file()).expect("the file")
    }

    pub(crate) fn start(&mut self) {
        let file = self.file();
        self.start_with(&[&file]);
    }

    pub(crate) fn start_with(&mut self, files: &[&Path]) {
        let log = File::options().append(true).create(true).open(self.path("log")).expect("a log");
        let mut command = Command::new(haproxy());
        command.arg("-W").arg("-f").arg(self.path("haproxy.cfg"));
        for file in files {
            command.arg("-f").arg(file);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let master = command.spawn().expect("haproxy");
        fs::write(self.path("pid"), master.id().to_string()).expect("written");
        self.haproxy = Some(master);
        self.until("HAProxy answers", || self.say("show info").is_some());
    }

    /// Ends it as its unit would.
    pub(crate) fn stop(&mut self) {
        let Some(mut master) = self.haproxy.take() else { return };
        signal(master.id(), "TERM");
        let begun = Instant::now();
        while master.try_wait().expect("waited").is_none() {
            if begun.elapsed() > Duration::from_secs(5) {
                master.kill().expect("killed");
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Reloads as somebody else would, and waits for the new worker.
    pub(crate) fn reload(&self) {
        let pid = || {
            let info = self.say("show info")?;
            info.lines().find_map(|line| line.strip_prefix("Pid: ")).map(str::to_owned)
        };
        // A master that is just done with a reload is deaf for some milliseconds, and the old worker may still answer.
        let (mut before, mut same) = (pid(), 0);
        self.until("one worker answers", || {
            let now = pid();
            same = if now.is_some() && now == before { same + 1 } else { 0 };
            before = now;
            same >= 20
        });
        let mut asked: Option<Instant> = None;
        self.until("HAProxy is reloaded", || {
            // On a busy machine it is deaf for longer, and drops the signal.
            if asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(1)) {
                signal(self.haproxy.as_ref().expect("it runs").id(), "USR2");
                asked = Some(Instant::now());
            }
            pid().is_some_and(|now| Some(now) != before)
        });
    }

    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}\n{}", self.state());
            sleep(Duration::from_millis(2));
        }
    }

    /// For whoever has to find out why a test failed.
    fn state(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let pid = self.haproxy.as_ref().map(Child::id).unwrap_or_default();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let status: Vec<_> = status.lines().filter(|line| line.starts_with("S")).collect();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        format!("{log}\nmaster {pid}: {status:?}, workers {children}\n{:?}", self.say("show info"))
    }

    /// Tells HAProxy something, as somebody else would.
    pub(crate) fn say(&self, command: &str) -> Option<String> {
        let mut stream = UnixStream::connect(self.path("admin.sock")).ok()?;
        stream.write_all(format!("{command}\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    pub(crate) fn place(&self) -> ProxyPlace {
        let path = |name| self.path(name).display().to_string();
        let reload = format!("kill -USR2 \"$(cat '{}')\"", path("pid"));
        ProxyPlace {
            socket: self.path("admin.sock"),
            file: self.file(),
            check: [haproxy(), "-c", "-f", &path("haproxy.cfg"), "-f", "{file}"].map(str::to_owned).to_vec(),
            reload: ["sh", "-c", &reload].map(str::to_owned).to_vec(),
        }
    }

    pub(crate) fn backend(&self, blue: Server, green: Server) -> Backend {
        let bind = format!("127.0.0.1:{}", self.port).parse().expect("an address");
        Backend { name: "pleach-0123456789ab-app".parse().expect("a name"), bind, blue, green, matched: None }
    }

    /// A release in its slot's port.
    pub(crate) fn used(&self, slot: Slot, weight: u16) -> Server {
        used(self.port_of(slot), weight)
    }

    pub(crate) fn port_of(&self, slot: Slot) -> u16 {
        self.port + if slot == Slot::Blue { 1 } else { 2 }
    }

    pub(crate) fn ensure(&self, backend: &Backend) -> Result<Ensured, Failure> {
        ask("ensure", &EnsureRequest { place: self.place(), backend: backend.clone() })
    }

    pub(crate) fn drain(&self, server: Slot, limit: Duration) -> Result<Drained, Failure> {
        let name = self.backend(Server::Unused, Server::Unused).name;
        ask("drain", &DrainRequest { place: self.place(), name, server, limit: Period(limit) })
    }

    pub(crate) fn remove(&self, limit: Duration) -> Result<Drained, Failure> {
        let name = self.backend(Server::Unused, Server::Unused).name;
        ask("remove", &RemoveRequest { place: self.place(), name, limit: Period(limit) })
    }

    pub(crate) fn look(&self) -> Result<Looked, Failure> {
        ask("look", &LookRequest { place: self.place(), name: None })
    }

    /// The file and what runs are this, and equal.
    pub(crate) fn require(&self, backend: &Backend) {
        let looked = self.look().expect("looked");
        let seen = looked.services.iter().find(|seen| seen.name == backend.name).expect("the service");
        assert_eq!(seen.file.as_ref(), Some(backend));
        assert_eq!(seen.differences, Vec::<String>::new());
        assert_eq!(parse(&self.text()).expect("ours")[&backend.name], *backend);
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn used(port: u16, weight: u16) -> Server {
    Server::Used { address: ([127, 0, 0, 1], port).into(), weight: weight.try_into().expect("a weight") }
}

fn signal(pid: u32, name: &str) {
    Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().expect("kill");
}

/// Starts the hidden command with a request.
pub(crate) fn begin(verb: &str, request: &impl Serialize) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pleach-remote-probe"));
    command.args(["proxy", verb]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the probe");
    let json = serde_json::to_vec(request).expect("JSON");
    child.stdin.take().expect("a pipe").write_all(&json).expect("sent");
    child
}

/// What it said; `None` if it was killed before.
pub(crate) fn end<T: DeserializeOwned>(child: Child) -> Option<Result<T, Failure>> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Told<T> {
        Done(T),
        Failed(Failure),
    }
    let Output { stdout, .. } = child.wait_with_output().expect("ended");
    if stdout.is_empty() {
        return None;
    }
    assert_eq!(stdout.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
    match serde_json::from_slice(&stdout).expect("an answer") {
        Told::Done(value) => Some(Ok(value)),
        Told::Failed(failure) => Some(Err(failure)),
    }
}

pub(crate) fn ask<T: DeserializeOwned>(verb: &str, request: &impl Serialize) -> Result<T, Failure> {
    end(begin(verb, request)).expect("an answer")
}
