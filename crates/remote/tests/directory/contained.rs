//! Faults around every port while a container is deployed: it ends all-new or all-old, the report says which, and the service
//! answers all the time.
//!
//! The test works on the machine of its engine, so that all is where one expects it: the socket, and published ports. Of all
//! calls those are tried that only containers make, and those that the engine of the target is asked by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pleach_core::engine::{Engine, RunTargets, cancel_channel};
use pleach_core::period::Period;
use pleach_core::plan::Operation;
use pleach_core::testing::faulty::{Fault, FaultPlan, FaultyTarget};
use pleach_core::testing::{FixedClock, MemoryLeases, MemoryRuns, RecordingEvents};
use pleach_core::word::{RunId, TargetName};
use pleach_remote::docker::{Engine as DockerEngine, EngineWay, label};
use pleach_testbed::docker::DockerBed;
use pleach_testbed::registry::Registry;

use crate::faults::{Told, has_pruned, told};
use crate::project::{Form, Project, agreed};

/// Set where the test works on the engine's machine.
const INSIDE: &str = "PLEACH_TEST_ON_MACHINE";
const THROUGH: &str = "contained::a_fault_while_an_image_goes_through_a_registry_ends_all_new_or_all_old";
const NAME: &str = "contained::a_fault_at_any_call_while_a_container_is_deployed_ends_all_new_or_all_old";

/// What a step or snapshot may take where a call of it hangs.
const STEP_LIMIT: Duration = Duration::from_secs(4);

/// Of the cases every so many is tried, always the same ones; 1 tries all.
const STRIDE: usize = 17;

/// Containers with whether they run, and where the names of images lead.
type Seen = BTreeMap<String, String>;

async fn seen(project: &Project) -> Seen {
    let engine = DockerEngine::connect(EngineWay::here()).await.unwrap();
    let own = label::labels([(label::DIRECTORY, Some(&*project.service().to_string_lossy()))]);
    let mut seen = Seen::new();
    for container in engine.containers(&own).await.unwrap() {
        seen.insert(container.name.clone(), if container.runs() { "runs" } else { "ended" }.into());
    }
    let service = label::labels([(label::SERVICE, Some("api"))]);
    for image in engine.images(&service).await.unwrap() {
        let image = engine.image(image.as_str()).await.unwrap();
        let Some(image) = image else { continue };
        // What was built stays where it was built, whatever becomes of the deployment.
        let names = image.names.iter().filter(|name| name.contains('-'));
        seen.extend(names.map(|name| (name.clone(), image.id.short().to_owned())));
    }
    seen
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
    /// Gives what was called at first, and what it came to.
    async fn deploy(&mut self, fault: Option<(usize, Fault)>, at: &str) -> (Vec<String>, Told) {
        self.version += 1;
        let (before, old) = (seen(&self.project).await, self.project.current());
        let listener = old.is_some().then(|| self.project.listen());
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
        let after = seen(&self.project).await;
        let wanted = if came == Told::New { &new } else { &old };
        assert_eq!(self.project.current(), *wanted, "{about}");
        let running: Vec<&String> = after.iter().filter(|(_, what)| *what == "runs").map(|(name, _)| name).collect();
        let wanted = wanted.clone().unwrap_or_default();
        assert!(running.len() == 1 && running[0].contains(&wanted), "{running:?} {about}");
        if came == Told::Old && !has_pruned(&said) {
            assert_eq!(after, before, "{about}");
        }
        let of_release = after.iter().find(|(name, _)| name.starts_with(&format!("pleach/api:{wanted}-")));
        assert_eq!(after.get("api:trial-latest"), of_release.map(|(_, image)| image), "{after:#?} {about}");
        for answer in listener.map(|listener| listener.heard()).unwrap_or_default() {
            let (status, release) = answer.unwrap_or_else(|| panic!("nobody answered: {about}"));
            let known = [&old, &new].map(|known| known.as_ref() == Some(&release));
            assert!(status == 200 && known.contains(&true), "{status} {release}: {about}");
        }
        (faults.calls(), came)
    }
}

/// Goes to the engine's machine, and there tries faults at the calls that `picks` gives, every so many of them.
fn trial(name: &str, stride: usize, form: impl FnOnce() -> Project, picks: impl Fn(&[String]) -> Vec<usize>) {
    if std::env::var_os(INSIDE).is_none() {
        let Some(bed) = DockerBed::new() else { return };
        let mut command = bed.machine().command(std::env::current_exe().unwrap().to_str().unwrap());
        let output = command.args(["--exact", name, "--nocapture"]).env(INSIDE, "1").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        println!("{told}");
        assert!(output.status.success() && told.contains("1 passed"), "it failed on the engine's machine");
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (project, begun) = (form().keep(2), Instant::now());
        let mut scene = Scene { project, runs: Arc::default(), version: 0 };
        scene.deploy(None, "the first time").await;
        let (calls, came) = scene.deploy(None, "nothing goes wrong").await;
        assert_eq!(came, Told::New);
        let asked = picks(&calls).into_iter().map(|at| (at, calls[at].clone()));
        let cases = asked.flat_map(|(at, call)| Fault::ALL.map(|fault| (at, call.clone(), fault)));
        let cases: Vec<_> = cases.skip(3.min(stride - 1)).step_by(stride).collect();
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

#[test]
fn a_fault_at_any_call_while_a_container_is_deployed_ends_all_new_or_all_old() {
    let asked = |call: &String| call.starts_with("containers.") || call == "shell.run";
    let picks = |calls: &[String]| (0..calls.len()).filter(|at| asked(&calls[*at])).collect();
    trial(NAME, STRIDE, || Project::new(Form::Contained), picks);
}

#[test]
fn a_fault_while_an_image_goes_through_a_registry_ends_all_new_or_all_old() {
    let picks = |calls: &[String]| {
        let push = calls.iter().position(|call| call == "containers.push").expect("it is pushed");
        let pull = (push..calls.len()).find(|at| calls[*at] == "shell.run").expect("it is pulled");
        vec![push, pull]
    };
    let mut registry = None;
    let form = || {
        let registry = registry.insert(Registry::start(false));
        let mut project = Project::new(Form::Contained);
        project.change("image = {", &format!("image = {{ registry = \"127.0.0.1:{}/team\",", registry.port()));
        project
    };
    trial(THROUGH, 1, form, picks);
}
