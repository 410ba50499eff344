//! Whole commands on many hosts, and what guarding one costs: real `sshd`s on this machine.
//!
//! `cargo build --release -p pleach && cargo bench -p pleach-bench --bench fleet` (`PLEACH_BENCH_HOSTS`,
//! `PLEACH_BENCH_ROUNDS`, `PLEACH_BENCH_ONLY`: `nothing`, `facts`, `watchdog` or `guard`).

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong, and prints rounded figures"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use pleach_bench::{
    Hosts, Peers, Table, Told, Variant, describe_machine, git, in_turn, own_client, peak_memory, pleach, run, scratch,
    watched,
};
use pleach_core::port::{
    Call, Command as RemoteCommand, Effect, FencingToken, Holder, Lease, LeaseRequest, Leases as _, NoLines, Shell as _,
};
use pleach_core::word::{EnvironmentName, RunId, TargetName};
use pleach_remote::guard::{Guard, TargetLeases};
use pleach_remote::ssh::{Destination, Link, SshShell};
use pleach_testbed::sshd::user;
use tokio_util::sync::CancellationToken;

/// Targets on each host where facts are read.
const TARGETS: usize = 20;
/// Commands, or leases, one after the other.
const CALLS: usize = 200;
/// Files of the service that is deployed.
const FILES: usize = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, what, config, port, root] = arguments.as_slice()
        && word == "calls"
    {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        return runtime.block_on(calls(what, config, port, Path::new(root)));
    }
    let number =
        |name: &str, usual: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (count, rounds) = (number("PLEACH_BENCH_HOSTS", 50), number("PLEACH_BENCH_ROUNDS", 3));
    let only = std::env::var("PLEACH_BENCH_ONLY").unwrap_or_default();
    println!("{}", describe_machine());
    let peers = Peers::install();
    let hosts = Hosts::start(count, "");
    let chosen = |part: &str| part.contains(&only);
    if chosen("nothing") {
        nothing_to_do(&hosts, rounds, &peers);
    }
    if chosen("facts") {
        facts(&hosts, rounds, &peers);
    }
    if chosen("watchdog") {
        watchdog(&hosts, rounds.max(5));
    }
    if chosen("guard") {
        guard(&hosts, rounds.max(5), &peers);
    }
    for missing in &peers.missing {
        println!("not measured, it could not be installed: {missing}");
    }
}

/// A repository with one service of some files, for a number of targets on each host.
struct Project {
    folder: tempfile::TempDir,
    each: usize,
}

impl Project {
    fn new(hosts: &Hosts, each: usize) -> Self {
        let project = Self { folder: scratch("fleet"), each };
        let root = project.root();
        std::fs::create_dir_all(project.service()).expect("a folder");
        for file in 0..FILES {
            project.write(file, "1");
        }
        let mut config =
            "[project]\nname = \"fleet\"\n[services.front]\nbranch = \"main\"\npath = \"service\"\n".to_owned();
        let _ = writeln!(
            config,
            "[environments.uat]\nlimits = {{ parallel = 64 }}\n[environments.watched]\nwatchdog = \"10m\""
        );
        for (at, port) in hosts.ports.iter().enumerate() {
            for target in 0..each {
                let place = project.folder.path().join(format!("targets/{at}-{target}"));
                let settings = format!(
                    "kind = \"ssh\"\nhost = \"target\"\nport = {port}\npath = \"{}\"\nssh-config = \"{}\"\n",
                    place.display(),
                    hosts.config().display()
                );
                let _ = write!(config, "[environments.uat.targets.h{at}-{target}]\n{settings}");
                if at == 0 && target == 0 {
                    let _ = write!(config, "[environments.watched.targets.h]\n{}", settings.replace("0-0", "watched"));
                    let _ = write!(config, "[environments.plain.targets.h]\n{}", settings.replace("0-0", "plain"));
                }
            }
        }
        std::fs::write(root.join("pleach.toml"), config).expect("a config");
        git(Path::new("."), &["init", "-q", "-b", "main", &root.to_string_lossy()]);
        project.commit();
        project
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    fn service(&self) -> PathBuf {
        self.root().join("service")
    }

    fn write(&self, file: usize, version: &str) {
        let text = format!("file {file}, version {version}\n").repeat(40);
        std::fs::write(self.service().join(format!("file_{file}")), text).expect("a file");
    }

    fn commit(&self) {
        git(&self.root(), &["add", "."]);
        git(&self.root(), &["commit", "-qm", "Bench"]);
    }

    /// Runs the command; gives what it answered and its memory.
    fn pleach(&self, words: &[&str]) -> (String, u64) {
        let (output, peak) = watched(Command::new(pleach()).args(words).current_dir(self.root()));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "pleach {words:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        (said, peak)
    }

    /// On how many targets all of the service lies as it is here.
    fn arrived(&self, environment: &str, hosts: usize) -> usize {
        let places = (0..hosts).flat_map(|at| (0..self.each).map(move |target| format!("{at}-{target}")));
        let places: Vec<String> = if environment == "uat" { places.collect() } else { vec![environment.to_owned()] };
        let is_there = |place: &&String| {
            let current = self.folder.path().join("targets").join(place).join("front/current");
            let mut diff = Command::new("diff");
            diff.args(["-rq", "--exclude=.*"]).arg(self.service()).arg(current);
            diff.output().is_ok_and(|output| output.status.success())
        };
        places.iter().filter(is_there).count()
    }
}

fn print(title: String, figures: &[pleach_bench::Figure], told: &Told, expected: usize) {
    let mut table = Table::new(title, &Table::FIGURES);
    table.figures(figures);
    table.print();
    told.print(figures, expected);
}

/// A deployment where all is as it should be; peers look at the same files on as many hosts.
fn nothing_to_do(hosts: &Hosts, rounds: usize, peers: &Peers) {
    let project = Project::new(hosts, 1);
    let count = hosts.ports.len();
    project.pleach(&["deploy", "uat", "--yes"]);
    assert_eq!(project.arrived("uat", count), count, "the first deployment");
    let (folder, ports, user, source) =
        (hosts.folder(), hosts.listed(), user(), project.service().to_string_lossy().into_owned());
    let words = [folder.as_str(), &user, &source, &ports];
    let told = &Told::default();
    let mut variants = vec![Variant::new("pleach deploy", || {
        let (said, peak) = project.pleach(&["deploy", "uat", "--yes"]);
        let seen = said.lines().filter(|line| line.starts_with("front ")).count();
        told.keep("pleach deploy", if said.starts_with("nothing to do") { seen } else { 0 }, peak);
    })];
    for (name, package, file) in [
        ("Ansible, copy of one file", "ansible-core", "ansible_copy.sh"),
        ("pyinfra, files.sync (peer)", "pyinfra", "pyinfra_copy.sh"),
    ] {
        if peers.has(package) {
            for port in &hosts.ports {
                // What was brought there before; its own first time would take minutes.
                run(Command::new("cp").arg("-a").arg(&source).arg(hosts.bed.at(&format!("{package}-{port}"))));
            }
            variants.push(Variant::new(name, move || told.run(name, peers.script(file).args(words))));
        }
    }
    let figures = in_turn(rounds, variants);
    print(
        format!("nothing to change on {count} hosts ({FILES} files each), median of {rounds}"),
        &figures,
        told,
        count,
    );
}

/// A plan of many targets; the peer asks each host as many times.
fn facts(hosts: &Hosts, rounds: usize, peers: &Peers) {
    let project = Project::new(hosts, TARGETS);
    let count = hosts.ports.len() * TARGETS;
    let (folder, ports, user, each) = (hosts.folder(), hosts.listed(), user(), TARGETS.to_string());
    let words = [folder.as_str(), &user, &each, &ports];
    let told = &Told::default();
    let ours = |name: &'static str| {
        let project = &project;
        move || {
            let (said, peak) = project.pleach(&["plan", "uat", "--json"]);
            let plan: serde_json::Value = serde_json::from_str(&said).expect("a plan");
            told.keep(name, plan["targets"].as_array().map_or(0, Vec::len), peak);
        }
    };
    let mut variants = vec![Variant::new("pleach plan", ours("pleach plan"))];
    if peers.has("pyinfra") {
        let run = move || told.run("pyinfra, a command each", peers.script("pyinfra.sh").args(words));
        variants.push(Variant::new("pyinfra, a command each", run));
    }
    let name = "OpenSSH multiplexed, a command each (peer)";
    variants.push(Variant::new(name, move || told.run(name, peers.script("openssh_mux.sh").args(words))));
    let figures = in_turn(rounds, variants);
    print(
        format!("plan with facts of {count} targets on {} hosts, median of {rounds}", hosts.ports.len()),
        &figures,
        told,
        count,
    );
}

/// The same change with and without a watchdog, on one host.
fn watchdog(hosts: &Hosts, rounds: usize) {
    let project = Project::new(hosts, 1);
    let (told, version) = (Told::default(), std::cell::Cell::new(1));
    let variant = |name: &'static str, environment: &'static str| {
        let (project, told, version) = (&project, &told, &version);
        Variant::new(name, move || {
            let (_, peak) = project.pleach(&["deploy", environment, "--yes"]);
            told.keep(name, 1, peak);
        })
        .prepared(move || {
            version.set(version.get() + 1);
            project.write(0, &version.get().to_string());
            project.commit();
        })
        .checked(move || project.arrived(environment, 1) == 1)
    };
    let figures = in_turn(rounds, vec![variant("with a watchdog", "watched"), variant("without (peer)", "plain")]);
    print(format!("a change to one host, with and without a watchdog, median of {rounds}"), &figures, &told, 1);
    let (with, without) = (figures[0].wall(), figures[1].wall());
    println!(
        "\na watchdog costs {:.0} ms a deployment and host",
        (with.as_secs_f64() - without.as_secs_f64()) * 1000.0
    );
}

/// Commands one after the other on one host: unguarded, guarded, and each under a lease of its own.
fn guard(hosts: &Hosts, rounds: usize, peers: &Peers) {
    let place = scratch("guard");
    let (config, root) = (hosts.config().to_string_lossy().into_owned(), place.path().to_string_lossy().into_owned());
    let port = hosts.ports[0].to_string();
    let (folder, user, calls, told) = (hosts.folder(), user(), CALLS.to_string(), &Told::default());
    let words = [folder.as_str(), &user, &calls, &port];
    let mut variants = Vec::new();
    for (name, what) in [
        ("a lease: taken and given back", "lease"),
        ("a lease: renewed", "renew"),
        ("a command that may change something", "write"),
        ("a command that only looks", "read"),
    ] {
        let (config, port, root) = (&config, &port, &root);
        let run = move || told.run(name, &mut own_client(&["calls", what, config, port, root]));
        variants.push(Variant::new(name, run));
    }
    let name = "OpenSSH multiplexed (peer)";
    variants.push(Variant::new(name, move || told.run(name, peers.script("openssh_mux.sh").args(words))));
    let figures = in_turn(rounds, variants);
    print(format!("{CALLS} calls on one connection, one after the other, median of {rounds}"), &figures, told, CALLS);
    for figure in &figures {
        println!("{}: {:.2} ms each", figure.name, figure.wall().as_secs_f64() * 1000.0 / CALLS as f64);
    }
}

/// Ours, in a process of its own.
async fn calls(what: &str, config: &str, port: &str, root: &Path) {
    let destination =
        Destination { config: Some(config.into()), port: port.parse().ok(), ..Destination::new("target") };
    let root = &root.join(what);
    std::fs::create_dir_all(root).expect("a folder");
    let shell = SshShell::new(Link::to(destination), root);
    let mut answers = 0;
    if what == "lease" || what == "renew" {
        answers = leases(what, shell, root).await;
    } else {
        let effect = if what == "write" { Effect::Write } else { Effect::Read };
        for number in 0..CALLS {
            let cancel = CancellationToken::new();
            let call = Call { token: Some(FencingToken(1)), lines: &NoLines, cancel: &cancel };
            let mut command = RemoteCommand::read(["echo", &number.to_string()]);
            command.effect = effect;
            let ran = shell.run(&command, call).await;
            answers += usize::from(ran.is_ok_and(|ran| ran.stdout == format!("{number}\n").as_bytes()));
        }
    }
    println!("answers {answers}\npeak {}", peak_memory() / 1024);
}

async fn leases(what: &str, shell: SshShell, root: &Path) -> usize {
    let holder = Holder { user: user(), host: "elsewhere".into(), boot: "1".into(), process: 7, process_start: 9 };
    let leases = TargetLeases::new(Arc::new(shell), Guard::below(root), holder, Arc::new(|_| false));
    let request = LeaseRequest {
        environment: EnvironmentName::new("uat").expect("a name"),
        target: TargetName::new("h").expect("a name"),
        run: RunId::new("bench").expect("a name"),
        reason: "measures".into(),
        lifetime: Duration::from_secs(600),
    };
    let mut answers = 0;
    let mut held: Option<Lease> = None;
    for _ in 0..CALLS {
        let lease = match held.take() {
            Some(lease) => lease,
            None => leases.acquire(&request).await.expect("a lease"),
        };
        if what == "lease" {
            answers += usize::from(leases.release(&lease).await.is_ok());
        } else {
            let renewed = leases.renew(&lease).await;
            answers += usize::from(renewed.is_ok());
            held = renewed.ok();
        }
    }
    if let Some(lease) = held {
        leases.release(&lease).await.expect("given back");
    }
    answers
}
