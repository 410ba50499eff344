//! An image to a host without any registry: the first time, and again with one changed layer. Beside `docker save | ssh docker
//! load`, and beside a push to a registry and a pull from it, between real engines of the benchmark's own, over a real `sshd`.
//!
//! `cargo bench -p pleach-bench --bench image` (`PLEACH_BENCH_MB`, `PLEACH_BENCH_ROUNDS`). Bytes are those of the cable between
//! the two machines, both ways; what is pushed to the registry comes on top, which is where the images are built. After each round the host's image is compared with the one that was sent.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong, and prints rounded figures"
)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use pleach_bench::{
    Told, Variant, build, cable_bytes, describe_machine, docker, fill, in_turn, own_client, peak_memory, print_wire,
    run,
};
use pleach_remote::docker::{Engine, EngineWay, ImageId, bring_image};
use pleach_remote::ssh::{Destination, Link};
use pleach_testbed::docker::{DockerBed, Engine as Daemon, machine};
use pleach_testbed::registry::Registry;
use pleach_testbed::sshd::SshBed;

const OURS: &str = "pleach";
const PEER: &str = "docker save into ssh docker load (peer)";
const REGISTRY: &str = "docker push, docker pull there (peer)";

/// How many layers the image has that stay, beside one of 1 MB that changes with each version.
const LAYERS: usize = 8;

/// How large the one is that changes.
const CHANGED: usize = 1_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["bring", socket, config, id] = words.as_slice() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        return runtime.expect("a runtime").block_on(bring(socket, config, id));
    }
    let number =
        |name: &str, usual: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    println!("{}", describe_machine());
    let Some(scene) = Scene::new(number("PLEACH_BENCH_MB", 160)) else { return };
    scene.measure(number("PLEACH_BENCH_ROUNDS", 5));
}

/// Ours: from the engine at a socket here to that of the host.
async fn bring(socket: &str, config: &str, id: &str) {
    let link = Link::to(Destination { config: Some(PathBuf::from(config)), ..Destination::new("target") });
    let from = Engine::connect(EngineWay::socket(socket)).await.expect("it answers");
    let to = Engine::connect(EngineWay::on(link)).await.expect("it answers");
    let brought = bring_image(&from, &to, &ImageId::new(id).expect("an id"), &["app:now".to_owned()]).await;
    let brought = brought.inspect_err(|error| eprintln!("{error:?}"));
    println!("answers {}\npeak {}", usize::from(brought.is_ok()), peak_memory() / 1024);
}

struct Scene {
    here: DockerBed,
    there: Daemon,
    bed: SshBed,
    /// Begun anew for each round.
    registry: RefCell<Registry>,
    /// The image, and the one that differs in its last layer.
    images: [String; 2],
    megabytes: usize,
}

impl Scene {
    fn new(megabytes: usize) -> Option<Self> {
        let here = DockerBed::new()?;
        let bed = SshBed::on(machine()?, "");
        let there = Daemon::start(bed.machine());
        bed.machine().reach_all();
        let registry = RefCell::new(Registry::start(false));
        let mut scene = Self { here, there, bed, registry, images: Default::default(), megabytes };
        let folder = tempfile::tempdir().expect("a directory");
        let copies: String = (0..=LAYERS).map(|layer| format!("COPY {layer} /{layer}\n")).collect();
        fs::write(folder.path().join("Dockerfile"), format!("FROM base:1\n{copies}")).expect("written");
        for layer in 0..LAYERS {
            fill(&folder.path().join(layer.to_string()), (megabytes * 1_000_000 - CHANGED) / LAYERS);
        }
        for version in 0..2 {
            fill(&folder.path().join(LAYERS.to_string()), CHANGED);
            scene.images[version] = build(scene.here.engine.socket(), folder.path());
        }
        Some(scene)
    }

    fn send(&self, name: &str, image: &str, told: &Told) {
        let (socket, config) = (self.here.engine.socket().display().to_string(), self.bed.at("config"));
        let config = config.display().to_string();
        if name == OURS {
            return told.run(name, &mut own_client(&["bring", &socket, &config, image]));
        }
        if name == REGISTRY {
            return told.keep(name, usize::from(self.through_registry(image)), 0);
        }
        let pipe = "docker save \"$1\" | ssh -F \"$2\" target docker load -q && ssh -F \"$2\" target docker tag \"$1\" app:now";
        let mut peer = Command::new("sh");
        peer.args(["-c", pipe, "sh", image, &config]).env("DOCKER_HOST", format!("unix://{socket}"));
        let done = peer.stdout(Stdio::null()).status().is_ok_and(|status| status.success());
        told.keep(name, usize::from(done), 0);
    }

    /// Pushes it here and pulls it there.
    fn through_registry(&self, image: &str) -> bool {
        let name = format!("{}:{}/app:now", self.here.machine().origin(), self.registry.borrow().port());
        let pushed = "docker tag \"$1\" \"$2\" && docker push -q \"$2\"";
        let pulled = "ssh -F \"$3\" target \"docker pull -q $2 && docker tag $2 app:now && docker rmi $2\"";
        let mut peer = Command::new("sh");
        peer.args(["-c", &format!("{pushed} && {pulled}"), "sh", image, &name]).arg(self.bed.at("config"));
        peer.env("DOCKER_HOST", format!("unix://{}", self.here.engine.socket().display()));
        peer.stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// The host has the first image alone, or none; the registry as well.
    fn reset(&self, name: &str, image: usize) {
        for gone in self.images.iter().map(String::as_str).chain(["app:now"]) {
            // One that is not there is as good as removed.
            let _ = docker(self.there.socket()).args(["rmi", "-f", gone]).stderr(Stdio::null()).output();
        }
        if name == REGISTRY {
            *self.registry.borrow_mut() = Registry::start(false);
        }
        if image == 1 && name == REGISTRY {
            // What comes from elsewhere is not recognised when it is pulled.
            assert!(self.through_registry(&self.images[0]), "the first image goes through the registry");
        } else if image == 1 {
            let pipe = "docker -H \"unix://$2\" save \"$1\" | docker -H \"unix://$3\" load -q";
            let mut load = Command::new("sh");
            load.args(["-c", pipe, "sh", &self.images[0]]).args([self.here.engine.socket(), self.there.socket()]);
            run(load.stdout(Stdio::null()));
        }
    }

    fn is_there(&self, image: &str) -> bool {
        let mut inspect = docker(self.there.socket());
        let output = inspect.args(["inspect", "-f", "{{.Id}}", "app:now"]).output().expect("`docker` runs");
        String::from_utf8_lossy(&output.stdout).trim() == image
    }

    fn measure(&self, rounds: usize) {
        for (what, image) in [("the first time", 0), ("again, one layer of 1 MB changed", 1)] {
            let told = Told::default();
            let bytes = RefCell::new(BTreeMap::<&str, u64>::new());
            let variant = |name: &'static str| {
                let (told, bytes) = (&told, &bytes);
                let run = move || {
                    let before = cable_bytes(self.bed.address());
                    self.send(name, &self.images[image], told);
                    bytes.borrow_mut().insert(name, cable_bytes(self.bed.address()) - before);
                };
                Variant::new(name, run)
                    .prepared(move || self.reset(name, image))
                    .checked(move || self.is_there(&self.images[image]))
            };
            let figures = in_turn(rounds, vec![variant(OURS), variant(REGISTRY), variant(PEER)]);
            let title = format!("an image of {} MB to a host, {what}, median of {rounds}", self.megabytes);
            print_wire(&title, &figures, &bytes.borrow());
            told.print(&figures, 1);
        }
    }
}
