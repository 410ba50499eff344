//! A Docker engine of the test's own, on a [`Machine`] of its own.
//!
//! ```text
//! holder      network, mounts; in memory: /run with the engine's socket, /dev/shm with all that it keeps
//!   unshare   waits for the engine
//!     1       dockerd; below it containerd and all containers: they end with it, and with the test, however that ends
//! ```
//!
//! Of this machine it uses the kernel and the programs: no other engine is asked, seen or changed, neither is the network. Its
//! socket is where one expects it, `/var/run/docker.sock`, for whoever is on that machine; [`Engine::socket`] leads there from
//! here. Cgroups are the only thing that it has in common with this machine; they bear its name and are removed behind it.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where it finds something wrong")]

use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::machine::{Machine, NETWORK};
use crate::sshd::kill;

const DOCKERD: &str = "dockerd";

/// Where all of the engine's programs are, whatever the user's `PATH` leaves out.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Places on the engine's machine.
const SOCKET: &str = "/run/docker.sock";
const LOG: &str = "/dev/shm/log";
const DATA: &str = "/dev/shm/data";
const VOLUMES: &str = "/dev/shm/data/volumes";

/// Waits for the end of the test, and ends what that has left running where it was killed.
const HOLD: &str = r#"mount -t tmpfs none /dev/shm && mount -t tmpfs -o mode=755 none /run && echo ready
while read -r line; do :; done
own=$(readlink /proc/$$/ns/net)
for process in /proc/[0-9]*; do
    [ "${process#/proc/}" = $$ ] || [ "$(readlink "$process/ns/net")" != "$own" ] || kill -s KILL "${process#/proc/}"
done
name=pleach-$(printf %s "$own" | tr -dc 0-9)
for cgroup in /sys/fs/cgroup/"$name" /sys/fs/cgroup/*/"$name"; do
    left=100
    while [ -d "$cgroup" ] && [ $((left -= 1)) -gt 0 ]; do
        find "$cgroup" -depth -type d -exec rmdir {} + || sleep 0.02
    done
done 2>/dev/null"#;

/// What the engine leaves when it is killed would keep the next one from starting: its ids come again.
const START: &str = r#"rm -rf /dev/shm/exec /run/docker.pid /run/docker.sock
exec unshare --pid --fork --kill-child --mount-proc dockerd "$@""#;

/// The longest that an engine may take to start on a machine that has a lot to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine on which an engine can be started; none where this user may not make one, which is said.
pub fn machine() -> Option<Machine> {
    let found = Command::new(DOCKERD).arg("--version").env("PATH", PATH).stdout(Stdio::null()).status();
    assert!(
        found.is_ok_and(|status| status.success()),
        "there is no `{DOCKERD}`: `sudo apt-get install --no-install-recommends docker.io iptables`"
    );
    Machine::held_by(HOLD)
}

/// One engine and what it runs; both end when it is dropped.
pub struct Engine {
    child: Option<Child>,
    socket: PathBuf,
    log: PathBuf,
    cgroup: String,
}

impl Engine {
    /// Starts one on a machine of [`machine`], and waits until it answers. Its data lie in memory.
    pub fn start(machine: &Machine) -> Self {
        let (socket, log) = (machine.see(SOCKET.as_ref()), machine.see(LOG.as_ref()));
        let mut engine = Self { child: None, socket, log, cgroup: cgroup(machine.holder.id()) };
        engine.begin(machine);
        engine
    }

    /// Starts it again, with what it has kept on its disk; kills it first where it runs.
    pub fn restart(&mut self, machine: &Machine) {
        self.kill();
        self.begin(machine);
    }

    fn begin(&mut self, machine: &Machine) {
        let said = fs::File::options().create(true).append(true).open(&self.log).expect("a log");
        let child = machine
            .command("sh")
            .env("PATH", PATH)
            .args(["-c", START, "sh", "--data-root", DATA, "--exec-root", "/dev/shm/exec"])
            .args(["--pidfile", "/run/docker.pid", "--host", &format!("unix://{SOCKET}")])
            // The registries of tests speak plain HTTP.
            .args(["--insecure-registry", NETWORK])
            .args(["--storage-driver", "overlay2", "--exec-opt", "native.cgroupdriver=cgroupfs"])
            .args(["--cgroup-parent", &format!("/{}", self.cgroup)])
            // What a terminal sends to a group would stop it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .expect("`nsenter` of util-linux is installed");
        let child = self.child.insert(child);
        let begun = Instant::now();
        while !answers(&self.socket) {
            let ended = child.try_wait().expect("asked");
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(5).collect();
                panic!(
                    "`{DOCKERD}` does not start ({ended:?}): {last:#?}\nit needs all rights of root, and \
                     `sudo apt-get install --no-install-recommends docker.io iptables`"
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where it listens, seen from here. On its machine, that is `/var/run/docker.sock`.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where it has the volumes, on its machine.
    pub fn volumes(&self) -> &Path {
        Path::new(VOLUMES)
    }

    /// Puts an [honest disk](Machine::honest_disk) there. The engine has ended, and is to be started again.
    pub fn put_volumes_on_disk(&mut self, machine: &Machine, image: &Path) {
        self.kill();
        // Without a mount of its own it would make one that has nothing of what is mounted below.
        machine.overlay(DATA.as_ref(), DATA.as_ref());
        machine.honest_disk(self.volumes(), image);
    }

    /// Takes all of its processes, and with them all containers, away at once, as a loss of power does.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        kill(child.id(), "KILL");
        let _ = child.wait();
        // Who has waited for it is gone at once, it itself a moment later.
        while UnixStream::connect(&self.socket).is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it over a connection of its own, without any library; gives head and body.
    pub fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> std::io::Result<String> {
        ask(&self.socket, method, path, kind, body)
    }

    /// Makes an image of one layer that holds nothing but a static `busybox` at `/bin/busybox`, without any registry. It
    /// serves `/www` on port 8080 unless it is told to do something else.
    pub fn make_base(&self, name: &str) {
        let command =
            "CMD%20%5B%22/bin/busybox%22%2C%22httpd%22%2C%22-f%22%2C%22-p%22%2C%228080%22%2C%22-h%22%2C%22/www%22%5D";
        let path = format!("/images/create?fromSrc=-&repo={name}&tag=1&changes={command}");
        let answer = self.ask("POST", &path, "application/x-tar", busybox()).expect("it answers");
        assert!(answer.contains("sha256:") && !answer.contains("errorDetail"), "the image is not taken: {answer}");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
        // Removed once nothing is in them, which is a moment after their processes are told to end.
        let roots = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
        for root in roots.chain([PathBuf::from("/sys/fs/cgroup")]) {
            let own = root.join(&self.cgroup);
            for _ in 0..1000 {
                if !own.is_dir() || remove_folders(&own).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn ask(socket: &Path, method: &str, path: &str, kind: &str, body: &[u8]) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.0\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    // In one piece: an engine that needs no body may have answered and hung up before it comes.
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn answers(socket: &Path) -> bool {
    ask(socket, "GET", "/_ping", "text/plain", &[]).is_ok_and(|answer| answer.ends_with("OK"))
}

/// A cgroup's files cannot be removed, and go with its folder.
fn remove_folders(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten().filter(|entry| entry.path().is_dir()) {
        remove_folders(&entry.path())?;
    }
    fs::remove_dir(folder)
}

/// The name of what an engine puts its containers in: that of its network, which no other one of this kernel has.
fn cgroup(holder: u32) -> String {
    let network = fs::read_link(format!("/proc/{holder}/ns/net")).expect("it runs");
    let network = network.to_string_lossy().chars().filter(char::is_ascii_digit).collect::<String>();
    format!("pleach-{network}")
}

/// Stands in for an engine that cannot be run here: answers every request at this socket with this, until it is no longer asked.
pub fn answer_all(socket: &Path, answer: &'static str) {
    let listener = UnixListener::bind(socket).expect("a socket");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                let mut asked = [0; 4096];
                while stream.read(&mut asked).is_ok_and(|count| count > 0) {
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json";
                    let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
                }
            });
        }
    });
}

/// What an engine says of itself whose API is too old.
pub const TOO_OLD: &str =
    r#"{"Version":"1.13.1","ApiVersion":"1.26","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64"}"#;

/// An engine with its machine.
pub struct DockerBed {
    /// Before its machine: it ends first.
    pub engine: Engine,
    machine: Machine,
}

impl DockerBed {
    /// An engine that has the image `base:1`; none where this user may not have one, which is said.
    pub fn new() -> Option<Self> {
        let machine = machine()?;
        let engine = Engine::start(&machine);
        engine.make_base("base");
        Some(Self { engine, machine })
    }

    /// The one that all tests of this program have in common. It ends when the program does.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<DockerBed>> = OnceLock::new();
        SHARED.get_or_init(Self::new).as_ref()
    }

    /// The machine that the engine runs on.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Where published ports are, seen from here.
    pub fn address(&self) -> Ipv4Addr {
        self.machine.address()
    }

    /// Starts the engine again, with what it has kept on its disk; kills it first where it runs.
    pub fn restart(&mut self) {
        self.engine.restart(&self.machine);
    }
}

/// The layer of an image that holds a static `busybox`.
fn busybox() -> &'static [u8] {
    static LAYER: OnceLock<Vec<u8>> = OnceLock::new();
    LAYER.get_or_init(|| {
        let place = Command::new("sh").args(["-c", "command -v busybox"]).output().expect("`sh` runs").stdout;
        let place = String::from_utf8_lossy(&place).trim().to_owned();
        assert!(!place.is_empty(), "there is no `busybox`: `sudo apt-get install busybox-static`");
        let folder = tempfile::tempdir().expect("a directory");
        for made in ["bin", "www", "tmp"] {
            fs::create_dir(folder.path().join(made)).expect("made");
        }
        fs::copy(&place, folder.path().join("bin/busybox")).expect("copied");
        for name in ["sh", "cat", "dd", "echo", "sleep"] {
            std::os::unix::fs::symlink("busybox", folder.path().join("bin").join(name)).expect("linked");
        }
        let fixed = ["--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--sort=name"];
        let mut tar = Command::new("tar");
        tar.args(fixed).arg("-C").arg(folder.path()).args(["-c", "bin", "www", "tmp"]);
        let output = tar.stdin(Stdio::null()).output().expect("`tar` runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.len() < 3 << 20, "{} bytes are too many for the tests", output.stdout.len());
        output.stdout
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_runs_what_it_is_given_and_leaves_neither_processes_nor_cgroups_behind() {
        let Some(mut bed) = DockerBed::new() else { return };
        let at = Path::new("/sys/fs/cgroup");
        let name = cgroup(bed.machine.holder.id());
        let cgroups = || {
            let all = fs::read_dir(at).expect("cgroups").flatten().map(|entry| entry.path());
            all.chain([at.to_owned()]).filter(|root| root.join(&name).is_dir()).count()
        };
        let run = |bed: &DockerBed| {
            let json = r#"{"Image":"base:1","ExposedPorts":{"8080/tcp":{}},"HostConfig":{"PortBindings":{"8080/tcp":[{"HostPort":"80"}]}}}"#;
            let ask = |path: &str, body: &str| {
                bed.engine.ask("POST", path, "application/json", body.as_bytes()).expect("it answers")
            };
            let answer = ask("/containers/create", json);
            let id = answer.split("\"Id\":\"").nth(1).unwrap_or_else(|| panic!("{answer}"))[..64].to_owned();
            let started = ask(&format!("/containers/{id}/start"), "");
            assert!(started.contains(" 204 "), "{started}");
            let begun = Instant::now();
            while std::net::TcpStream::connect((bed.address(), 80)).is_err() {
                assert!(begun.elapsed() < PATIENCE, "it does not serve");
                std::thread::sleep(Duration::from_millis(5));
            }
            id
        };
        let id = run(&bed);
        assert!(cgroups() > 0);
        let there = |id: &str| {
            let all = fs::read_dir("/proc").expect("/proc").flatten();
            all.filter_map(|entry| fs::read_to_string(entry.path().join("cgroup")).ok()).any(|text| text.contains(id))
        };
        assert!(there(&id));
        bed.restart();
        assert!(!there(&id), "it has gone with its engine");
        let kept = bed.engine.ask("GET", &format!("/containers/{id}/json"), "", &[]).expect("it answers");
        assert!(kept.contains("\"Running\":false"), "{kept}");
        let second = run(&bed);
        drop(bed);
        let begun = Instant::now();
        while there(&second) {
            assert!(begun.elapsed() < PATIENCE, "it goes with its engine");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(cgroups(), 0);
    }
}
