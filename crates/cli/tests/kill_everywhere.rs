//! `kill -9` at every boundary of a deployment's journal: `resume` ends all-new or all-old on every target, nothing that the
//! run started is left over, and the old release answers throughout.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pleach_testbed::port::free_ports;

const SERVICES: [&str; 5] = ["pr-review", "odoo-rpc", "nl-sql", "visual-diff", "design-tokens"];

/// Scenes that share the boundaries: a deployment waits more than it works.
const SCENES: usize = 4;

/// The demo's own service, built once for all cases.
fn build_service(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/sample/main.rs");
    let binary = folder.join("service");
    let built = Command::new("rustc").args(["--edition", "2021", "-o"]).arg(&binary).arg(source).status().unwrap();
    assert!(built.success());
    binary
}

struct Scene {
    folder: PathBuf,
    ports: Vec<u16>,
}

impl Scene {
    /// A repository with a branch for each service, at version 1.
    fn new(folder: PathBuf, service: &Path) -> Self {
        fs::create_dir_all(folder.join("repository")).unwrap();
        let ports: Vec<u16> = SERVICES.iter().map(|_| free_ports(1)).collect();
        let scene = Self { folder, ports };
        let mut config = String::from("[project]\nname = \"skills\"\n");
        for (name, port) in SERVICES.iter().zip(&scene.ports) {
            config += &format!(
                "[services.{name}]\nbranch = \"skill/{name}\"\nrun = [\"{}\"]\nport = {port}\n\
                 health = {{ http = {{ path = \"/health\" }}, period = \"20ms\", success = 2, within = \"20s\" }}\n",
                service.display()
            );
        }
        config += "[environments.local]\non-failure = \"unwind-run\"\n\
                   targets.here = { kind = \"directory\", path = \"../live\" }\n";
        scene.git(&["init", "-q", "-b", "main"]);
        fs::write(scene.repository().join("pleach.toml"), config).unwrap();
        scene.git(&["add", "."]);
        scene.git(&["commit", "-qm", "Config"]);
        for name in SERVICES {
            scene.git(&["switch", "-qc", &format!("skill/{name}"), "main"]);
            scene.commit(name, "1.0.0");
        }
        scene.git(&["switch", "-q", "main"]);
        scene
    }

    fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid"];
        let status =
            Command::new("git").args(identity).args(arguments).current_dir(self.repository()).status().unwrap();
        assert!(status.success(), "git {arguments:?}");
    }

    fn commit(&self, name: &str, version: &str) {
        let text = format!("{{\n  \"name\": \"{name}\",\n  \"version\": \"{version}\",\n  \"rules\": 1\n}}\n");
        fs::write(self.repository().join("service.json"), text).unwrap();
        self.git(&["add", "."]);
        self.git(&["commit", "-qm", version]);
    }

    /// A new version on every branch.
    fn advance(&self, version: usize) {
        for name in SERVICES {
            self.git(&["switch", "-q", &format!("skill/{name}")]);
            self.commit(name, &format!("{version}.0.0"));
        }
        self.git(&["switch", "-q", "main"]);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pleach"));
        command.args(arguments).current_dir(self.repository()).stdin(Stdio::null());
        command
    }

    fn pleach(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn version(&self, at: usize) -> Option<String> {
        let answer = get(self.ports[at], "/metadata")?;
        let (_, behind) = answer.split_once("\"version\": \"")?;
        behind.split('"').next().map(str::to_owned)
    }

    /// Records in the newest run's journal.
    fn records(&self) -> usize {
        let runs = fs::read_dir(self.repository().join(".git/pleach/runs")).unwrap().flatten();
        let newest = runs.map(|run| run.path()).max().unwrap();
        fs::read_to_string(newest.join("journal.jsonl")).map_or(0, |text| text.lines().count().saturating_sub(1))
    }

    /// Supervisors below this scene's directory, as their records tell.
    fn supervised(&self) -> usize {
        let mut count = 0;
        for name in SERVICES {
            for file in fs::read_dir(self.folder.join("live").join(name).join("run")).unwrap().flatten() {
                let text = fs::read_to_string(file.path()).unwrap_or_default();
                let is_record = file.path().extension().is_some_and(|ending| ending == "json");
                count += usize::from(is_record && text.contains("\"activity\": \"running\""));
            }
        }
        count
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.pleach(&["stop", "local", "--yes"]);
    }
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}

/// Asks every service again and again until it is told to stop; counts what went wrong.
fn watch(ports: Vec<u16>, stop: Arc<AtomicBool>, asked: Arc<AtomicUsize>) -> usize {
    let mut failed = 0;
    while !stop.load(Ordering::Relaxed) {
        for port in &ports {
            failed += usize::from(get(*port, "/health").is_none());
            asked.fetch_add(1, Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    failed
}

/// Kills a deployment of version 2 once its journal has `boundary` records. `false` if it ended before.
fn kill_at(scene: &Scene, boundary: usize) -> bool {
    let before = fs::read_dir(scene.repository().join(".git/pleach/runs")).map_or(0, Iterator::count);
    let halt = boundary.to_string();
    let mut child = scene
        .command(&["deploy", "local", "--yes", "--halt-after", &halt])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        let runs = fs::read_dir(scene.repository().join(".git/pleach/runs")).map_or(0, Iterator::count);
        if runs > before && scene.records() >= boundary {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "boundary {boundary} was never reached");
        std::thread::sleep(Duration::from_millis(5));
    }
    // What had begun behind the boundary goes a little way, so that there is something to find.
    std::thread::sleep(Duration::from_millis(u64::try_from(boundary % 4).unwrap() * 15));
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

/// What came of the boundaries of one scene.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    back: usize,
    asked: usize,
    failed: usize,
}

/// Kills at every boundary from `first` on in steps of [`SCENES`], in a scene of its own, until a deployment ends before.
fn kill_at_each(first: usize, folder: PathBuf, service: &Path) -> Tally {
    let scene = Scene::new(folder, service);
    let deployed = scene.pleach(&["deploy", "local", "--yes"]);
    assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
    let all = scene.records();
    assert!(all > 80, "a deployment of five services has {all} records");
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let watcher = {
        let (ports, stop, asked) = (scene.ports.clone(), stop.clone(), asked.clone());
        std::thread::spawn(move || watch(ports, stop, asked))
    };
    let mut tally = Tally::default();
    for boundary in (first..).step_by(SCENES) {
        scene.advance(boundary + 1);
        if !kill_at(&scene, boundary) {
            break;
        }
        tally.kills += 1;
        // Every third one is taken back instead of gone on with.
        let goes_back = tally.kills % 3 == 0;
        let verb: &[&str] = if goes_back { &["rollback", "local", "--yes"] } else { &["resume"] };
        let went_on = scene.pleach(verb);
        let said = String::from_utf8_lossy(&went_on.stderr).into_owned();
        assert!(went_on.status.success(), "boundary {boundary}: {verb:?}: {said}");
        tally.back += usize::from(goes_back);
        let versions: Vec<Option<String>> = (0..SERVICES.len()).map(|at| scene.version(at)).collect();
        assert!(
            versions.iter().all(|version| *version == versions[0] && version.is_some()),
            "{boundary}: {versions:?}"
        );
        assert_eq!(scene.supervised(), SERVICES.len(), "boundary {boundary}: only the current releases run");
    }
    stop.store(true, Ordering::Relaxed);
    tally.failed = watcher.join().unwrap();
    tally.asked = asked.load(Ordering::Relaxed);
    tally
}

#[test]
fn killed_at_any_boundary_it_ends_all_new_or_all_old_and_the_old_release_answers_throughout() {
    let folder = tempfile::tempdir().unwrap();
    let service = build_service(folder.path());
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let begin = |at: usize| {
            let (folder, service) = (folder.path().join(format!("scene-{at}")), &service);
            scope.spawn(move || kill_at_each(at + 1, folder, service))
        };
        let scenes: Vec<_> = (0..SCENES).map(begin).collect();
        scenes.into_iter().map(|scene| scene.join().unwrap()).collect()
    });
    println!("{tallies:?}");
    let sum = |field: fn(&Tally) -> usize| tallies.iter().map(field).sum::<usize>();
    assert_eq!(sum(|tally| tally.failed), 0, "{tallies:?}");
    assert!(sum(|tally| tally.kills) > 80 && sum(|tally| tally.back) > 20, "{tallies:?}");
}
