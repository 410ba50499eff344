//! One service, one directory to deploy it to, and the engine between them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pleach_core::config::{Config, parse};
use pleach_core::engine::{Engine, RunError, RunTargets, cancel_channel};
use pleach_core::error::Failure;
use pleach_core::journal::Outcome;
use pleach_core::plan::{
    ApprovedPlan, Consent, Operation, Plan, PlanInput, PlannedTarget, ServiceSource, TargetDescription, approve, plan,
};
use pleach_core::port::{EntryMode, ImageId};
use pleach_core::registry::Registry;
use pleach_core::report::Report;
use pleach_core::target::{Facts, Target};
use pleach_core::testing::{FixedClock, MemoryLeases, MemoryRuns, RecordingEvents};
use pleach_core::word::{EnvironmentName, ReleaseId, RunId, ServiceName, TargetName};
use pleach_remote::directory::probe_directory;
use pleach_remote::local::LocalSecrets;
use pleach_remote::supervise::InstanceRecord;
use pleach_remote::{ServiceStatus, describe, open_target, register, service_statuses};
use pleach_testbed::port::free_ports;
use pleach_testbed::sshd::SshBed;
use tempfile::TempDir;

use crate::folders::{Folders, commit};

/// The executable that knows `supervise` and `route`, and the service.
pub(crate) const PROBE: &str = env!("CARGO_BIN_EXE_pleach-remote-probe");

/// What runs the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Pleach.
    Supervised,
    /// Something else, told by commands.
    Commands,
    /// A Docker engine, as a container that answers with the name of its release.
    Contained,
    /// The target's `docker compose`, as a project whose `web` answers with the name of its release.
    Composed,
    /// Nothing: files only.
    Plain,
}

/// One service on one target.
pub(crate) struct Project {
    home: TempDir,
    pub(crate) live: PathBuf,
    pub(crate) port: u16,
    pub(crate) source: Arc<Folders>,
    pub(crate) registry: Arc<Registry>,
    settings: String,
    /// The lines of the target that say how it is reached.
    way: String,
    /// The table of the environment's canary, where it has one.
    canary: String,
    engine: Engine,
    events: Arc<RecordingEvents>,
    runs: AtomicU32,
    keep: u32,
    /// Images that are taken as they are, by platform.
    pub(crate) proven: BTreeMap<String, ImageId>,
}

/// In memory where the system has such a place: every step flushes its files.
pub(crate) fn home() -> TempDir {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("pleach dïr 'x' ");
    match builder.tempdir_in(memory) {
        Ok(home) => home,
        Err(_) => builder.tempdir().unwrap(),
    }
}

impl Project {
    pub(crate) fn new(form: Form) -> Self {
        Self::with(form, "")
    }

    /// With further lines in the service's table.
    pub(crate) fn with(form: Form, lines: &str) -> Self {
        let port = free_ports(1);
        let way = match form {
            Form::Supervised => format!("run = [\"{PROBE}\", \"serve\"]\nport = {port}\n"),
            Form::Commands => "build = \"echo built > built\"\n\
                start = \"echo $PLEACH_RELEASE > ../../serving\"\nstop = \"rm -f ../../serving\"\n\
                health = { command = \"test -e ../../serving\", period = \"20ms\" }\n"
                .to_owned(),
            Form::Contained => format!(
                "port = {port}\nimage = {{ port = 8080, command = [\"/bin/busybox\", \"sh\", \"-c\", \
                 'printf %s $PLEACH_RELEASE >/www/index.html; exec /bin/busybox httpd -f -p 8080 -h /www'] }}\n"
            ),
            Form::Composed => format!("port = {port}\ncompose = {{}}\n{}", crate::composed::environment()),
            Form::Plain => "build = \"echo built > built\"\n".to_owned(),
        };
        let health = "health = { http = { path = \"/\" }, period = \"20ms\", success = 2, within = \"20s\" }\n";
        let health = if matches!(form, Form::Supervised | Form::Contained | Form::Composed) && !lines.contains("health")
        {
            health
        } else {
            ""
        };
        let project = Self::place(home(), None, port, format!("{way}{health}{lines}"));
        if form == Form::Composed {
            let compose = crate::composed::COMPOSE.as_bytes();
            (1..100).for_each(|version| project.source.add(version, "compose.yml", EntryMode::File, compose));
        }
        if form == Form::Contained {
            let dockerfile = b"FROM base:1\nSTOPSIGNAL SIGKILL\nCOPY . /tmp\n";
            (1..100).for_each(|version| project.source.add(version, "Dockerfile", EntryMode::File, dockerfile));
        }
        project
    }

    /// In a directory of the caller's.
    pub(crate) fn at(live: &Path, lines: &str) -> Self {
        let mut project = Self::with(Form::Supervised, lines);
        project.live = live.to_owned();
        project
    }

    fn place(home: TempDir, live: Option<PathBuf>, port: u16, settings: String) -> Self {
        let live = live.unwrap_or_else(|| home.path().join("live"));
        let source = Arc::new(Folders::default());
        for version in 1..100 {
            source.add(version, "version", EntryMode::File, version.to_string().as_bytes());
        }
        let mut registry = Registry::new();
        let secrets = Arc::new(LocalSecrets::new(home.path()));
        register(&mut registry, source.clone(), secrets, &home.path().join("built"));
        let registry = Arc::new(registry);
        let events = Arc::new(RecordingEvents::default());
        let engine = Engine {
            registry: registry.clone(),
            leases: Arc::new(MemoryLeases::default()),
            runs: Arc::new(MemoryRuns::default()),
            events: events.clone(),
            clock: Arc::new(FixedClock::default()),
        };
        let settings = settings + "stop-grace = \"1s\"\nbranch = \"main\"\n";
        let (way, runs) = ("kind = \"directory\"".to_owned(), AtomicU32::new(0));
        Self {
            home,
            live,
            port,
            source,
            registry,
            settings,
            way,
            canary: String::new(),
            engine,
            events,
            runs,
            keep: 5,
            proven: BTreeMap::new(),
        }
    }

    /// Behind a HAProxy whose files lie in a folder.
    #[must_use]
    pub(crate) fn behind(mut self, folder: &Path) -> Self {
        let at = |name: &str| folder.join(name).display().to_string();
        let (socket, file, config) = (at("admin.sock"), at("pleach.cfg"), at("haproxy.cfg"));
        self.way = format!(
            "kind = \"directory\"\nproxy = {{ socket = \"{socket}\", file = \"{file}\", config = \"{config}\", \
             reload = [\"sh\", \"-c\", \"kill -USR2 $(cat {})\"] }}",
            at("haproxy.pid"),
        );
        self
    }

    /// A part of the requests first, for so long.
    #[must_use]
    pub(crate) fn with_canary(mut self, wait: &str) -> Self {
        self.canary = format!("[environments.local.canary]\nsteps = [\"50%\"]\nwait = \"{wait}\"\nrequests = 2\n");
        self
    }

    /// The same directory as a target over SSH.
    #[must_use]
    pub(crate) fn over(mut self, bed: &SshBed) -> Self {
        self.way = format!("kind = \"ssh\"\nhost = \"target\"\nssh-config = \"{}\"", bed.at("config").display());
        self
    }

    /// Keeps so many releases.
    #[must_use]
    pub(crate) fn keep(mut self, keep: u32) -> Self {
        self.keep = keep;
        self
    }

    /// Changes the settings of the service from now on.
    pub(crate) fn change(&mut self, from: &str, to: &str) {
        assert!(self.settings.contains(from), "{from}");
        self.settings = self.settings.replace(from, to);
    }

    /// Where secrets are looked for.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// A file there.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.home.path().join(name), text).unwrap();
    }

    /// The names and contents of all files below the target, and of all that was said and written of the runs.
    pub(crate) fn everything(&self) -> String {
        fn read(folder: &Path, out: &mut String) {
            for name in names(folder) {
                let path = folder.join(&name);
                out.push_str(&name);
                match path.symlink_metadata().unwrap() {
                    kind if kind.is_dir() => read(&path, out),
                    kind if kind.is_file() => out.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap())),
                    _ => {}
                }
            }
        }
        let mut out = format!("{:?}", self.events.all());
        read(&self.live, &mut out);
        out
    }

    /// What the service of a version does: see the probe.
    pub(crate) fn mode(&self, version: u32, mode: &str) {
        self.source.add(version, "mode", EntryMode::File, mode.as_bytes());
    }

    /// Leaves a line of the service's settings away from now on.
    pub(crate) fn remove(&mut self, start: &str) {
        let lines = self.settings.lines().filter(|line| !line.trim_start().starts_with(start));
        self.settings = lines.map(|line| line.to_owned() + "\n").collect();
    }

    pub(crate) fn service(&self) -> PathBuf {
        self.live.join("api")
    }

    fn config(&self) -> Config {
        let (settings, way, live, keep) = (&self.settings, &self.way, self.live.display(), self.keep);
        let canary = &self.canary;
        let text = format!(
            "[project]\nname = \"trial\"\n[services.api]\n{settings}\n[environments.local]\n\
             channel = \"trial\"\nretry = {{ attempts = 2, backoff = \"10ms\", longest = \"20ms\" }}\n\
             [environments.local.targets.here]\n{way}\npath = \"{live}\"\nkeep = {keep}\n{canary}"
        );
        parse("pleach.toml", &text).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    pub(crate) fn planned(&self) -> (EnvironmentName, PlannedTarget, TargetDescription) {
        let (config, environment) = (self.config(), EnvironmentName::new("local").unwrap());
        let name = TargetName::new("here").unwrap();
        let settings = &config.environments[&environment];
        let mut description = describe(settings, &settings.targets[&name], self.home.path()).unwrap();
        description.settings["program"] = PROBE.into();
        let settings = description.settings.clone();
        let planned = PlannedTarget { name, kind: "directory".into(), settings, expects: Facts::new() };
        (environment, planned, description)
    }

    pub(crate) fn target(&self) -> Arc<dyn Target> {
        let (environment, planned, _) = self.planned();
        open_target(&environment, &planned).unwrap()
    }

    pub(crate) async fn plan(&self, operation: Operation, version: u32) -> Result<Plan, Vec<Failure>> {
        let facts = self.target().probe().await.map_err(|failure| vec![failure])?;
        self.plan_with(facts, operation, version)
    }

    /// Plans from what was read of the directory alone, without the machine's ports.
    pub(crate) async fn plan_apart(&self, operation: Operation, version: u32) -> Plan {
        let target = self.target();
        let facts = probe_directory(target.files().unwrap(), target.shell().unwrap(), &self.live, Path::new(PROBE))
            .await
            .unwrap();
        self.plan_with(facts, operation, version).unwrap_or_else(|failures| panic!("{failures:#?}"))
    }

    pub(crate) fn plan_with(&self, facts: Facts, operation: Operation, version: u32) -> Result<Plan, Vec<Failure>> {
        let (environment, planned, description) = self.planned();
        let source = ServiceSource {
            commit: commit(version),
            subject: "version".into(),
            scripts: self.source.texts(version),
            images: self.proven.clone(),
            project: BTreeMap::new(),
            version: Some(format!("1.0.{version}")),
        };
        plan(&PlanInput {
            config: &self.config(),
            environment: &environment,
            operation,
            only: &[],
            sources: &BTreeMap::from([(ServiceName::new("api").unwrap(), source)]),
            targets: &BTreeMap::from([(planned.name.clone(), description)]),
            facts: &BTreeMap::from([(planned.name, facts)]),
            registry: &self.registry,
            now: jiff::Timestamp::UNIX_EPOCH,
        })
    }

    pub(crate) async fn execute(&self, plan: Plan) -> Result<Report, RunError> {
        let approved = agreed(plan);
        let run = RunId::new(format!("run-{}", self.runs.fetch_add(1, Ordering::Relaxed))).unwrap();
        let targets = RunTargets::from([(TargetName::new("here").unwrap(), self.target())]);
        let (_sender, stop) = cancel_channel();
        self.engine.execute(run, approved, &targets, stop).await
    }

    /// Plans and executes.
    pub(crate) async fn run(&self, operation: Operation, version: u32) -> Report {
        let plan = self.plan(operation, version).await.unwrap_or_else(|failures| panic!("{failures:#?}"));
        self.execute(plan).await.unwrap_or_else(|error| panic!("{error:#?}"))
    }

    pub(crate) async fn deploy(&self, version: u32) -> Report {
        self.run(Operation::Deploy, version).await
    }

    /// Deploys what must succeed.
    pub(crate) async fn deployed(&self, version: u32) -> Report {
        let report = self.deploy(version).await;
        assert_eq!(report.outcome, Some(Outcome::Succeeded), "{report:#?}");
        report
    }

    /// Deploys what must fail and be taken back; gives the failure.
    pub(crate) async fn refused(&self, version: u32) -> Failure {
        let report = self.deploy(version).await;
        assert_eq!(report.outcome, Some(Outcome::RolledBack), "{report:#?}");
        let failure = report.lanes.iter().find_map(|lane| lane.failure());
        let failure = failure.unwrap_or_else(|| panic!("{report:#?}")).clone();
        require_told(&failure);
        failure
    }

    /// The failure of a deployment that must fail and leave nothing behind, refused or taken back.
    pub(crate) async fn failed(&self, version: u32) -> Failure {
        let plan = match self.plan(Operation::Deploy, version).await {
            Ok(plan) => plan,
            Err(failures) => return failures[0].clone(),
        };
        match self.execute(plan).await {
            Ok(report) => {
                assert_eq!(report.outcome, Some(Outcome::RolledBack), "{report:#?}");
                let of_lane = report.lanes.iter().find_map(|lane| lane.failure());
                of_lane.or(report.unproven.first().map(|unproven| &unproven.failure)).unwrap().clone()
            }
            Err(RunError::Refused(failure) | RunError::Leased(failure) | RunError::Unfinished(failure)) => failure,
        }
    }

    pub(crate) async fn status(&self) -> ServiceStatus {
        let target = self.target();
        let mut statuses = service_statuses(target.files().unwrap(), target.shell(), &self.live).await.unwrap();
        assert_eq!(statuses.len(), 1, "{statuses:?}");
        statuses.remove(0).1.unwrap()
    }

    pub(crate) fn current(&self) -> Option<String> {
        let link = std::fs::read_link(self.service().join("current")).ok()?;
        Some(link.file_name().unwrap().to_string_lossy().into_owned())
    }

    /// The names of all releases that lie there.
    pub(crate) fn releases(&self) -> Vec<String> {
        names(&self.service().join("releases"))
    }

    pub(crate) fn instance(&self, release: &str) -> Option<InstanceRecord> {
        let bytes = std::fs::read(self.service().join(format!("run/{release}.json"))).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// What the public port answers: status and body.
    pub(crate) fn answer(&self) -> Option<(u16, String)> {
        ask(self.port)
    }

    /// Asks the public port again and again until it is told to stop.
    pub(crate) fn listen(&self) -> Listener {
        let (port, stop) = (self.port, Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || {
                let mut heard = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    heard.push(ask(port));
                    // Each connection leaves a socket behind that waits out its time.
                    std::thread::sleep(Duration::from_millis(10));
                }
                heard
            }
        });
        Listener { stop, thread }
    }

    /// The processes that run in a release of the service.
    pub(crate) fn serving(&self) -> Vec<u32> {
        let home = self.service();
        let pids = names(Path::new("/proc")).into_iter().filter_map(|name| name.parse::<u32>().ok());
        pids.filter(|pid| {
            let here = std::fs::read_link(format!("/proc/{pid}/cwd"));
            here.is_ok_and(|here| here.starts_with(&home)) && pleach_remote::process::Identity::of(*pid).is_some()
        })
        .collect()
    }

    /// Ends all that runs there, as `supervise stop` and `route stop` do.
    pub(crate) fn end(&self) {
        let folder = self.service();
        for name in names(&folder.join("run")) {
            let Some(name) = name.strip_suffix(".json") else { continue };
            let (verb, request) = match name.strip_prefix("router-") {
                Some(port) => ("route", serde_json::json!({ "port": port.parse::<u16>().unwrap() })),
                None => match ReleaseId::new(name) {
                    Ok(release) => ("supervise", serde_json::json!({ "release": release, "stop-grace": "0s" })),
                    Err(_) => continue,
                },
            };
            let mut request = request;
            request["directory"] = serde_json::json!(folder);
            request["drain"] = serde_json::json!("0s");
            let mut command = Command::new(PROBE);
            command.args([verb, "stop"]).stdin(Stdio::piped()).stdout(Stdio::null());
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.end();
    }
}

/// A plan that somebody has agreed to.
pub(crate) fn agreed(plan: Plan) -> ApprovedPlan {
    let consent = Consent {
        plan: plan.id(),
        by: "ada".into(),
        at: jiff::Timestamp::UNIX_EPOCH,
        how: "typed".into(),
        answers: BTreeMap::new(),
    };
    approve(plan, consent).unwrap()
}

/// What the public port said over some time.
pub(crate) struct Listener {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Option<(u16, String)>>>,
}

impl Listener {
    /// Every single answer was a good one of `release`.
    #[track_caller]
    pub(crate) fn heard_only(self, release: &str) {
        for answer in self.heard() {
            assert_eq!(answer, Some((200, release.to_owned())));
        }
    }

    /// All answers.
    pub(crate) fn heard(self) -> Vec<Option<(u16, String)>> {
        self.stop.store(true, Ordering::Relaxed);
        let heard = self.thread.join().unwrap();
        assert!(!heard.is_empty());
        heard
    }
}

/// No answer within this is none, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

/// One request; `None` if nobody answers.
pub(crate) fn ask(port: u16) -> Option<(u16, String)> {
    ask_for(port, "/")
}

/// What a port answers about a path.
pub(crate) fn ask_for(port: u16, path: &str) -> Option<(u16, String)> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// The four parts: what, because and next here; the state is here or with the engine, which knows what was taken back.
#[track_caller]
pub(crate) fn require_told(failure: &Failure) {
    assert!(!failure.what.is_empty() && !failure.because.is_empty(), "{failure:#?}");
    assert!(failure.next.as_ref().is_some_and(|next| !next.is_empty()), "{failure:#?}");
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} did not come to be");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The sorted names in a folder; none if it is not there.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
