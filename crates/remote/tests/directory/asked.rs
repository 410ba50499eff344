//! A process that does not end when it is asked to.

use pleach_core::period::Period;
use pleach_core::phase::Change;
use pleach_core::plan::{Operation, Plan};
use pleach_remote::directory::ReleaseStatus;

use crate::project::{Form, Project};

#[tokio::test]
async fn a_service_that_ignores_sigterm_is_killed_after_its_grace_and_that_is_said() {
    let mut project = Project::new(Form::Supervised);
    project.change("stop-grace = \"1s\"", "stop-grace = \"200ms\"");
    project.mode(1, "stubborn");
    project.deployed(1).await;
    let old = project.serving();
    let report = project.deployed(2).await;
    assert!(old.iter().all(|pid| !project.serving().contains(pid)));
    let retire = report.lanes.iter().flat_map(|lane| &lane.steps).find(|step| step.name.as_str() == "retire").unwrap();
    let Some(Change::Warned(warning)) = &retire.change else { panic!("{retire:#?}") };
    assert!(warning.contains("did not end within 200ms of SIGTERM and was killed"), "{warning}");
    assert!(retire.evidence.as_ref().unwrap().as_str().contains("nothing of release"), "{retire:#?}");
}

#[tokio::test]
async fn the_limits_of_steps_follow_how_long_processes_and_requests_may_take_to_end() {
    let mut project = Project::with(Form::Supervised, "drain = \"10m\"\n");
    project.change("stop-grace = \"1s\"", "stop-grace = \"5m\"");
    let limit = |plan: &Plan, name: &str| {
        let mut steps = plan.lanes().flat_map(|lane| &lane.steps);
        steps.find(|step| step.name.as_str() == name).unwrap_or_else(|| panic!("{name}: {plan:#?}")).time_limit
    };
    let plan = project.plan(Operation::Deploy, 1).await.unwrap();
    assert!(limit(&plan, "start") > Period::seconds(5 * 60), "taken back, it ends the process");
    assert!(limit(&plan, "route") > Period::seconds(10 * 60));
    project.deployed(1).await;
    let restart = Operation::Restart { part: None };
    for (operation, version, step) in
        [(Operation::Deploy, 2, "retire"), (Operation::Stop, 1, "stop"), (restart, 1, "renew")]
    {
        let plan = project.plan(operation, version).await.unwrap();
        assert!(limit(&plan, step) > Period::seconds(15 * 60), "{step}");
    }
}

#[tokio::test]
async fn a_stubborn_release_that_is_taken_back_is_gone_too() {
    let mut project = Project::with(
        Form::Supervised,
        "health = { command = \"grep -q ok mode\", period = \"10ms\", within = \"300ms\" }\n",
    );
    project.change("stop-grace = \"1s\"", "stop-grace = \"100ms\"");
    project.mode(1, "ok");
    project.deployed(1).await;
    let old = project.current().unwrap();
    project.mode(2, "stubborn");
    let listener = project.listen();
    project.refused(2).await;
    listener.heard_only(&old);
    assert_eq!((project.serving().len(), project.releases()), (1, vec![old]));
}

#[tokio::test]
async fn stopping_ends_all_and_deploying_again_starts_it() {
    let project = Project::new(Form::Supervised);
    project.deployed(1).await;
    project.run(Operation::Stop, 1).await;
    assert_eq!((project.answer(), project.serving().len()), (None, 0));
    assert_eq!(project.status().await.address, None);
    project.deployed(1).await;
    assert_eq!(project.answer().map(|(status, _)| status), Some(200));
    assert_eq!(project.serving().len(), 1);
}

#[tokio::test]
async fn a_service_with_commands_that_was_stopped_is_told_so_and_deployed_again() {
    let project = Project::new(Form::Commands);
    project.deployed(1).await;
    assert_eq!(project.status().await.status, Some(ReleaseStatus::Placed));
    let serving = project.service().join("serving");
    project.run(Operation::Stop, 1).await;
    assert!(!serving.exists());
    assert_eq!(project.status().await.status, Some(ReleaseStatus::Stopped));
    project.deployed(1).await;
    assert_eq!(std::fs::read_to_string(serving).unwrap(), project.current().unwrap() + "\n");
    assert_eq!(project.status().await.status, Some(ReleaseStatus::Placed));
}

#[tokio::test]
async fn a_service_that_has_its_commands_no_more_is_stopped_once_the_new_release_is_there() {
    let mut project = Project::new(Form::Commands);
    project.deployed(1).await;
    let serving = project.service().join("serving");
    assert!(serving.exists());
    for line in ["start = ", "stop = ", "health = "] {
        project.remove(line);
    }
    project.deployed(2).await;
    assert!(!serving.exists(), "nobody would ever stop what the old release had started");
    assert_eq!(project.plan(Operation::Deploy, 2).await.unwrap().lanes().count(), 0);
}
