//! Ten commands on each of fifty hosts, beside those who do the same: real `sshd`s on this machine.
//!
//! `cargo bench -p pleach-bench --bench hosts` (`PLEACH_BENCH_HOSTS`, `PLEACH_BENCH_ROUNDS`). The peers of PyPI are installed into
//! a virtual environment beside this program when it runs for the first time; those that cannot be are left out and told.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong, and prints rounded figures"
)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pleach_bench::{Table, Variant, describe_machine, in_turn, peak_memory};
use pleach_core::port::{Call, Command as RemoteCommand, NoLines, Shell as _};
use pleach_remote::ssh::{Destination, Link, SshShell};
use pleach_testbed::sshd::{Server, SshBed, user};
use tokio_util::sync::CancellationToken;

const COMMANDS: usize = 10;
const PACKAGES: [&str; 4] = ["asyncssh", "parallel-ssh", "pyinfra", "ansible-core"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, folder, commands, ports] = arguments.as_slice()
        && word == "client"
    {
        return client(Path::new(folder), commands.parse().expect("a number"), ports);
    }
    let number =
        |name: &str, usual: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (hosts, rounds) = (number("PLEACH_BENCH_HOSTS", 50), number("PLEACH_BENCH_ROUNDS", 5));
    println!("{}", describe_machine());
    let peers = peers();
    for options in ["", "MaxStartups 3:50:10\nMaxSessions 3"] {
        measure(hosts, rounds, options, &peers);
    }
}

/// Ours, in a process of its own: one connection a host, its commands one after the other, all hosts side by side.
fn client(folder: &Path, commands: usize, ports: &str) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let answers = runtime.block_on(async {
        let mut hosts = tokio::task::JoinSet::new();
        for port in ports.split(',') {
            let config = Some(folder.join("config"));
            let destination = Destination { config, port: port.parse().ok(), ..Destination::new("target") };
            let shell = SshShell::new(Link::to(destination), folder.join("root"));
            hosts.spawn(async move {
                let mut answers = 0;
                for number in 0..commands {
                    let cancel = CancellationToken::new();
                    let call = Call { token: None, lines: &NoLines, cancel: &cancel };
                    let ran = shell.run(&RemoteCommand::read(["echo", &number.to_string()]), call).await;
                    answers += usize::from(
                        ran.is_ok_and(|ran| ran.succeeded() && ran.stdout == format!("{number}\n").as_bytes()),
                    );
                }
                answers
            });
        }
        hosts.join_all().await.into_iter().sum::<usize>()
    });
    println!("answers {answers}\npeak {}", peak_memory() / 1024);
}

/// Where the programs of the peers are, and which are not.
struct Peers {
    programs: PathBuf,
    missing: Vec<&'static str>,
}

fn peers() -> Peers {
    let own = std::env::current_exe().expect("this program has a path");
    let folder = own.parent().and_then(Path::parent).expect("target/release").join("bench-peers");
    let quiet = |program: &Path, words: &[&str]| {
        let ran =
            Command::new(program).args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        ran.is_ok_and(|status| status.success())
    };
    let place = folder.to_string_lossy().into_owned();
    let programs = folder.join("bin");
    if !programs.join("python").exists() && !quiet(Path::new("python3"), &["-m", "venv", &place]) {
        return Peers { programs, missing: PACKAGES.to_vec() };
    }
    let missing = |package: &&&str| {
        let there = || quiet(&programs.join("python"), &["-m", "pip", "show", "-q", package]);
        !there() && !quiet(&programs.join("python"), &["-m", "pip", "install", "-q", package])
    };
    let missing = PACKAGES.iter().filter(missing).copied().collect();
    Peers { programs, missing }
}

struct Scene {
    bed: SshBed,
    _servers: Vec<Server>,
    ports: String,
}

fn scene(hosts: usize, options: &str) -> Scene {
    let bed = SshBed::new(options);
    let servers: Vec<Server> = (0..hosts).map(|_| bed.second(options)).collect();
    let ports: Vec<String> = servers.iter().map(|server| server.port.to_string()).collect();
    Scene { bed, ports: ports.join(","), _servers: servers }
}

fn measure(hosts: usize, rounds: usize, options: &str, peers: &Peers) {
    let scene = scene(hosts, options);
    let folder = scene.bed.at("").to_string_lossy().trim_end_matches('/').to_owned();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let own = std::env::current_exe().expect("this program has a path");
    let commands = COMMANDS.to_string();
    let told: RefCell<BTreeMap<String, (usize, u64)>> = RefCell::default();
    let python = peers.programs.join("python");
    let path = format!("{}:{}", peers.programs.display(), std::env::var("PATH").unwrap_or_default());
    let start = |name: &str, program: &Path, words: Vec<String>| {
        let mut command = Command::new(program);
        command.args(words).env("PATH", &path).stdin(Stdio::null()).stderr(Stdio::null());
        let output = command.output().unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let figure = |word: &str| text.lines().find_map(|line| line.strip_prefix(word)?.trim().parse::<u64>().ok());
        let mut told = told.borrow_mut();
        let entry = told.entry(name.to_owned()).or_insert((usize::MAX, 0));
        entry.0 = entry.0.min(figure("answers").map_or(0, |answers| usize::try_from(answers).unwrap_or(0)));
        entry.1 = entry.1.max(figure("peak").unwrap_or(0));
    };
    let usual = || vec![folder.clone(), user(), commands.clone(), scene.ports.clone()];
    let script = |file: &str| scripts.join(file).to_string_lossy().into_owned();
    let mut variants = vec![Variant::new("pleach", || {
        start("pleach", &own, vec!["client".into(), folder.clone(), commands.clone(), scene.ports.clone()]);
    })];
    let there = |package: &str| !peers.missing.contains(&package);
    for (name, file) in [("parallel-ssh", "parallel_ssh_client.py")] {
        if there(name) {
            let (words, start, python) = ([vec![script(file)], usual()].concat(), &start, &python);
            variants.push(Variant::new(name, move || start(name, python, words.clone())));
        }
    }
    let shells =
        [("pyinfra", "pyinfra.sh"), ("ansible-core", "ansible.sh"), ("OpenSSH, multiplexed", "openssh_mux.sh")];
    for (name, file) in shells {
        if !PACKAGES.contains(&name) || there(name) {
            let (words, start) = ([vec![script(file)], usual()].concat(), &start);
            variants.push(Variant::new(name, move || start(name, Path::new("sh"), words.clone())));
        }
    }
    if there("asyncssh") {
        let (words, start, python) = ([vec![script("asyncssh_client.py")], usual()].concat(), &start, &python);
        variants.push(Variant::new("asyncssh", move || start("asyncssh", python, words.clone())));
    }
    let figures = in_turn(rounds, variants);
    let server = if options.is_empty() { "sshd as tests start it".to_owned() } else { options.replace('\n', ", ") };
    let title = format!("{COMMANDS} commands on each of {hosts} hosts, median of {rounds}; {server}");
    let mut table = Table::new(title, &Table::FIGURES);
    table.figures(&figures);
    table.print();
    let mut answers =
        Table::new("fewest answers of a round, and most memory of the process", &["variant", "answers", "memory"]);
    for figure in &figures {
        let (fewest, peak) = told.borrow().get(&figure.name).copied().unwrap_or_default();
        let memory = if peak == 0 { "-".to_owned() } else { format!("{:.1} MB", peak as f64 / 1024.0) };
        answers.row(vec![figure.name.clone(), format!("{fewest} of {}", hosts * COMMANDS), memory]);
    }
    answers.print();
    for missing in &peers.missing {
        println!("not measured, it could not be installed: {missing}");
    }
}
