//! A project whose services are containers, and a machine with a Docker engine that they are deployed to.

use std::fmt::Debug;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use pleach_testbed::docker::{Engine, machine};
use pleach_testbed::machine::Machine;
use pleach_testbed::meanwhile::meanwhile_all;
use pleach_testbed::noise::noise;
use pleach_testbed::sshd::SshBed;
use rustix::process::Signal;
use serde_json::Value;

use crate::scene::{SERVICES, Said, Scene};

/// Answers with the files of the commit.
const DOCKERFILE: &str = "FROM base:1\nSTOPSIGNAL SIGKILL\nCOPY . /www\n";

/// What is on a disk of its own, on its machine.
const DISK: &str = "/dev/shm/disk";

/// So many answers tell that a service was asked all the time.
const FEWEST: usize = 5;

/// A project with a machine. Images are built by the machine's own engine, reached from here, unless another one is named.
pub(crate) struct Dock {
    pub(crate) scene: Scene,
    /// Before its machine: it ends first.
    pub(crate) engine: Engine,
    pub(crate) bed: SshBed,
    /// Of what lies there a loss of power takes along what was not flushed.
    forgets: Option<PathBuf>,
}

/// A container, as its engine tells of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) image: String,
}

impl Dock {
    /// None where no engine can be started, which is said.
    pub(crate) fn new() -> Option<Self> {
        Self::with("", "")
    }

    /// `image` stands in each service's image, `target` in the target.
    pub(crate) fn with(image: &str, target: &str) -> Option<Self> {
        let machine = machine()?;
        let engine = Engine::start(&machine);
        engine.make_base("base");
        let bed = SshBed::on(machine, "");
        bed.configure("ConnectTimeout 3\nServerAliveInterval 1\nServerAliveCountMax 2");
        let mut scene = Scene::new();
        scene.variables.push(("DOCKER_HOST".into(), format!("unix://{}", engine.socket().display())));
        let dock = Self { scene, engine, bed, forgets: None };
        let services = SERVICES.map(|name| {
            format!(
                "[services.{name}]\nbranch = \"skill/{name}\"\nport = {}\nstop-grace = \"1s\"\n\
                 image = {{ port = 8080{image} }}\n\
                 health = {{ http = {{ path = \"/health\" }}, period = \"20ms\", success = 2, within = \"5s\" }}\n",
                dock.scene.port(name)
            )
        });
        dock.configure(&services.concat(), target);
        for service in SERVICES {
            dock.scene.commit(service, "Dockerfile", Some(DOCKERFILE));
            dock.scene.commit(service, "health", Some("ok"));
        }
        dock.version(1);
        Some(dock)
    }

    /// From now on these are the services, and `target` stands in the target.
    pub(crate) fn configure(&self, services: &str, target: &str) {
        let config = format!(
            "[project]\nname = \"dock\"\n{services}[environments.uat]\nretry = {{ attempts = 1, backoff = \"50ms\" }}\n\
             [environments.uat.targets.vm]\nkind = \"ssh\"\nhost = \"target\"\npath = \"{}\"\nssh-config = \"{}\"\n\
             program = \"{}\"\n{target}",
            self.live().display(),
            self.bed.at("config").display(),
            env!("CARGO_BIN_EXE_pleach"),
        );
        self.scene.write("pleach.toml", &config);
        self.scene.git(&["commit", "-qam", "A machine with Docker"]);
    }

    /// From now on, this stands in a service.
    pub(crate) fn service(&self, service: &str, lines: &str) {
        let file = self.scene.root().join("pleach.toml");
        let config = std::fs::read_to_string(&file).expect("a config");
        let head = format!("[services.{service}]\n");
        std::fs::write(file, config.replace(&head, &format!("{head}{lines}"))).expect("written");
        self.scene.git(&["commit", "-qam", "A service"]);
    }

    /// From now on, this stands behind the target.
    pub(crate) fn target(&mut self, lines: &str) {
        let file = self.scene.root().join("pleach.toml");
        let config = std::fs::read_to_string(&file).expect("a config");
        std::fs::write(file, config + lines).expect("written");
        self.scene.git(&["commit", "-qam", "A target"]);
    }

    /// From now on there is a second environment on the machine, which takes what is proven in the first.
    pub(crate) fn add_production(&mut self) {
        let (live, config) = (self.bed.at("root/prod"), self.bed.at("config"));
        self.target(&format!(
            "[environments.prod]\nconsent = \"yes\"\npromote-from = \"uat\"\nwatchdog = \"0s\"\nretry = {{ attempts = 1 }}\n\
             [environments.prod.targets.vm]\nkind = \"ssh\"\nhost = \"target\"\npath = \"{}\"\nssh-config = \"{}\"\n\
             program = \"{}\"\nport-offset = 1\n",
            live.display(),
            config.display(),
            env!("CARGO_BIN_EXE_pleach"),
        ));
    }

    pub(crate) fn machine(&self) -> &Machine {
        self.bed.machine()
    }

    /// Where the target lies, on the machine.
    pub(crate) fn live(&self) -> PathBuf {
        self.bed.at("root/live")
    }

    /// A new version of all services.
    pub(crate) fn version(&self, version: u32) {
        SERVICES.iter().for_each(|service| self.version_of(service, version));
    }

    pub(crate) fn version_of(&self, service: &str, version: u32) {
        self.scene.commit(service, "metadata", Some(&format!("version {version}\n")));
    }

    /// A new version of a service that is so large, however it is packed.
    pub(crate) fn large_version_of(&self, service: &str, version: u32, bytes: usize) {
        self.scene.commit(service, "large", Some(&format!("{version}{}", noise(bytes))));
        self.version_of(service, version);
    }

    /// The version that a service answers with on the machine; nothing if it does not answer.
    pub(crate) fn answer(&self, service: &str) -> Option<u32> {
        self.try_answer(service).ok()
    }

    /// The same, or what became of the request.
    fn try_answer(&self, service: &str) -> Result<u32, String> {
        self.try_answer_with(service, None)
    }

    /// The version that answers a request with this header; nothing if none does.
    pub(crate) fn answer_with(&self, service: &str, header: &str) -> Option<u32> {
        self.try_answer_with(service, Some(header)).ok()
    }

    fn try_answer_with(&self, service: &str, header: Option<&str>) -> Result<u32, String> {
        let answer = self.machine().try_get_with(self.scene.port(service), "/metadata", header)?;
        let version = answer.lines().find_map(|line| line.strip_prefix("version ")?.trim().parse().ok());
        version.ok_or_else(|| format!("no version in {answer:?}"))
    }

    /// The version that all services answer with.
    pub(crate) fn answers(&self) -> Option<u32> {
        let answers = SERVICES.map(|service| self.answer(service));
        assert!(answers.iter().all(|answer| *answer == answers[0]), "they belong together: {answers:?}");
        answers[0]
    }

    /// What the engine answers.
    pub(crate) fn ask(&self, path: &str) -> Value {
        let answer = self.engine.ask("GET", path, "", &[]).expect("the engine answers");
        let body = answer.split_once("\r\n\r\n").expect("a head and a body").1;
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
    }

    /// Gives a container another name.
    pub(crate) fn rename(&self, from: &str, to: &str) {
        let path = format!("/containers/{from}/rename?name={to}");
        let answer = self.engine.ask("POST", &path, "", &[]).expect("the engine answers");
        assert!(answer.contains(" 204 "), "{answer}");
    }

    /// Runs a command in a container.
    pub(crate) fn exec(&self, container: &str, command: &[&str]) {
        let post = |path: &str, body: Value| {
            let body = body.to_string();
            self.engine.ask("POST", path, "application/json", body.as_bytes()).expect("the engine answers")
        };
        let made = post(&format!("/containers/{container}/exec"), serde_json::json!({ "Cmd": command }));
        let made: Value = serde_json::from_str(made.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
        let id = made["Id"].as_str().unwrap_or_else(|| panic!("{made}"));
        let started = post(&format!("/exec/{id}/start"), serde_json::json!({ "Detach": true }));
        assert!(started.contains(" 200 "), "{started}");
    }

    /// The id of a service's container that runs.
    pub(crate) fn running(&self, service: &str) -> String {
        let containers = self.containers(service);
        let running: Vec<&Seen> = containers.iter().filter(|seen| seen.state == "running").collect();
        let [one] = running.as_slice() else { panic!("{containers:#?}") };
        let id = &self.ask(&format!("/containers/{}/json", one.name))["Id"];
        id.as_str().expect("an id").to_owned()
    }

    /// All containers of a service, by name.
    pub(crate) fn containers(&self, service: &str) -> Vec<Seen> {
        let all = self.ask("/containers/json?all=1");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let own = all.as_array().expect("a list").iter().filter(|one| {
            // What a build runs has the labels of its image.
            one["Labels"]["pleach.service"] == service && one["Labels"]["pleach.release"].is_string()
        });
        let mut seen: Vec<Seen> = own
            .map(|one| Seen {
                name: text(&one["Names"][0]).trim_start_matches('/').to_owned(),
                state: text(&one["State"]),
                image: text(&one["ImageID"]),
            })
            .collect();
        seen.sort();
        seen
    }

    /// The names that lead to images of a service's releases.
    pub(crate) fn image_names(&self, service: &str) -> Vec<String> {
        let all = self.ask("/images/json");
        let names =
            all.as_array().expect("a list").iter().flat_map(|one| one["RepoTags"].as_array().into_iter().flatten());
        // What was built is named by its commit alone, which may begin like the number of a release.
        let names = names.filter_map(Value::as_str).filter(|name| {
            let tag = name.strip_prefix("pleach/").and_then(|name| name.strip_prefix(service)?.strip_prefix(':'));
            tag.and_then(|tag| tag.split_once('-'))
                .is_some_and(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
        });
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names
    }

    /// The tags of what was built of a service.
    pub(crate) fn built(&self, service: &str) -> Vec<String> {
        self.built_on(&self.engine, service)
    }

    /// The same where images are built by an engine of their own.
    pub(crate) fn built_on(&self, engine: &Engine, service: &str) -> Vec<String> {
        let answer = engine.ask("GET", "/images/json", "", &[]).expect("the engine answers");
        let all: Value = serde_json::from_str(answer.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
        let names =
            all.as_array().expect("a list").iter().flat_map(|one| one["RepoTags"].as_array().into_iter().flatten());
        let tags = names.filter_map(|name| name.as_str()?.strip_prefix(&format!("pleach/{service}:")));
        tags.filter(|tag| !tag.contains('-')).map(str::to_owned).collect()
    }

    /// All that Pleach has on the engine, and what services answer.
    pub(crate) fn seen(&self) -> Vec<(Vec<Seen>, Vec<String>, Option<u32>)> {
        SERVICES.map(|name| (self.containers(name), self.image_names(name), self.answer(name))).to_vec()
    }

    /// Whether all services answer, with whichever version.
    pub(crate) fn answers_any(&self) -> bool {
        SERVICES.iter().all(|service| self.answer(service).is_some())
    }

    /// Kills a deployment at this place, and goes on with it: how that ended, and what it said.
    pub(crate) fn killed_at(&self, place: &str) -> (i32, String) {
        let mut working = self.scene.start(&["deploy", "uat", "--yes", "-v"]);
        working.says(place);
        working.signal(Signal::KILL);
        working.ends();
        assert!(self.answers_any(), "{place}: nobody is left without an answer");
        let resumed = self.scene.pleach(&["resume"]);
        (resumed.code, format!("{place}: {}\n{}{}", resumed.code, resumed.stdout, resumed.stderr))
    }

    /// Waits until all services answer with this version.
    pub(crate) fn becomes(&self, version: u32) {
        let begun = Instant::now();
        while SERVICES.iter().any(|service| self.answer(service) != Some(version)) {
            let seen = self.seen();
            assert!(begun.elapsed() < Duration::from_secs(30), "version {version} does not come: {seen:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The same for one of them.
    pub(crate) fn becomes_alone(&self, service: &str, version: u32) {
        let begun = Instant::now();
        while self.answer(service) != Some(version) {
            assert!(begun.elapsed() < Duration::from_secs(30), "version {version} of {service} does not come");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Takes the engine and all that it runs away at once, and starts it again.
    pub(crate) fn restart_engine(&mut self) {
        let Self { engine, bed, .. } = self;
        engine.restart(bed.machine());
    }

    /// From now on the targets lie on a disk that keeps over a loss of power only what was flushed to it.
    pub(crate) fn use_honest_disk(&mut self) {
        let place = self.bed.at("root");
        self.machine().honest_disk(&place, DISK.as_ref());
        self.forgets = Some(place);
        // It sees the disks that were there when it was started.
        self.restart_engine();
    }

    /// The same of all volumes, instead of the targets.
    pub(crate) fn use_honest_disk_for_volumes(&mut self) {
        let Self { engine, bed, .. } = self;
        engine.put_volumes_on_disk(bed.machine(), DISK.as_ref());
        self.forgets = Some(self.engine.volumes().to_owned());
        self.restart_engine();
    }

    /// Takes the power of the whole machine away, and nobody is told: the engine ends with its containers, connections with their
    /// commands, proxies, watchdogs.
    pub(crate) fn lose_power(&mut self) {
        self.machine().cut();
        self.machine().lose_power();
        self.engine.kill();
        if let Some(place) = &self.forgets {
            self.machine().forget_unflushed(place, DISK.as_ref());
        }
    }

    /// Boots it as far as one can log in there: the same disks, and an engine that does not run yet.
    pub(crate) fn begin_to_boot(&mut self) {
        self.machine().boot();
        self.bed.restart("");
        self.machine().mend();
    }

    /// Deploys, restarts the engine when this is said, and goes on where it has to: how that ended.
    pub(crate) fn deploy_over_a_restart(&mut self, place: &str) -> Said {
        let mut working = self.scene.start(&["deploy", "uat", "--yes", "-v"]);
        working.says(place);
        self.restart_engine();
        let said = working.ends();
        if matches!(said.code, 112 | 113) { self.scene.pleach(&["resume"]) } else { said }
    }

    /// What `status` says: nothing is left to be done or held, and so many services are healthy.
    pub(crate) fn require_settled(&self, healthy: usize) -> Said {
        let status = self.scene.ends(0, &["status", "uat"]);
        assert_eq!(status.stdout.matches("healthy").count(), healthy, "{}", status.stdout);
        for word in ["resume", "lease"] {
            assert!(!status.stdout.contains(word), "{word}: {}", status.stdout);
        }
        status
    }

    /// The version that is on a service's branch.
    fn committed(&self, service: &str) -> Option<u32> {
        let file = format!("skill/{service}:metadata");
        let shown = Command::new("git").args(["show", &file]).current_dir(self.scene.root()).output().expect("git");
        String::from_utf8_lossy(&shown.stdout).lines().find_map(|line| line.strip_prefix("version ")?.parse().ok())
    }

    /// Asks all services all the time while `work` is under way, and requires an answer each time: of a version that answered
    /// before or does afterwards, or of the one that is being deployed.
    #[track_caller]
    pub(crate) fn without_a_lost_request<T: Debug>(&self, work: impl FnOnce() -> T) -> T {
        // Several times: two may share the requests.
        let before = SERVICES.map(|service| [(); 5].map(|()| self.answer(service)));
        let begun = Instant::now();
        let lost = Mutex::new(Vec::new());
        let seen = SERVICES.map(|_| Mutex::new(Vec::new()));
        let clients = std::array::from_fn::<_, { SERVICES.len() }, _>(|at| {
            let (service, lost, seen) = (SERVICES[at], &lost, &seen[at]);
            move || {
                let at = begun.elapsed();
                match self.try_answer(service) {
                    Ok(version) => seen.lock().expect("no panic").push(version),
                    Err(why) => {
                        let told = format!("{service} asked at {at:.3?}, lost by {:.3?}: {why}", begun.elapsed());
                        lost.lock().expect("no panic").push(told);
                    }
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let done = meanwhile_all(clients, work);
        let lost = lost.into_inner().expect("no panic");
        assert!(lost.is_empty(), "{}\nin {:.3?}, while: {done:?}", lost.join("\n"), begun.elapsed());
        for ((service, before), seen) in SERVICES.iter().zip(before).zip(seen) {
            let seen = seen.into_inner().expect("no panic");
            let after = [self.answer(service), self.committed(service)];
            let may = |version: &u32| before.iter().chain(&after).any(|known| *known == Some(*version));
            assert!(seen.len() >= FEWEST && seen.iter().all(may), "{service}: {before:?} {seen:?} {after:?}: {done:?}");
        }
        done
    }
}

impl Drop for Dock {
    fn drop(&mut self) {
        // Routers and leases of it; the engine takes its containers with it.
        self.scene.pleach(&["resume"]);
        self.scene.pleach(&["stop", "uat", "--yes"]);
    }
}
