//! Deployments amid faults, on the machine of an engine of the test's own: there all is where one expects it, the socket and
//! published ports.

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
use crate::project::{Project, agreed};

/// Set where the test works on the engine's machine.
const INSIDE: &str = "PLEACH_TEST_ON_MACHINE";

/// A project that is deployed again and again.
pub(crate) struct Scene {
    pub(crate) project: Project,
    runs: Arc<MemoryRuns>,
    version: u32,
    step_limit: Duration,
}

/// What came of a deployment.
pub(crate) struct Came {
    /// What was called at first.
    pub(crate) calls: Vec<String>,
    pub(crate) told: Told,
    /// The release before, and the one that was to be.
    pub(crate) old: Option<String>,
    pub(crate) new: Option<String>,
    /// Whether it came as far as to remove what is old.
    pub(crate) pruned: bool,
    /// For whoever reads that it went wrong.
    pub(crate) about: String,
}

impl Came {
    /// The release that is live now.
    pub(crate) fn wanted(&self) -> &Option<String> {
        if self.told == Told::New { &self.new } else { &self.old }
    }
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

    /// Deploys another version with this fault at this call, and goes on without it where it has to.
    pub(crate) async fn deploy(&mut self, fault: Option<(usize, Fault)>, at: &str) -> Came {
        self.version += 1;
        let old = self.project.current();
        let facts = self.project.target().probe().await.unwrap();
        let mut plan = self.project.plan_with(facts, Operation::Deploy, self.version).unwrap();
        if fault.is_some_and(|(_, fault)| fault == Fault::Hang) {
            let limit = Period(self.step_limit);
            let steps = plan.stages.iter_mut().flat_map(|stage| &mut stage.lanes).flat_map(|lane| &mut lane.steps);
            steps.for_each(|step| step.time_limit = limit);
            plan.snapshots.iter_mut().for_each(|snapshot| snapshot.time_limit = limit);
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
        let came = Came { calls: faults.calls(), told: came, old, new, pruned: has_pruned(&said), about };
        assert_eq!(self.project.current(), *came.wanted(), "{}", came.about);
        came
    }
}

/// Goes to the engine's machine, and there tries faults at the calls that `picks` gives, every so many of them. `deploy` does so, and
/// looks at what came of it. Tells there how often that was the new release, and how often the old one.
pub(crate) fn trial(
    name: &str,
    stride: usize,
    step_limit: Duration,
    form: impl FnOnce() -> Project,
    picks: impl Fn(&[String]) -> Vec<usize>,
    deploy: impl AsyncFn(&mut Scene, Option<(usize, Fault)>, &str) -> Came,
) -> Option<(usize, usize)> {
    if std::env::var_os(INSIDE).is_none() {
        let bed = DockerBed::new()?;
        let mut command = bed.machine().command(std::env::current_exe().unwrap().to_str().unwrap());
        let output = command.args(["--exact", name, "--nocapture"]).env(INSIDE, "1").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        println!("{told}");
        assert!(output.status.success() && told.contains("1 passed"), "it failed on the engine's machine");
        return None;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (project, begun) = (form().keep(2), Instant::now());
        let mut scene = Scene { project, runs: Arc::default(), version: 0, step_limit };
        deploy(&mut scene, None, "the first time").await;
        let Came { calls, told, .. } = deploy(&mut scene, None, "nothing goes wrong").await;
        assert_eq!(told, Told::New);
        let asked = picks(&calls).into_iter().map(|at| (at, calls[at].clone()));
        let cases = asked.flat_map(|(at, call)| Fault::ALL.map(|fault| (at, call.clone(), fault)));
        let cases: Vec<_> = cases.skip(3.min(stride - 1)).step_by(stride).collect();
        let (mut new, mut old) = (0, 0);
        for (at, call, fault) in cases {
            let fault = if let Fault::Slow(_) = fault { Fault::Slow(Duration::from_millis(500)) } else { fault };
            let (about, begun) = (format!("{fault:?} at call {at}, {call}"), Instant::now());
            let came = deploy(&mut scene, Some((at, fault)), &about).await.told;
            *(if came == Told::New { &mut new } else { &mut old }) += 1;
            println!("{about}: {came:?} in {:.1?}", begun.elapsed());
        }
        println!("{new} new, {old} old in {:.1?}", begun.elapsed());
        Some((new, old))
    })
}

/// Some faults were gone over, and some had all go back.
pub(crate) fn require_both(came: Option<(usize, usize)>) {
    assert!(came.is_none_or(|(new, old)| new > 0 && old > 0), "{came:?}");
}
