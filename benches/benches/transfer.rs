//! Trees to hosts, the first time and again, and one stream of bytes: beside rsync, scp and ssh, to real `sshd`s here.
//!
//! `cargo bench -p pleach-bench --bench transfer` (`PLEACH_BENCH_HOSTS`, `PLEACH_BENCH_ROUNDS`, `PLEACH_BENCH_ONLY`, a part
//! of a title). What arrived is compared with what was sent, after each round.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong, and prints rounded figures"
)]

use std::cell::RefCell;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use pleach_bench::{
    Figure, Hosts, Relay, Table, Told, TwoTrees, Variant, describe_machine, in_turn, own_client, peak_memory, run,
    scratch,
};
use pleach_core::port::{
    Call, Command as RemoteCommand, FencingToken, Files as _, LineSink, NoLines, Shell as _, SourceRef, Stream,
};
use pleach_core::word::CommitId;
use pleach_git::{GitSource, Repository};
use pleach_remote::ssh::{Destination, Link, SshFiles, SshShell};
use tokio_util::sync::CancellationToken;

const SFTP: &str = "Subsystem sftp internal-sftp";
const STREAM: u64 = 512 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    match words.as_slice() {
        ["put", config, repository, commit, root, name, ports] => {
            runtime.block_on(put(config, repository, commit, root, name, ports));
        }
        ["output", config, port, file] => runtime.block_on(output(config, port, file)),
        ["input", config, port, file, to] => runtime.block_on(input(config, port, file, to)),
        _ => measure_all(),
    }
}

fn link(config: &str, port: &str) -> Arc<Link> {
    let config = Some(PathBuf::from(config));
    Link::to(Destination { config, port: port.parse().ok(), ..Destination::new("target") })
}

/// Ours: the tree of a commit to `ROOT/PORT/NAME` of each host, as the step `upload` does it.
async fn put(config: &str, repository: &str, commit: &str, root: &str, name: &str, ports: &str) {
    let repository = Repository::discover(Path::new(repository)).expect("a repository");
    let source = Arc::new(GitSource::new(repository));
    let tree = SourceRef { commit: CommitId::new(commit).expect("a commit"), path: PathBuf::new() };
    let mut hosts = tokio::task::JoinSet::new();
    for port in ports.split(',') {
        let root = Path::new(root).join(port);
        let (place, source, tree) = (root.join(name), source.clone(), tree.clone());
        let files = SshFiles::new(SshShell::new(link(config, port), root));
        hosts.spawn(async move {
            let put = files.put_tree(&place, source, &tree, Some(FencingToken(1))).await;
            put.inspect_err(|failure| eprintln!("{failure:?}")).is_ok()
        });
    }
    let answers = hosts.join_all().await.into_iter().filter(|done| *done).count();
    println!("answers {answers}\npeak {}", peak_memory() / 1024);
}

/// Compares each line with that of the file, which repeats its first MiB.
struct Compared {
    lines: Vec<String>,
    seen: AtomicU64,
    wrong: AtomicU64,
}

impl LineSink for Compared {
    fn line(&self, stream: Stream, line: &str) {
        let at = self.seen.fetch_add(1, Ordering::Relaxed);
        let expected = &self.lines[usize::try_from(at).unwrap_or(0) % self.lines.len()];
        if stream != Stream::Stdout || expected != line {
            self.wrong.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Ours: what a command prints, line by line.
async fn output(config: &str, port: &str, file: &str) {
    let lines = block().lines().map(str::to_owned).collect();
    let compared = Compared { lines, seen: AtomicU64::new(0), wrong: AtomicU64::new(0) };
    let cancel = CancellationToken::new();
    let call = Call { token: None, lines: &compared, cancel: &cancel };
    let ran = SshShell::new(link(config, port), "/").run(&RemoteCommand::read(["cat", file]), call).await;
    let whole = compared.seen.into_inner() == compared.lines.len() as u64 * (STREAM >> 20);
    let right = ran.is_ok_and(|ran| ran.succeeded()) && whole && compared.wrong.into_inner() == 0;
    println!("answers {}\npeak {}", usize::from(right), peak_memory() / 1024);
}

/// Ours: what a command reads. It is in memory before the time begins, as files are in the kernel's for the others.
async fn input(config: &str, port: &str, file: &str, to: &str) {
    let cancel = CancellationToken::new();
    let call = Call { token: None, lines: &NoLines, cancel: &cancel };
    let mut command = RemoteCommand::read(["dd", &format!("of={to}"), "bs=256K", "iflag=fullblock", "status=none"]);
    command.stdin = Some(fs::read(file).expect("it was written").into());
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).expect("a line");
    let ran = SshShell::new(link(config, port), "/").run(&command, call).await;
    println!("answers {}\npeak {}", usize::from(ran.is_ok_and(|ran| ran.succeeded())), peak_memory() / 1024);
}

/// A MiB of lines.
fn block() -> String {
    let mut text = String::with_capacity(1 << 20);
    for line in 0..(1 << 20) / 128 {
        text += &format!("{line:<127}\n");
    }
    text
}

/// The size of each file.
type Sizes = fn(usize) -> usize;

fn measure_all() {
    let number =
        |name: &str, usual: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (hosts, rounds) = (number("PLEACH_BENCH_HOSTS", 50), number("PLEACH_BENCH_ROUNDS", 3));
    let only = std::env::var("PLEACH_BENCH_ONLY").unwrap_or_default();
    println!("{}", describe_machine());
    let shapes: [(&str, usize, usize, Sizes); 3] = [
        ("20 MB in 1,000 files", hosts, 1000, |_| 20_000),
        ("20 MB in one file", hosts, 1, |_| 20_000_000),
        // Half of them below 2 KiB, as in a repository.
        ("a tree of 40,000 files", 1, 40_000, |file| 100 + file % 7 * (file % 11) * 200),
    ];
    for (title, hosts, files, size) in shapes {
        if title.contains(&only) {
            let place = scratch("transfer");
            let trees = TwoTrees::make(place.path(), files, size);
            let title = format!("{title} ({:.1} MB)", trees.bytes as f64 / 1e6);
            let scene = Scene { hosts: Hosts::start(hosts, SFTP), trees, place: place.path().join("hosts"), rounds };
            scene.measure(&title);
        }
    }
    if "one stream".contains(&only) {
        measure_streams(rounds);
    }
}

/// Who sends a tree.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Pleach,
    Scp,
    /// Into the tree that is there.
    Rsync,
    /// Beside the tree that is there, what is the same copied from it: what Pleach does.
    RsyncBeside,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Pleach => "pleach",
            Self::Scp => "scp -r",
            Self::Rsync => "rsync -a (peer)",
            Self::RsyncBeside => "rsync -a --copy-dest, beside",
        }
    }

    /// Whether a second tree comes beside the first.
    fn beside(self) -> bool {
        matches!(self, Self::Pleach | Self::RsyncBeside)
    }
}

struct Scene {
    hosts: Hosts,
    trees: TwoTrees,
    place: PathBuf,
    rounds: usize,
}

impl Scene {
    fn root(&self, way: Way, port: u16) -> PathBuf {
        self.place.join(way.name().replace(' ', "-")).join(port.to_string())
    }

    /// Sends a version of the tree to hosts, all at once.
    fn send(&self, way: Way, version: usize, name: &str, ports: &[u16], told: &Told) {
        let (config, source) = (self.hosts.config(), &self.trees.folders[version]);
        let (config, source) = (config.display(), source.display());
        let listed: Vec<String> = ports.iter().map(u16::to_string).collect();
        let to = format!("{}/{{}}/{name}", self.place.join(way.name().replace(' ', "-")).display());
        let ssh = format!("ssh -F {config} -p {{}}");
        let words: Vec<String> = match way {
            Way::Pleach => {
                let root = self.place.join(way.name());
                let (root, config) = (root.to_string_lossy(), config.to_string());
                let repository = self.trees.repository.to_string_lossy();
                let commit = self.trees.commits[version].as_str();
                let words = ["put", &config, &repository, commit, &root, name, &listed.join(",")];
                return told.run(way.name(), &mut own_client(&words));
            }
            Way::Scp => {
                let mut words = vec!["scp".into(), "-rqF".into(), config.to_string(), "-P".into(), "{}".into()];
                // Its meaning of a folder that is there is to put this one below it.
                let parts = fs::read_dir(&self.trees.folders[version]).expect("a tree").flatten();
                words.extend(parts.map(|part| part.path().to_string_lossy().into_owned()));
                words.push(format!("target:{to}/"));
                words
            }
            Way::Rsync => {
                vec!["rsync".into(), "-a".into(), "-e".into(), ssh, format!("{source}/"), format!("target:{to}/")]
            }
            Way::RsyncBeside => {
                let copy = "--copy-dest=../first".to_owned();
                vec!["rsync".into(), "-a".into(), copy, "-e".into(), ssh, format!("{source}/"), format!("target:{to}/")]
            }
        };
        let mut xargs =
            Command::new("xargs").args(["-P50", "-I{}"]).args(words).stdin(Stdio::piped()).spawn().expect("xargs");
        xargs.stdin.take().expect("piped").write_all(listed.join("\n").as_bytes()).expect("fed");
        let done = xargs.wait().is_ok_and(|status| status.success());
        told.keep(way.name(), if done { ports.len() } else { 0 }, 0);
    }

    /// No host has anything.
    fn clear(&self, way: Way, ports: &[u16]) {
        for port in ports {
            let root = self.root(way, *port);
            let _ = fs::remove_dir_all(&root);
            // `scp` makes no folders above.
            fs::create_dir_all(if way == Way::Scp { root.join("first") } else { root }).expect("a folder");
        }
    }

    /// Each host has the first version.
    fn reset(&self, way: Way, ports: &[u16]) {
        for port in ports {
            let root = self.root(way, *port);
            if way.beside() {
                let _ = fs::remove_dir_all(root.join("again"));
                if way == Way::Pleach {
                    // What is noted of the last tree has to be that of the first one again.
                    let (noted, kept) = (root.join(".pleach/tree"), root.join("kept"));
                    if kept.exists() {
                        fs::remove_dir_all(&noted).expect("removed");
                    }
                    let (from, to) = if kept.exists() { (&kept, &noted) } else { (&noted, &kept) };
                    run(Command::new("cp").arg("-a").args([from, to]));
                }
            } else {
                let (from, to) = (self.trees.folders[0].join(""), root.join("first"));
                run(Command::new("rsync").args(["-a", "--delete"]).arg(from).arg(to.join("")));
            }
        }
    }

    fn measure(&self, title: &str) {
        let (hosts, rounds) = (self.hosts.ports.len(), self.rounds);
        let relay = self.relay();
        let all = [Way::Pleach, Way::RsyncBeside, Way::Rsync];
        let first = [Way::Pleach, Way::Scp, Way::Rsync];
        // It asks for each file and waits: one look at so many is enough.
        let scp_once = self.trees.files > 10_000;
        let first: Vec<Way> = first.into_iter().filter(|way| *way != Way::Scp || !scp_once).collect();
        for (what, version, name, ways) in [
            ("the first time", 0, "first", &first),
            // `scp` knows no again.
            ("again, nothing changed", 0, "again", &all.to_vec()),
            ("again, 1 % changed", 1, "again", &all.to_vec()),
        ] {
            let told = Told::default();
            if name == "again" {
                for port in &self.hosts.ports {
                    self.copy_first(Way::RsyncBeside, *port);
                }
                self.copy_first(Way::RsyncBeside, relay.port);
            }
            let variant = |way: &Way| {
                let (way, told) = (*way, &told);
                let name = if way.beside() { name } else { "first" };
                let prepare = move |ports: &[u16]| {
                    if what == "the first time" { self.clear(way, ports) } else { self.reset(way, ports) }
                };
                Variant::new(way.name(), move || self.send(way, version, name, &self.hosts.ports, told))
                    .prepared(move || prepare(&self.hosts.ports))
                    .checked(move || {
                        let right = |port: &u16| self.trees.is(version, &self.root(way, *port).join(name));
                        let right = self.hosts.ports.iter().all(right);
                        if name == "again" {
                            self.reset(way, &self.hosts.ports);
                        }
                        right
                    })
            };
            let figures = in_turn(rounds, ways.iter().map(variant).collect());
            // Only now, because the relay would take its part of the processor.
            let counted = ways.iter().map(|way| {
                let name = if way.beside() { name } else { "first" };
                if what == "the first time" {
                    self.clear(*way, &[relay.port])
                } else {
                    self.reset(*way, &[relay.port])
                }
                relay.take();
                self.send(*way, version, name, &[relay.port], &Told::default());
                relay.take()
            });
            print(&format!("{title} to {hosts} hosts, {what}, median of {rounds}"), &figures, counted.collect());
            told.print(&figures, hosts);
            if scp_once && name == "first" {
                self.clear(Way::Scp, &self.hosts.ports);
                let begun = Instant::now();
                self.send(Way::Scp, version, name, &self.hosts.ports, &told);
                println!("\nscp -r, once: {:.3} s", begun.elapsed().as_secs_f64());
            }
        }
    }

    /// The first version, as another way has brought it there.
    fn copy_first(&self, way: Way, port: u16) {
        let (from, to) = (self.root(Way::Rsync, port).join("first"), self.root(way, port).join("first"));
        if !to.exists() {
            fs::create_dir_all(self.root(way, port)).expect("a folder");
            run(Command::new("cp").arg("-a").args([from, to]));
        }
    }

    /// In front of the first host.
    fn relay(&self) -> Relay {
        let relay = Relay::to(self.hosts.ports[0]);
        let known = fs::read_to_string(self.hosts.bed.at("known_hosts")).expect("a file");
        let key = fs::read_to_string(self.hosts.bed.at("host.pub")).expect("a key");
        self.hosts.bed.write("known_hosts", &format!("{known}[127.0.0.1]:{} {key}", relay.port));
        relay
    }
}

fn print(title: &str, figures: &[Figure], counted: Vec<u64>) {
    let mut table = Table::new(title, &Table::FIGURES);
    table.figures(figures);
    table.print();
    let mut wire = Table::new("both ways to one host", &["variant", "MB"]);
    for (figure, bytes) in figures.iter().zip(counted) {
        wire.row(vec![figure.name.clone(), format!("{:.2}", bytes as f64 / 1e6)]);
    }
    wire.print();
}

/// Starts our client, up to the moment before it sends.
fn load(words: &[&str]) -> Child {
    let mut client = own_client(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut ready = [0; 6];
    client.stdout.as_mut().expect("piped").read_exact(&mut ready).expect("it is ready");
    client
}

/// Lets it send, to its end.
fn release(mut client: Child) -> Output {
    client.stdin.take().expect("piped").write_all(b"\n").expect("it listens");
    client.wait_with_output().expect("it ends")
}

/// One stream of bytes in each direction.
fn measure_streams(rounds: usize) {
    let (hosts, place) = (Hosts::start(1, ""), scratch("stream"));
    let (file, arrived) = (place.path().join("file"), place.path().join("arrived"));
    fs::write(&file, block().repeat(usize::try_from(STREAM >> 20).expect("small"))).expect("room for the file");
    let (config, port) = (hosts.config().to_string_lossy().into_owned(), hosts.listed());
    let (from, to) = (file.to_string_lossy().into_owned(), arrived.to_string_lossy().into_owned());
    let ssh = |cipher: Option<&str>| {
        let mut command = Command::new("ssh");
        command.args(["-F", &config, "-p", &port]).args(cipher.map(|cipher| format!("-c{cipher}"))).arg("target");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let ciphers = [("ssh, AES-256-GCM as ours", Some("aes256-gcm@openssh.com")), ("ssh, its own choice (peer)", None)];
    let same = || run(Command::new("cmp").args([&file, &arrived]));
    let told = Told::default();
    for (what, client) in
        [("output", ["output", &config, &port, &from].as_slice()), ("input", &["input", &config, &port, &from, &to])]
    {
        let loaded = RefCell::new(None);
        let ours = Variant::new("pleach", || match loaded.take() {
            Some(client) => told.hear(what, &release(client)),
            None => told.run(what, &mut own_client(client)),
        });
        let mut variants = vec![ours.prepared(|| {
            let _ = fs::remove_file(&arrived);
            loaded.replace((what == "input").then(|| load(client)));
        })];
        for (name, cipher) in ciphers {
            let (ssh, file, from, to) = (&ssh, &file, &from, &to);
            let ssh_variant = Variant::new(name, move || {
                let mut command = ssh(cipher);
                if what == "output" {
                    command.args(["cat", from]);
                } else {
                    command.arg(format!("dd of={to} bs=256K iflag=fullblock status=none"));
                    command.stdin(fs::File::open(file).expect("it was written"));
                }
                assert!(command.status().is_ok_and(|status| status.success()), "ssh");
            });
            variants.push(ssh_variant.prepared(|| drop(fs::remove_file(&arrived))));
        }
        let variants = variants.into_iter().map(|variant| {
            if what == "input" {
                variant.checked(|| {
                    same();
                    true
                })
            } else {
                variant
            }
        });
        let figures = in_turn(rounds, variants.collect());
        let mut table = Table::new(format!("one stream of 512 MiB, {what}, median of {rounds}"), &Table::FIGURES);
        table.figures(&figures);
        table.print();
        told.print(&[Figure { name: what.into(), rounds: vec![], processor: vec![] }], 1);
        let ours = &figures[0];
        for peer in &figures[1..] {
            println!("throughput beside {}: {:.2}", peer.name, 1.0 / ours.ratio(peer));
        }
    }
}
