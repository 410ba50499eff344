//! Faults around every port of a host over SSH, throughout a whole deployment: it ends all-new or all-old, the report says
//! which, and the service answers all the time.
//!
//! A case is a kind of call and a way to go wrong, one of [`Fault::ALL`]; the calls of a kind take turns, from the first to
//! the last. Of all cases every [`STRIDE`]th is tried, always the same ones: each kind meets several ways, each way several
//! kinds. Calls that no step's time limit covers do not hang here: the engine gives them a minute, which its own tests wait
//! for by a paused clock.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pleach_core::engine::{Engine, LaneStatus, RunError, RunTargets, cancel_channel};
use pleach_core::journal::Outcome;
use pleach_core::period::Period;
use pleach_core::plan::{Operation, Plan};
use pleach_core::port::{EntryMode, Holder, Leases as _};
use pleach_core::registry::Registry;
use pleach_core::report::Report;
use pleach_core::target::Target as _;
use pleach_core::testing::faulty::{Fault, FaultPlan, FaultyLeases, FaultySecrets, FaultySource, FaultyTarget};
use pleach_core::testing::{FixedClock, MemoryRuns, RecordingEvents};
use pleach_core::word::{RunId, TargetName};
use pleach_remote::guard::TargetLeases;
use pleach_remote::local::LocalSecrets;
use pleach_remote::ssh::SshTarget;
use pleach_remote::{open_ssh_target, register};
use pleach_testbed::sshd::SshBed;
use serde_json::Value;

use crate::project::{Form, Project, agreed, names};

/// Deployments side by side: most of the time of each is waiting.
const SIDE_BY_SIDE: usize = 3;

/// Every fourth, as all would take minutes; 1 tries all.
const STRIDE: usize = 4;

/// What a step may take where a call of it hangs.
const STEP_LIMIT: Duration = Duration::from_secs(5);

/// The longest that what a call left behind may go on.
const SETTLED: Duration = Duration::from_secs(20);

/// One call that goes wrong.
type Case = (usize, String, Fault);

/// What a run said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    New,
    Old,
    Unfinished,
}

/// A service on a host.
struct Host {
    project: Project,
    runs: Arc<MemoryRuns>,
    /// Each run is another person's, and whose run has ended is gone.
    people: u32,
    version: u32,
    /// The version that was deployed last.
    live: u32,
    /// What lies there once two releases are deployed, by names that are the same for all.
    steady: BTreeMap<String, String>,
}

impl Host {
    /// With two releases, as after every deployment from then on.
    async fn new(bed: &SshBed) -> Self {
        let lines = "environment = { TOKEN = { secret = \"file:token\" } }\nbuild = \"echo built > built\"\n\
                     shared = [\"data/\"]\n";
        let project = Project::with(Form::Supervised, lines).keep(2).over(bed);
        project.write("token", "a secret");
        let mut host = Self { project, runs: Arc::default(), people: 0, version: 0, live: 0, steady: BTreeMap::new() };
        for _ in 0..2 {
            host.deploy(None, "nothing goes wrong").await;
            assert_eq!(host.live, host.version);
        }
        host.steady = host.plain(&host.manifest());
        host
    }

    fn open(&self) -> Arc<SshTarget> {
        let (environment, planned, _) = self.project.planned();
        Arc::new(open_ssh_target(&environment, &planned).unwrap())
    }

    /// The leases as somebody sees them who can tell that everybody before is gone.
    fn leases(&self, target: &SshTarget) -> TargetLeases {
        let process = self.people;
        let holder =
            Holder { user: "ada".into(), host: "elsewhere".into(), boot: String::new(), process, process_start: 1 };
        target.leases(holder, Arc::new(move |other: &Holder| other.process < process))
    }

    /// Somebody at work with this target; what they call goes wrong as planned.
    fn engine(&mut self, target: &Arc<SshTarget>, faults: &Arc<FaultPlan>) -> (Engine, RunTargets) {
        self.people += 1;
        let source = FaultySource { inner: self.project.source.clone(), plan: faults.clone() };
        let secrets = Arc::new(LocalSecrets::new(self.project.home()));
        let secrets = FaultySecrets { inner: secrets, plan: faults.clone() };
        let mut registry = Registry::new();
        let built = self.project.home().join("built");
        register(&mut registry, Arc::new(source), Arc::new(secrets), &built);
        let engine = Engine {
            registry: Arc::new(registry),
            leases: Arc::new(FaultyLeases { inner: Arc::new(self.leases(target)), plan: faults.clone() }),
            runs: self.runs.clone(),
            events: Arc::new(RecordingEvents::default()),
            clock: Arc::new(FixedClock::default()),
        };
        let faulty = Arc::new(FaultyTarget::new(target.clone(), faults.clone()));
        (engine, RunTargets::from([(TargetName::new("here").unwrap(), faulty as _)]))
    }

    async fn plan(&self, target: &SshTarget, fault: Option<Fault>) -> Plan {
        let facts = target.probe().await.unwrap();
        let planned = self.project.plan_with(facts, Operation::Deploy, self.version);
        let mut plan = planned.unwrap_or_else(|failures| panic!("{failures:#?}"));
        if fault == Some(Fault::Hang) {
            let steps = plan.stages.iter_mut().flat_map(|stage| &mut stage.lanes).flat_map(|lane| &mut lane.steps);
            steps.for_each(|step| step.time_limit = Period(STEP_LIMIT));
        }
        plan
    }

    /// Deploys another version with this fault at this call, goes on without it where it has to, and looks at what came of
    /// it. Gives what was called at first.
    async fn deploy(&mut self, fault: Option<(usize, Fault)>, at: &str) -> Vec<String> {
        self.version += 1;
        let version = self.version;
        self.project.source.add(version, "number", EntryMode::File, version.to_string().as_bytes());
        self.project.source.add(version, "bin/tool", EntryMode::Executable, b"#!/bin/sh\n");
        self.project.source.add(version, "link", EntryMode::Symlink, b"number");
        let (before, old) = (self.manifest(), self.project.current());
        let listener = (version > 1).then(|| self.project.listen());
        let target = self.open();
        let plan = self.plan(&target, fault.map(|(_, fault)| fault)).await;
        let new = plan.lanes().find_map(|lane| lane.release.as_ref().map(ToString::to_string));
        let faults = Arc::new(FaultPlan::at(fault));
        let (engine, targets) = self.engine(&target, &faults);
        let run = RunId::new(format!("run-{version}")).unwrap();
        let (_sender, stop) = cancel_channel();
        let mut said = engine.execute(run.clone(), agreed(plan), &targets, stop).await;
        let mut told = told(&said, at);
        let none = Arc::new(FaultPlan::none());
        for _ in 0..3 {
            if told != Told::Unfinished {
                break;
            }
            let target = self.open();
            let (engine, targets) = self.engine(&target, &none);
            let (_sender, stop) = cancel_channel();
            said = engine.resume(&run, &targets, stop).await;
            told = self::told(&said, at);
        }
        let about = format!("{at}: {said:?}");
        assert!(told != Told::Unfinished, "it does not come to an end: {about}");
        let has_pruned = has_pruned(&said);
        if told == Told::New {
            self.live = version;
        }
        self.require(&about, |found| match told {
            Told::New => self.model(found),
            _ if has_pruned => differences(&self.kept(&before), &self.kept(found)),
            _ => differences(&before, found),
        });
        let wanted = if told == Told::New { &new } else { &old };
        assert_eq!(self.project.current(), *wanted, "{about}");
        for answer in listener.map(|listener| listener.heard()).unwrap_or_default() {
            let (status, release) = answer.unwrap_or_else(|| panic!("nobody answered: {about}"));
            let known = [&old, &new].map(|known| known.as_ref() == Some(&release));
            assert!(status == 200 && known.contains(&true), "{status} {release}: {about}");
        }
        // Only who could not give a lease back has left one, and is told to be gone.
        let held = self.leases(&self.open()).list().await.unwrap();
        assert!(held.is_empty() || at.contains("leases."), "{held:?} {about}");
        faults.calls()
    }

    /// Waits until nothing is told to be wrong any more.
    fn require(&self, about: &str, wrong: impl Fn(&BTreeMap<String, String>) -> String) {
        let begun = Instant::now();
        loop {
            let told = wrong(&self.manifest());
            if told.is_empty() {
                return;
            }
            assert!(begun.elapsed() < SETTLED, "what lies and runs there is not what it has to be:\n{told}{about}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All but what the removal of old releases takes away, which is not brought back.
    fn kept(&self, found: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let current = self.project.current().unwrap_or_default();
        let is_old = |name: &str| {
            let name = name.split('.').next().unwrap_or_default();
            name != current && name.split_once('-').is_some_and(|(number, _)| number.parse::<u32>().is_ok())
        };
        let stays = |path: &str| !path.starts_with(".pleach/pins") && !path.split('/').any(is_old);
        found.iter().filter(|(path, _)| stays(path)).map(|(path, what)| (path.clone(), what.clone())).collect()
    }

    /// Modes, owners, sizes or contents and links of all that lies there by path, what is known of releases, and what runs.
    fn manifest(&self) -> BTreeMap<String, String> {
        let service = self.project.service();
        let mut found = BTreeMap::new();
        walk(&service, &service, &mut found);
        for pid in self.project.serving() {
            let place = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            let place = place.strip_prefix(&service).unwrap_or(&place).display().to_string();
            found.entry(format!("runs in {place}")).or_insert_with(String::new).push('|');
        }
        let answer = self.project.answer().map(|(status, release)| format!("{status} {release}"));
        found.insert("answer".into(), answer.unwrap_or_default());
        found
    }

    /// How this differs from the live version on a host where nothing went wrong.
    fn model(&self, found: &BTreeMap<String, String>) -> String {
        let releases = self.project.releases();
        let Some(new) = releases.last() else { return "no release".into() };
        let mut wrong = String::new();
        let mut require = |path: &str, wanted: &str| {
            let there = found.get(path).map_or("nothing", String::as_str);
            if !there.ends_with(wanted) {
                let _ = writeln!(wrong, "- {path}: {wanted:?}\n+ {path}: {there:?}");
            }
        };
        let tree = format!("releases/{new}");
        require("current", &format!("-> {tree}"));
        require(&format!("{tree}/number"), &format!("100644 {:?}", self.live.to_string()));
        require(&format!("{tree}/bin/tool"), "100755 \"#!/bin/sh\\n\"");
        require(&format!("{tree}/link"), "-> number");
        require(&format!("{tree}/built"), "\"built\\n\"");
        require(&format!("{tree}/data"), "data");
        require(&format!("runs in {tree}"), "|");
        require("answer", &format!("200 {new}"));
        require(&format!(".pleach/releases/{new}.json"), "state \"used\"");
        if self.steady.is_empty() { wrong } else { wrong + &differences(&self.steady, &self.plain(found)) }
    }

    /// Releases are named in their order, and of what tells one version from another only the mode is left.
    fn plain(&self, found: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let (releases, pins) = (self.project.releases(), names(&self.project.service().join(".pleach/pins")));
        let named = |text: &str| {
            let releases = releases.iter().enumerate().map(|(at, name)| (name, format!("RELEASE {at}")));
            let names = releases.chain(pins.iter().enumerate().map(|(at, name)| (name, format!("PIN {at}"))));
            names.fold(text.to_owned(), |text, (name, plain)| text.replace(name, &plain))
        };
        let told = |path: &str, what: &str| match path.rsplit('/').next() {
            Some("number" | "version") => what.split('"').next().unwrap_or_default().to_owned(),
            _ => named(what),
        };
        found.iter().map(|(path, what)| (named(path), told(path, what))).collect()
    }
}

pub(crate) fn has_pruned(said: &Result<Report, RunError>) -> bool {
    let lanes = said.iter().flat_map(|report| &report.lanes);
    lanes.flat_map(|lane| &lane.steps).any(|step| step.name.as_str() == "prune" && step.started.is_some())
}

fn walk(root: &Path, path: &Path, found: &mut BTreeMap<String, String>) {
    let Ok(metadata) = path.symlink_metadata() else { return };
    let name = path.strip_prefix(root).unwrap().display().to_string();
    let mut what = format!("{} {} {:o}", metadata.uid(), metadata.gid(), metadata.mode());
    if metadata.is_symlink() {
        let _ = write!(what, " -> {}", std::fs::read_link(path).unwrap_or_default().display());
    } else if metadata.is_file() {
        let bytes = std::fs::read(path).unwrap_or_default();
        if name.starts_with("releases/") {
            let _ = write!(what, " {:?}", String::from_utf8_lossy(&bytes));
        } else if name.starts_with(".pleach/releases/") {
            let record: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let _ = write!(what, " state {}", record["state"]);
        }
    } else {
        names(path).iter().for_each(|each| walk(root, &path.join(each), found));
    }
    found.insert(name, what);
}

fn differences(wanted: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> String {
    let mut told = String::new();
    for (sign, these, those) in [('-', wanted, found), ('+', found, wanted)] {
        for (path, what) in these.iter().filter(|(path, what)| those.get(*path) != Some(*what)) {
            let _ = writeln!(told, "{sign} {path}: {what}");
        }
    }
    told
}

/// What a run says, which is believed only where all of it says the same.
pub(crate) fn told(said: &Result<Report, RunError>, at: &str) -> Told {
    let report = match said {
        Ok(report) => report,
        Err(RunError::Refused(_) | RunError::Leased(_)) => return Told::Old,
        Err(RunError::Unfinished(_)) => return Told::Unfinished,
    };
    let (told, status): (_, &[LaneStatus]) = match report.outcome {
        Some(Outcome::Succeeded) => (Told::New, &[LaneStatus::Done]),
        Some(Outcome::RolledBack) => (Told::Old, &[LaneStatus::TakenBack, LaneStatus::Skipped]),
        _ => (Told::Unfinished, &[]),
    };
    for lane in &report.lanes {
        assert!(status.is_empty() || status.contains(&lane.status), "{at}: {report:#?}");
        let unseen = lane.steps.iter().find(|step| step.evidence.is_none());
        assert!(told != Told::New || unseen.is_none(), "{at}: {unseen:#?}");
    }
    if told == Told::Old {
        let why = report.lanes.iter().find_map(|lane| lane.failure());
        assert!(why.is_some() || !report.unproven.is_empty(), "{at}: it does not say why: {report:#?}");
    }
    told
}

/// Which calls go wrong, and how: see the top.
fn cases(calls: &[String]) -> Vec<Case> {
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, call) in calls.iter().enumerate() {
        places.entry(call).or_default().push(at);
    }
    let mut cases = Vec::new();
    for (kind, (call, places)) in places.into_iter().enumerate() {
        for (way, fault) in Fault::ALL.into_iter().enumerate() {
            let in_step = !call.starts_with("leases.") && !call.starts_with("target.");
            let fault = match fault {
                Fault::Hang if !in_step => continue,
                Fault::Slow(_) => Fault::Slow(Duration::from_millis(500)),
                fault => fault,
            };
            if (kind + way).is_multiple_of(STRIDE) {
                cases.push((places[way * places.len() / Fault::ALL.len()], call.to_owned(), fault));
            }
        }
    }
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_at_any_call_over_ssh_ends_all_new_or_all_old_and_the_report_says_which() {
    let bed = Arc::new(SshBed::new(""));
    let begun = Instant::now();
    let mut first = Host::new(&bed).await;
    let calls = first.deploy(None, "nothing goes wrong").await;
    let (cases, mut first) = (cases(&calls), Some(first));
    println!("{} cases at {} calls", cases.len(), calls.len());
    let (mut working, counted) = (Vec::new(), cases.len());
    for lane in 0..SIDE_BY_SIDE {
        let mine: Vec<Case> = cases.iter().skip(lane).step_by(SIDE_BY_SIDE).cloned().collect();
        let (bed, first) = (bed.clone(), first.take());
        working.push(tokio::spawn(async move {
            let mut host = match first {
                Some(first) => first,
                None => Host::new(&bed).await,
            };
            let (mut new, mut old) = (0, 0);
            for (at, call, fault) in mine {
                let (about, begun) = (format!("{fault:?} at call {at}, {call}"), Instant::now());
                host.deploy(Some((at, fault)), &about).await;
                let is_new = host.live == host.version;
                *(if is_new { &mut new } else { &mut old }) += 1;
                println!("{about}: {} in {:.1?}", if is_new { "new" } else { "old" }, begun.elapsed());
            }
            (new, old)
        }));
    }
    let (mut new, mut old) = (0, 0);
    for each in working {
        let (more_new, more_old) = each.await.unwrap();
        new += more_new;
        old += more_old;
    }
    println!("{new} new, {old} old in {:.1?}", begun.elapsed());
    assert!(new > 0 && old > 0 && new + old == counted);
}
