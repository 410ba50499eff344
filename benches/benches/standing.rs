//! A deployment that changes nothing, on hosts that run containers, beside `docker compose up` of a project that stands already, on
//! all of them at once over SSH.
//!
//! `cargo bench -p pleach-bench --bench standing` (`PLEACH_BENCH_HOSTS`, 10; `PLEACH_BENCH_ROUNDS`, 3; `cargo build --release -p pleach`
//! first). Each host has an engine of its own; ours reads back every container's state and asks it over HTTP, the peer waits for the
//! project's containers to run.

#![allow(clippy::expect_used, reason = "a benchmark stops where something is wrong")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use pleach_bench::{Table, Told, Variant, describe_machine, git, in_turn, pleach, watched};
use pleach_testbed::compose;
use pleach_testbed::docker::{Engine as Daemon, machine};
use pleach_testbed::port::free_ports;
use pleach_testbed::sshd::SshBed;

const OURS: &str = "pleach deploy";
const PEER: &str = "docker compose up --wait over ssh (peer)";

/// On each host; counts those on which all stands.
const UP: &str = "for config; do (ssh -F \"$config\" target \"cd $PLACE && $DOCKER docker compose up --detach --wait\" >&2 && echo up) & done | \
                  grep -c up | sed 's/^/answers /'; wait";

fn main() {
    let number =
        |name: &str, usual: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    println!("{}", describe_machine());
    let Some(scene) = Scene::new(number("PLEACH_BENCH_HOSTS", 10)) else { return };
    scene.measure(number("PLEACH_BENCH_ROUNDS", 3));
}

struct Scene {
    hosts: Vec<(Daemon, SshBed)>,
    repository: tempfile::TempDir,
    peer: tempfile::TempDir,
}

impl Scene {
    fn new(count: usize) -> Option<Self> {
        let mut hosts = Vec::new();
        for _ in 0..count {
            let bed = SshBed::on(machine()?, "");
            let engine = Daemon::start(bed.machine());
            engine.make_base("base");
            bed.machine().reach_all();
            hosts.push((engine, bed));
        }
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
        let [repository, peer] = folders;
        let scene = Self { hosts, repository, peer };
        scene.write();
        Some(scene)
    }

    fn write(&self) {
        let root = self.repository.path();
        let mut config = format!(
            "[project]\nname = \"standing\"\n[services.front]\nbranch = \"front\"\nport = {}\nimage = {{ port = 8080 }}\n\
             health = {{ http = {{ path = \"/\" }}, period = \"20ms\", success = 2, within = \"20s\" }}\n[environments.uat]\n",
            free_ports(1)
        );
        for (at, (_, bed)) in self.hosts.iter().enumerate() {
            config += &format!(
                "[environments.uat.targets.h{at}]\nport-offset = {at}\nkind = \"ssh\"\nhost = \"target\"\npath = \"{}\"\nssh-config = \"{}\"\n\
                 program = \"{}\"\n",
                bed.at("root/live").display(),
                bed.at("config").display(),
                pleach().display()
            );
        }
        fs::write(root.join("pleach.toml"), config).expect("written");
        fs::write(root.join("Dockerfile"), "FROM base:1\nCOPY index.html /www/\n").expect("written");
        fs::write(root.join("index.html"), "it stands\n").expect("written");
        for words in
            [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-qm", "It stands"], &["branch", "front"]]
        {
            git(root, words);
        }
        let compose = "services: {front: {image: 'base:1', restart: unless-stopped}}\n";
        fs::write(self.peer.path().join("compose.yml"), compose).expect("written");
    }

    fn ours(&self) -> Command {
        let mut command = Command::new(pleach());
        command.args(["deploy", "uat", "--yes"]).current_dir(self.repository.path());
        command.env("DOCKER_HOST", format!("unix://{}", self.hosts[0].0.socket().display()));
        command
    }

    fn peer(&self) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", UP, "sh"]).args(self.hosts.iter().map(|(_, bed)| bed.at("config")));
        let config = compose::ensure().expect("`docker compose`").map(Path::display);
        let config = config.map(|config| format!("DOCKER_CONFIG={config}")).unwrap_or_default();
        command.env("PLACE", self.peer.path()).env("DOCKER", config).stderr(Stdio::null());
        command
    }

    fn measure(&self, rounds: usize) {
        let count = self.hosts.len();
        let first = self.ours().output().expect("it starts");
        assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
        assert!(self.peer().output().is_ok_and(|output| output.status.success()), "the peer's first time");
        let told = &Told::default();
        let ours = || {
            let (output, peak) = watched(&mut self.ours());
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let seen = said.lines().filter(|line| line.contains("  healthy  ")).count();
            told.keep(OURS, if said.starts_with("nothing to do") { seen } else { 0 }, peak);
        };
        let peer = || told.run(PEER, &mut self.peer());
        let figures = in_turn(rounds, vec![Variant::new(OURS, ours), Variant::new(PEER, peer)]);
        let title = format!("nothing to change on {count} hosts with containers, median of {rounds}");
        let mut table = Table::new(title, &Table::FIGURES);
        table.figures(&figures);
        table.print();
        told.print(&figures, count);
    }
}
