//! Faults around the calls that a Compose project makes while it is deployed: it ends all-new or all-old, and the report says which.
//!
//! The test works on the machine of its engine, as that of containers does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pleach_core::engine::{Engine, RunTargets, cancel_channel};
use pleach_core::period::Period;
use pleach_core::plan::Operation;
use pleach_core::testing::faulty::{Fault, FaultPlan, FaultyTarget};
use pleach_core::testing::{FixedClock, MemoryLeases, MemoryRuns, RecordingEvents};
use pleach_core::word::{RunId, TargetName};
use pleach_testbed::docker::DockerBed;

use crate::faults::{Told, has_pruned, told};
use crate::project::{Form, Project, agreed};

/// Set where the test works on the engine's machine.
const INSIDE: &str = "PLEACH_TEST_ON_MACHINE";
const NAME: &str = "composed::a_fault_at_any_call_while_a_project_is_deployed_ends_all_new_or_all_old";

/// What a step or snapshot may take where a call of it hangs.
const STEP_LIMIT: Duration = Duration::from_secs(8);

/// Of the cases every so many is tried, always the same ones; 1 tries all.
const STRIDE: usize = 31;

/// The one service that answers, and one that only ends.
pub(crate) const COMPOSE: &str = r#"services:
  web:
    image: base:1
    command: ["/bin/busybox", "sh", "-c", "printf %s ${PLEACH_RELEASE} >/www/index.html; exec /bin/busybox httpd -f -p 8080 -h /www"]
    ports: ["127.0.0.1:${PORT}:8080"]
    volumes: ["./version:/version:ro"]
    stop_signal: SIGKILL
  init:
    image: base:1
    command: ["/bin/echo", "done"]
"#;

/// What `docker compose` needs to be found, where it is not the system's.
pub(crate) fn environment() -> String {
    let config = pleach_testbed::compose::ensure().unwrap_or_else(|why| panic!("{why}"));
    config.map(|config| format!("environment = {{ DOCKER_CONFIG = \"{}\" }}\n", config.display())).unwrap_or_default()
}

fn docker(arguments: &[&str]) -> String {
    let output = std::process::Command::new("docker").args(arguments).output().expect("`docker` runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Containers with how they are, names of images, and what is kept of files.
fn seen(project: &Project) -> BTreeSet<String> {
    let containers = docker(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]);
    let images = docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
    let mounts = std::fs::read_dir(project.service().join(".pleach/mounts")).into_iter().flatten().flatten();
    let mounts = mounts.map(|entry| entry.file_name().to_string_lossy().into_owned());
    containers.lines().chain(images.lines()).map(str::to_owned).chain(mounts).collect()
}

/// The release that answers on the public port.
fn answer(project: &Project) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", project.port)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

struct Scene {
    project: Project,
    runs: Arc<MemoryRuns>,
    version: u32,
}

impl Scene {
    fn engine(&self) -> Engine {
        Engine {
            registry: self.project.registry.clone(),
            leases: Arc::new(MemoryLeases::default()),
            runs: self.runs.clone(),
            events: Arc::new(RecordingEvents::default()),
            clock: Arc::new(FixedClock::default()),
        }
    }

    fn targets(&self, faults: &Arc<FaultPlan>) -> RunTargets {
        let faulty = FaultyTarget::new(self.project.target(), faults.clone());
        RunTargets::from([(TargetName::new("here").unwrap(), Arc::new(faulty) as _)])
    }

    /// Deploys another version with this fault at this call, goes on without it where it has to, and looks at what came of it.
    async fn deploy(&mut self, fault: Option<(usize, Fault)>, at: &str) -> (Vec<String>, Told) {
        self.version += 1;
        let (before, old) = (seen(&self.project), self.project.current());
        let facts = self.project.target().probe().await.unwrap();
        let mut plan = self.project.plan_with(facts, Operation::Deploy, self.version).unwrap();
        if fault.is_some_and(|(_, fault)| fault == Fault::Hang) {
            let steps = plan.stages.iter_mut().flat_map(|stage| &mut stage.lanes).flat_map(|lane| &mut lane.steps);
            steps.for_each(|step| step.time_limit = Period(STEP_LIMIT));
            plan.snapshots.iter_mut().for_each(|snapshot| snapshot.time_limit = Period(STEP_LIMIT));
        }
        let new = plan.lanes().find_map(|lane| lane.release.as_ref().map(ToString::to_string));
        let faults = Arc::new(FaultPlan::at(fault));
        let run = RunId::new(format!("run-{}", self.version)).unwrap();
        let (_sender, stop) = cancel_channel();
        let mut said = self.engine().execute(run.clone(), agreed(plan), &self.targets(&faults), stop).await;
        let mut came = told(&said, at);
        for _ in 0..3 {
            if came != Told::Unfinished {
                break;
            }
            let (_sender, stop) = cancel_channel();
            said = self.engine().resume(&run, &self.targets(&Arc::new(FaultPlan::none())), stop).await;
            came = told(&said, at);
        }
        let about = format!("{at}: {said:#?}");
        assert!(came != Told::Unfinished, "it does not come to an end: {about}");
        let wanted = if came == Told::New { &new } else { &old };
        assert_eq!(self.project.current(), *wanted, "{about}");
        assert_eq!(answer(&self.project), *wanted, "{about}");
        if came == Told::Old && !has_pruned(&said) {
            assert_eq!(seen(&self.project), before, "{about}");
        }
        (faults.calls(), came)
    }
}

#[test]
fn a_fault_at_any_call_while_a_project_is_deployed_ends_all_new_or_all_old() {
    if std::env::var_os(INSIDE).is_none() {
        let Some(bed) = DockerBed::new() else { return };
        let mut command = bed.machine().command(std::env::current_exe().unwrap().to_str().unwrap());
        let output = command.args(["--exact", NAME, "--nocapture"]).env(INSIDE, "1").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        println!("{told}");
        assert!(output.status.success() && told.contains("1 passed"), "it failed on the engine's machine");
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (project, begun) = (Project::new(Form::Composed).keep(2), Instant::now());
        let mut scene = Scene { project, runs: Arc::default(), version: 0 };
        scene.deploy(None, "the first time").await;
        let (calls, came) = scene.deploy(None, "nothing goes wrong").await;
        assert_eq!(came, Told::New);
        let asked = calls.iter().enumerate().filter(|(_, call)| *call == "shell.run");
        let cases = asked.flat_map(|(at, call)| Fault::ALL.map(|fault| (at, call.clone(), fault)));
        let cases: Vec<_> = cases.skip(3).step_by(STRIDE).collect();
        let (mut new, mut old) = (0, 0);
        for (at, call, fault) in cases {
            let fault = if let Fault::Slow(_) = fault { Fault::Slow(Duration::from_millis(500)) } else { fault };
            let (about, begun) = (format!("{fault:?} at call {at}, {call}"), Instant::now());
            let (_, came) = scene.deploy(Some((at, fault)), &about).await;
            *(if came == Told::New { &mut new } else { &mut old }) += 1;
            println!("{about}: {came:?} in {:.1?}", begun.elapsed());
        }
        println!("{new} new, {old} old in {:.1?}", begun.elapsed());
        assert!(new > 0 && old > 0);
    });
}
