//! Faults around every port while a container is deployed: it ends all-new or all-old, the report says which, and the service
//! answers all the time.
//!
//! Of all calls those are tried that only containers make, and those that the engine of the target is asked by.

use std::collections::BTreeMap;
use std::time::Duration;

use pleach_core::testing::faulty::Fault;
use pleach_remote::docker::{Engine as DockerEngine, EngineWay, label};
use pleach_testbed::registry::Registry;

use crate::faults::Told;
use crate::machine::{Came, Scene, trial};
use crate::project::{Form, Project};

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

async fn deploy(scene: &mut Scene, fault: Option<(usize, Fault)>, at: &str) -> Came {
    let before = seen(&scene.project).await;
    let listener = scene.project.current().is_some().then(|| scene.project.listen());
    let came = scene.deploy(fault, at).await;
    let (after, about) = (seen(&scene.project).await, &came.about);
    let running: Vec<&String> = after.iter().filter(|(_, what)| *what == "runs").map(|(name, _)| name).collect();
    let wanted = came.wanted().clone().unwrap_or_default();
    assert!(running.len() == 1 && running[0].contains(&wanted), "{running:?} {about}");
    if came.told == Told::Old && !came.pruned {
        assert_eq!(after, before, "{about}");
    }
    let of_release = after.iter().find(|(name, _)| name.starts_with(&format!("pleach/api:{wanted}-")));
    assert_eq!(after.get("api:trial-latest"), of_release.map(|(_, image)| image), "{after:#?} {about}");
    for answer in listener.map(|listener| listener.heard()).unwrap_or_default() {
        let (status, release) = answer.unwrap_or_else(|| panic!("nobody answered: {about}"));
        let known = [&came.old, &came.new].map(|known| known.as_ref() == Some(&release));
        assert!(status == 200 && known.contains(&true), "{status} {release}: {about}");
    }
    came
}

#[test]
fn a_fault_at_any_call_while_a_container_is_deployed_ends_all_new_or_all_old() {
    let asked = |call: &String| call.starts_with("containers.") || call == "shell.run";
    let picks = |calls: &[String]| (0..calls.len()).filter(|at| asked(&calls[*at])).collect();
    trial(NAME, STRIDE, STEP_LIMIT, || Project::new(Form::Contained), picks, deploy);
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
    trial(THROUGH, 1, STEP_LIMIT, form, picks, deploy);
}
