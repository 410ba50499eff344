//! Five images of one base to five hosts that have none of it, all at once, as lanes of a run bring theirs: beside one `docker save` of
//! all five into `docker load` on each host, and beside a push to a registry and pulls from it.
//!
//! `cargo bench -p pleach-bench --bench images` (`PLEACH_BENCH_MB` for the base, `PLEACH_BENCH_ROUNDS`). Bytes are those of the cables to
//! the hosts, both ways. After each round each host is asked for the digest of each image.

#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong, and prints rounded figures"
)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use pleach_bench::{
    Told, Variant, build, cable_bytes, describe_machine, docker, fill, in_turn, own_client, peak_memory, print_wire,
};
use pleach_core::port::{Containers as _, ImageId};
use pleach_remote::docker::{DockerContainers, EngineWay};
use pleach_remote::ssh::{Destination, Link};
use pleach_testbed::docker::{DockerBed, Engine as Daemon, machine};
use pleach_testbed::registry::Registry;
use pleach_testbed::sshd::SshBed;

const OURS: &str = "pleach";
const REGISTRY: &str = "docker push, docker pull on each host";
const PEER: &str = "docker save of all into ssh docker load (peer)";

/// Images, and hosts.
const COUNT: usize = 5;

/// What each image has beyond the base.
const OWN: usize = 5_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("bring", words)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        return runtime.expect("a runtime").block_on(bring(words));
    }
    let number =
        |name: &str, usual: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    println!("{}", describe_machine());
    let Some(scene) = Scene::new(number("PLEACH_BENCH_MB", 80)) else { return };
    scene.measure(number("PLEACH_BENCH_ROUNDS", 3));
}

/// Ours: from the engine at a socket here to those of the hosts, every image to every host at the same time.
async fn bring(words: &[String]) {
    let (socket, words) = words.split_first().expect("a socket");
    let (configs, images) = words.split_at(COUNT);
    let mut lanes = tokio::task::JoinSet::new();
    for config in configs {
        let link = Link::to(Destination { config: Some(PathBuf::from(config)), ..Destination::new("target") });
        let containers = Arc::new(DockerContainers::new(EngineWay::socket(socket), EngineWay::on(link)));
        for image in images {
            let (containers, image) = (containers.clone(), ImageId::new(image).expect("an id"));
            lanes.spawn(
                async move { containers.bring(&image).await.inspect_err(|error| eprintln!("{error:?}")).is_ok() },
            );
        }
    }
    let answers = lanes.join_all().await.into_iter().filter(|done| *done).count();
    println!("answers {answers}\npeak {}", peak_memory() / 1024);
}

struct Scene {
    here: DockerBed,
    hosts: Vec<(Daemon, SshBed)>,
    /// Begun anew for each round.
    registry: RefCell<Registry>,
    images: Vec<String>,
    megabytes: usize,
}

impl Scene {
    fn new(megabytes: usize) -> Option<Self> {
        let here = DockerBed::new()?;
        let mut hosts = Vec::new();
        for _ in 0..COUNT {
            let bed = SshBed::on(machine()?, "");
            let engine = Daemon::start(bed.machine());
            bed.machine().reach_all();
            hosts.push((engine, bed));
        }
        let folder = tempfile::tempdir().expect("a directory");
        fs::write(folder.path().join("Dockerfile"), "FROM base:1\nCOPY base /base\nCOPY own /own\n").expect("written");
        fill(&folder.path().join("base"), megabytes * 1_000_000);
        let images = (0..COUNT).map(|_| {
            fill(&folder.path().join("own"), OWN);
            build(here.engine.socket(), folder.path())
        });
        let images = images.collect();
        Some(Self { here, hosts, registry: RefCell::new(Registry::start(false)), images, megabytes })
    }

    fn configs(&self) -> Vec<String> {
        self.hosts.iter().map(|(_, bed)| bed.at("config").display().to_string()).collect()
    }

    fn send(&self, name: &str, told: &Told) {
        let socket = self.here.engine.socket().display().to_string();
        let configs = self.configs();
        if name == OURS {
            let words = ["bring", &socket].into_iter().chain(configs.iter().chain(&self.images).map(String::as_str));
            return told.run(name, &mut own_client(&words.collect::<Vec<_>>()));
        }
        let text = if name == REGISTRY {
            "images=$1 place=$2; shift 2; n=0\nfor image in $images; do n=$((n+1)); docker tag $image $place:$n && docker push -q $place:$n || exit 1; done\n\
             for config; do ssh -F \"$config\" target \"for n in 1 2 3 4 5; do docker pull -q $place:\\$n || exit 1; done\" & jobs=\"$jobs $!\"; done\n\
             for job in $jobs; do wait $job || exit 1; done"
        } else {
            "images=$1; shift 2\nfor config; do (docker save $images | ssh -F \"$config\" target docker load -q) & jobs=\"$jobs $!\"; done\n\
             for job in $jobs; do wait $job || exit 1; done"
        };
        let place = format!("{}:{}/app", self.here.machine().origin(), self.registry.borrow().port());
        let mut peer = Command::new("sh");
        peer.args(["-c", text, "sh", &self.images.join(" "), &place]).args(&configs);
        peer.env("DOCKER_HOST", format!("unix://{socket}"));
        let done = peer.stdout(Stdio::null()).status().is_ok_and(|status| status.success());
        told.keep(name, if done { COUNT * COUNT } else { 0 }, 0);
    }

    /// No host has anything, and neither has the registry.
    fn reset(&self) {
        for (engine, _) in &self.hosts {
            // An engine that has nothing has nothing to remove.
            let _ = docker(engine.socket()).args(["image", "prune", "-af"]).stdout(Stdio::null()).status();
        }
        *self.registry.borrow_mut() = Registry::start(false);
    }

    fn is_there(&self) -> bool {
        self.hosts.iter().all(|(engine, _)| {
            let mut inspect = docker(engine.socket());
            inspect.args(["inspect", "-f", "{{.Id}}"]).args(&self.images);
            let output = inspect.output().expect("`docker` runs");
            String::from_utf8_lossy(&output.stdout).lines().eq(self.images.iter().map(String::as_str))
        })
    }

    fn bytes(&self) -> u64 {
        self.hosts.iter().map(|(_, bed)| cable_bytes(bed.address())).sum()
    }

    fn measure(&self, rounds: usize) {
        let (told, bytes) = (Told::default(), RefCell::new(BTreeMap::<&str, u64>::new()));
        let before = Cell::new(0);
        let variant = |name: &'static str| {
            let (told, bytes, before) = (&told, &bytes, &before);
            let run = move || {
                before.set(self.bytes());
                self.send(name, told);
                bytes.borrow_mut().insert(name, self.bytes() - before.get());
            };
            Variant::new(name, run).prepared(|| self.reset()).checked(|| self.is_there())
        };
        let figures = in_turn(rounds, vec![variant(OURS), variant(REGISTRY), variant(PEER)]);
        let (megabytes, own) = (self.megabytes, OWN / 1_000_000);
        let title = format!(
            "five images of {megabytes} MB in common and {own} MB of their own to five hosts, median of {rounds}"
        );
        print_wire(&title, &figures, &bytes.borrow());
        told.print(&figures, COUNT * COUNT);
    }
}
