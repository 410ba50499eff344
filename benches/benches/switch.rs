//! Releases that take turns behind a real HAProxy under load: how long a switch takes, what is lost, and the longest wait for
//! an answer. Beside an operator who types the same commands into the admin socket, and one who writes the file and reloads.
//!
//! `cargo bench -p pleach-bench --bench switch` (`PLEACH_BENCH_SWITCHES`, `PLEACH_BENCH_ROUNDS`). Ours is all of step `lead` and of
//! what follows it: the file checked and written, both sides read back, the old release drained and taken out.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong, and prints rounded figures"
)]

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pleach_bench::{Table, describe_machine, median, own_client};
use pleach_remote::proxy;
use pleach_testbed::meanwhile::meanwhile_all;
use pleach_testbed::port::free_ports;
use pleach_testbed::sshd::kill;
use serde_json::{Value, json};

/// Between two switches, so that all ways meet the same load.
const PAUSE: Duration = Duration::from_millis(50);

/// The ways to switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Ours,
    Typed,
    Reload,
}

impl Way {
    const ALL: [Self; 3] = [Self::Ours, Self::Typed, Self::Reload];

    fn name(self) -> &'static str {
        match self {
            Self::Ours => "pleach: file and run time, read back, drained",
            Self::Typed => "two weights typed into the admin socket (peer)",
            Self::Reload => "the file written and HAProxy reloaded (peer)",
        }
    }
}

/// What one way has come to in one round.
struct Seen {
    asked: usize,
    lost: usize,
    longest: Duration,
    each: Duration,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "proxy") {
        return proxy::main(words.into_iter().skip(1));
    }
    let number =
        |name: &str, usual: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (switches, rounds) = (number("PLEACH_BENCH_SWITCHES", 100), number("PLEACH_BENCH_ROUNDS", 3));
    println!("{}", describe_machine());
    let mut seen: Vec<(Way, Vec<Seen>)> = Way::ALL.map(|way| (way, Vec::new())).into();
    for _ in 0..rounds {
        for (way, rounds) in &mut seen {
            rounds.push(Scene::new(*way).measure(*way, switches));
        }
    }
    let title = format!("{switches} switches under the load of four clients, {rounds} rounds");
    let mut table = Table::new(title, &["variant", "a switch", "requests", "lost", "longest wait"]);
    for (way, rounds) in &seen {
        let longest = rounds.iter().map(|seen| seen.longest).max().unwrap_or_default();
        let each: Vec<Duration> = rounds.iter().map(|seen| seen.each).collect();
        table.row(vec![
            way.name().to_owned(),
            format!("{:.1} ms", median(&each).as_secs_f64() * 1e3),
            rounds.iter().map(|seen| seen.asked).sum::<usize>().to_string(),
            rounds.iter().map(|seen| seen.lost).sum::<usize>().to_string(),
            format!("{:.0} ms", longest.as_secs_f64() * 1e3),
        ]);
    }
    table.print();
    ExitCode::SUCCESS
}

/// A HAProxy with two servers behind it; all of it ends with the benchmark.
struct Scene {
    folder: tempfile::TempDir,
    /// The public one; the two behind it are the servers'.
    port: u16,
    master: Child,
}

impl Drop for Scene {
    fn drop(&mut self) {
        kill(self.master.id(), "TERM");
        let _ = self.master.wait();
    }
}

impl Scene {
    fn new(way: Way) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a directory"), free_ports(3));
        let at = |name: &str| folder.path().join(name);
        let own = format!("global\n  stats socket {} level admin mode 600\n", at("admin.sock").display());
        fs::write(at("haproxy.cfg"), own).expect("written");
        fs::write(at("pleach.cfg"), "").expect("written");
        for server in [port + 1, port + 2] {
            serve(server);
        }
        let mut haproxy = Command::new("haproxy");
        haproxy.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg("-W").arg("-f").arg(at("haproxy.cfg"));
        haproxy.arg("-f").arg(at("pleach.cfg")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let master = haproxy.spawn().expect("`haproxy` is installed");
        fs::write(at("pid"), master.id().to_string()).expect("written");
        let scene = Self { folder, port, master };
        scene.until(|| scene.say("show info").is_some());
        scene.ask("ensure", &json!({ "place": scene.place(), "backend": scene.backend(0, way == Way::Ours) }));
        scene.until(|| get(port).is_ok());
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn until(&self, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(20), "HAProxy {} does not come so far", self.master.id());
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn place(&self) -> Value {
        let (own, pid) = (self.at("haproxy.cfg"), self.at("pid"));
        json!({
            "socket": self.at("admin.sock"),
            "file": self.at("pleach.cfg"),
            "check": ["/usr/sbin/haproxy", "-c", "-f", own, "-f", "{file}"],
            "reload": ["sh", "-c", format!("kill -USR2 $(cat {})", pid.display())],
        })
    }

    /// All goes to one of the two servers, and the other is drained or unused.
    fn backend(&self, to: u16, settled: bool) -> Value {
        let used = |server: u16, weight: u16| json!({ "used": { "address": format!("127.0.0.1:{}", self.port + 1 + server), "weight": weight } });
        let server = |server: u16| match (server == to, settled) {
            (true, _) => used(server, 256),
            (false, true) => json!("unused"),
            (false, false) => used(server, 0),
        };
        let bind = format!("127.0.0.1:{}", self.port);
        json!({ "name": "pleach-000000000000-app", "bind": bind, "blue": server(0), "green": server(1) })
    }

    fn ask(&self, verb: &str, request: &Value) {
        let mut command = own_client(&["proxy", verb]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
        child.stdin.take().expect("piped").write_all(request.to_string().as_bytes()).expect("sent");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stdout));
    }

    fn say(&self, line: &str) -> Option<String> {
        let mut socket = UnixStream::connect(self.at("admin.sock")).ok()?;
        socket.write_all(format!("{line}\n").as_bytes()).ok()?;
        let mut said = String::new();
        socket.read_to_string(&mut said).ok()?;
        Some(said)
    }

    fn switch(&self, way: Way, to: u16) {
        let names = ["blue", "green"];
        let (new, old) = (names[usize::from(to)], names[usize::from(1 - to)]);
        match way {
            Way::Ours => {
                self.ask("ensure", &json!({ "place": self.place(), "backend": self.backend(to, false) }));
                let name = "pleach-000000000000-app";
                self.ask("drain", &json!({ "place": self.place(), "name": name, "server": old, "limit": "10s" }));
                self.ask("ensure", &json!({ "place": self.place(), "backend": self.backend(to, true) }));
            }
            Way::Typed => {
                let app = "pleach-000000000000-app";
                self.say(&format!("set server {app}/{new} weight 256; set server {app}/{old} weight 0")).expect("said");
            }
            Way::Reload => {
                let (file, worker) = (self.at("pleach.cfg"), self.worker());
                let text = fs::read_to_string(&file).expect("there");
                let weighted = |line: &str| {
                    let server = |name: &str| line.trim_start().starts_with(&format!("server {name} "));
                    let (weight, at) = (if server(new) { 256 } else { 0 }, line.find(" weight "));
                    match at {
                        Some(at) if server(new) || server(old) => format!("{} weight {weight}\n", &line[..at]),
                        _ => format!("{line}\n"),
                    }
                };
                fs::write(&file, text.lines().map(weighted).collect::<String>()).expect("written");
                kill(self.master.id(), "USR2");
                let mut asked = Instant::now();
                self.until(|| {
                    // A master that is just done with a reload drops the next signal.
                    if asked.elapsed() > Duration::from_millis(100) {
                        kill(self.master.id(), "USR2");
                        asked = Instant::now();
                    }
                    self.worker().is_some_and(|now| Some(now) != worker)
                });
            }
        }
    }

    fn worker(&self) -> Option<String> {
        self.say("show info")?.lines().find_map(|line| line.strip_prefix("Pid: ")).map(str::to_owned)
    }

    fn measure(&self, way: Way, switches: usize) -> Seen {
        let mut clients = [true, true, false, false].map(|keeps| Asking { keeps, ..Asking::default() });
        let asks = clients.iter_mut().map(|client| || client.ask(self.port));
        let each = meanwhile_all(asks, || {
            let mut times = Vec::new();
            for at in 0..switches {
                let begun = Instant::now();
                self.switch(way, u16::from(at % 2 == 0));
                times.push(begun.elapsed());
                thread::sleep(PAUSE);
            }
            median(&times)
        });
        clients.iter().fold(Seen { asked: 0, lost: 0, longest: Duration::ZERO, each }, |seen, client| Seen {
            asked: seen.asked + client.asked,
            lost: seen.lost + client.lost,
            longest: seen.longest.max(client.longest),
            each,
        })
    }
}

/// A client that asks on: how often, how often in vain, and the longest wait.
#[derive(Default)]
struct Asking {
    keeps: bool,
    asked: usize,
    lost: usize,
    longest: Duration,
    kept: Option<BufReader<TcpStream>>,
}

impl Asking {
    fn ask(&mut self, port: u16) {
        let begun = Instant::now();
        self.asked += 1;
        match ask(port, self.keeps, self.kept.take()) {
            Ok(stream) => self.kept = stream,
            Err(_) => self.lost += 1,
        }
        self.longest = self.longest.max(begun.elapsed());
        // Otherwise the clients alone would keep the machine busy.
        thread::sleep(Duration::from_millis(1));
    }
}

/// One request and its answer; the connection, if it can be used again.
fn ask(port: u16, keeps: bool, kept: Option<BufReader<TcpStream>>) -> io::Result<Option<BufReader<TcpStream>>> {
    let mut stream = match kept {
        Some(stream) => stream,
        None => BufReader::new(TcpStream::connect(("127.0.0.1", port))?),
    };
    stream.get_ref().set_nodelay(true)?;
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(10)))?;
    let connection = if keeps { "keep-alive" } else { "close" };
    let request = format!("GET / HTTP/1.1\r\nHost: app\r\nConnection: {connection}\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes())?;
    let (mut length, mut closes, mut right) = (0, !keeps, false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        right |= line.starts_with("http/1.1 200");
        closes |= line == "connection: close";
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    if right { Ok((!closes).then_some(stream)) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn get(port: u16) -> io::Result<()> {
    ask(port, false, None).map(drop)
}

/// A server that answers each request of each connection, for as long as the benchmark lasts.
fn serve(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
}

fn answer(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        while line.trim_end() != "" || line.is_empty() {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
        }
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
    }
}
