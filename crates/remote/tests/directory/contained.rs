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
use crate::machine::{Came, Scene, require_both, trial};
use crate::project::{Form, Project, ask_for};

const THROUGH: &str = "contained::a_fault_while_an_image_goes_through_a_registry_ends_all_new_or_all_old";
const VOLUME: &str =
    "contained::a_fault_while_a_volume_is_kept_and_changed_leaves_what_belongs_to_the_release_that_runs";
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
    require_both(trial(NAME, STRIDE, STEP_LIMIT, || Project::new(Form::Contained), picks, deploy));
}

#[test]
fn a_fault_while_an_image_goes_through_a_registry_ends_all_new_or_all_old() {
    let picks = |calls: &[String]| {
        let push = calls.iter().position(|call| call == "containers.push").expect("it is pushed");
        let pull = (push..calls.len()).find(|at| calls[*at] == "shell.run").expect("it is pulled");
        let named = ["containers.tagged", "containers.tag"];
        let named = named.map(|name| calls.iter().position(|call| call == name).expect("it is named there"));
        [[push, pull], named].concat()
    };
    let mut registry = None;
    let form = || {
        let registry = registry.insert(Registry::start(false));
        let mut project = Project::new(Form::Contained);
        project.change("image = {", &format!("image = {{ registry = \"127.0.0.1:{}/team\",", registry.port()));
        project
    };
    require_both(trial(THROUGH, 1, STEP_LIMIT, form, picks, deploy));
}

/// Each release leaves its name in the volume.
fn with_volume() -> Project {
    let mut project = Project::with(Form::Contained, "snapshot = [\"volume:data\"]\n");
    project.change("image = {", "image = { volumes = [\"data:/data\"],");
    project.change("printf", "ln -sfn /data /www/data; touch /data/$PLEACH_RELEASE; printf");
    project
}

/// Nothing of a release that was taken back is in the volume, and all of those before it.
async fn deploy_on_volume(scene: &mut Scene, fault: Option<(usize, Fault)>, at: &str) -> Came {
    let came = scene.deploy(fault, at).await;
    let left = |release: &str| {
        let (status, _) = ask_for(scene.project.port, &format!("/data/{release}")).expect("an answer");
        status == 200
    };
    let wanted = came.wanted().clone().unwrap_or_default();
    assert_eq!(scene.project.answer(), Some((200, wanted.clone())), "{}", came.about);
    assert!(left(&wanted), "{}", came.about);
    if came.told == Told::Old {
        assert!(!came.new.as_deref().is_some_and(left), "{}", came.about);
    }
    let engine = DockerEngine::connect(EngineWay::here()).await.unwrap();
    let all = engine.containers(&BTreeMap::new()).await.unwrap();
    let holders: Vec<_> = all.iter().filter(|one| one.name.starts_with("pleach-volume")).collect();
    assert!(holders.iter().all(|one| !one.runs()), "{holders:?} {}", came.about);
    came
}

#[test]
fn a_fault_while_a_volume_is_kept_and_changed_leaves_what_belongs_to_the_release_that_runs() {
    let picks = |calls: &[String]| (0..calls.len()).filter(|at| calls[*at] == "shell.run").collect();
    require_both(trial(VOLUME, 5, STEP_LIMIT, with_volume, picks, deploy_on_volume));
}
