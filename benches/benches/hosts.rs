//! Ten commands on each of fifty hosts, beside those who do the same: real `sshd`s on this machine.
//!
//! `cargo bench -p pleach-bench --bench hosts` (`PLEACH_BENCH_HOSTS`, `PLEACH_BENCH_ROUNDS`). The peers of PyPI are installed into
//! a virtual environment beside this program when it runs for the first time; those that cannot be are left out and told.

#![allow(clippy::expect_used, reason = "a benchmark stops where something is wrong")]

use std::path::Path;

use pleach_bench::{Hosts, Peers, Table, Told, Variant, describe_machine, in_turn, own_client, peak_memory};
use pleach_core::port::{Call, Command as RemoteCommand, NoLines, Shell as _};
use pleach_remote::ssh::{Destination, Link, SshShell};
use pleach_testbed::sshd::user;
use tokio_util::sync::CancellationToken;

const COMMANDS: usize = 10;

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
    let peers = Peers::install();
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

fn measure(number: usize, rounds: usize, options: &str, peers: &Peers) {
    let hosts = Hosts::start(number, options);
    let (folder, ports, commands, told) = (hosts.folder(), hosts.listed(), COMMANDS.to_string(), Told::default());
    let (user, told) = (user(), &told);
    let words = [folder.as_str(), &user, &commands, &ports];
    let mut variants = vec![Variant::new("pleach", || {
        told.run("pleach", &mut own_client(&["client", &folder, &commands, &ports]));
    })];
    if peers.has("parallel-ssh") {
        let run = move || told.run("parallel-ssh", peers.python("parallel_ssh_client.py").args(words));
        variants.push(Variant::new("parallel-ssh", run));
    }
    let shells =
        [("pyinfra", "pyinfra.sh"), ("ansible-core", "ansible.sh"), ("OpenSSH, multiplexed", "openssh_mux.sh")];
    for (name, file) in shells {
        if peers.has(name) {
            variants.push(Variant::new(name, move || told.run(name, peers.script(file).args(words))));
        }
    }
    if peers.has("asyncssh") {
        let run = move || told.run("asyncssh", peers.python("asyncssh_client.py").args(words));
        variants.push(Variant::new("asyncssh", run));
    }
    let figures = in_turn(rounds, variants);
    let server = if options.is_empty() { "sshd as tests start it".to_owned() } else { options.replace('\n', ", ") };
    let title = format!("{COMMANDS} commands on each of {number} hosts, median of {rounds}; {server}");
    let mut table = Table::new(title, &Table::FIGURES);
    table.figures(&figures);
    table.print();
    told.print(&figures, number * COMMANDS);
    for missing in &peers.missing {
        println!("not measured, it could not be installed: {missing}");
    }
}
