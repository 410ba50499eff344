//! A restart starts anew what runs, at the release that is current, or leaves it running.

use std::process::Command;

use pleach_core::error::Kind;
use pleach_core::journal::Outcome;
use pleach_core::plan::Operation;
use pleach_remote::directory::ReleaseStatus;

use crate::project::{Form, Project, require_told, until};

fn steps(report: &pleach_core::report::Report) -> Vec<String> {
    report.lanes.iter().flat_map(|lane| &lane.steps).map(|step| step.name.to_string()).collect()
}

#[tokio::test]
async fn the_current_release_has_a_new_process_and_nothing_else_changes() {
    let project = Project::new(Form::Supervised);
    project.deployed(1).await;
    project.deployed(2).await;
    let (current, releases, before) = (project.current(), project.releases(), project.serving());
    let pins = crate::project::names(&project.service().join(".pleach/pins"));
    let listener = project.listen();
    // The branch is elsewhere already: it does not matter.
    let report = project.run(Operation::Restart { part: None }, 3).await;
    listener.heard_only(&current.clone().unwrap());
    assert_eq!(report.outcome, Some(Outcome::Succeeded), "{report:#?}");
    assert_eq!(steps(&report), ["renew", "health", "route", "verify"]);
    assert_eq!((project.current(), project.releases()), (current.clone(), releases));
    assert_eq!(project.answer(), Some((200, current.unwrap())));
    assert_eq!(project.serving().len(), 1);
    assert_ne!(project.serving(), before);
    assert_eq!(crate::project::names(&project.service().join(".pleach/pins")), pins, "it pushes out no way back");
    let status = project.status().await;
    assert_eq!((status.status, status.restarts), (Some(ReleaseStatus::Running), 0));
}

#[tokio::test]
async fn a_service_with_commands_is_stopped_and_started() {
    let project = Project::new(Form::Commands);
    project.deployed(1).await;
    let serving = project.service().join("serving");
    std::fs::write(&serving, "something old").unwrap();
    let report = project.run(Operation::Restart { part: None }, 1).await;
    assert_eq!(report.outcome, Some(Outcome::Succeeded), "{report:#?}");
    assert_eq!(steps(&report), ["halt", "restart", "health"]);
    assert_eq!(std::fs::read_to_string(&serving).unwrap().trim(), project.current().unwrap());
}

#[tokio::test]
async fn the_command_that_takes_a_switch_back_by_hand_starts_the_old_release_or_stops_the_first_one_as_well() {
    let mut project = Project::new(Form::Commands);
    project.change("echo $PLEACH_RELEASE > ../../serving", "cat version > ../../serving");
    let serving = project.service().join("serving");
    for (version, before) in [(1, None), (2, Some("1"))] {
        let current = project.current();
        let plan = project.plan(Operation::Deploy, version).await.unwrap();
        let switch = plan.lanes().flat_map(|lane| &lane.steps).find(|step| step.name.as_str() == "switch").unwrap();
        let by_hand = switch.undo_by_hand.clone().unwrap();
        project.execute(plan).await.unwrap();
        assert_eq!(std::fs::read_to_string(&serving).unwrap(), version.to_string());
        let typed = Command::new("sh").args(["-c", by_hand.trim_matches('`')]).status().unwrap();
        assert!(typed.success(), "{by_hand}");
        assert_eq!(
            (project.current(), std::fs::read_to_string(&serving).ok().as_deref()),
            (current, before),
            "{by_hand}"
        );
        // For the next one.
        project.run(Operation::Deploy, version).await;
    }
}

#[tokio::test]
async fn what_does_not_run_is_refused_with_the_ways_to_start_it() {
    for form in [Form::Supervised, Form::Commands] {
        let project = Project::new(form);
        project.deployed(1).await;
        project.run(Operation::Stop, 1).await;
        let failures = project.plan(Operation::Restart { part: None }, 1).await.unwrap_err();
        require_told(&failures[0]);
        assert_eq!(failures[0].kind, Kind::Conflict);
        let next = failures[0].next.clone().unwrap();
        assert!(next.contains("`pleach deploy local --only api`"), "{next}");
        assert!(next.contains(&format!("`pleach rollback local api --to {}`", project.current().unwrap())), "{next}");
    }
}

#[tokio::test]
async fn where_nothing_was_deployed_and_for_files_alone_there_is_nothing_to_do() {
    for form in [Form::Supervised, Form::Plain] {
        let project = Project::new(form);
        if form == Form::Plain {
            project.deployed(1).await;
        }
        assert_eq!(project.plan(Operation::Restart { part: None }, 1).await.unwrap().lanes().count(), 0, "{form:?}");
    }
}

#[tokio::test]
async fn a_release_without_its_directory_or_its_secret_is_not_ended() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "canary-canary").unwrap();
    let lines = format!("environment = {{ TOKEN = {{ secret = \"file:{}\" }} }}\n", secret.path().display());
    let project = Project::with(Form::Supervised, &lines);
    project.deployed(1).await;
    let (current, before) = (project.current().unwrap(), project.serving());
    let (tree, aside) = (project.service().join("releases").join(&current), project.service().join("aside"));
    let hidden = secret.path().with_extension("hidden");
    for (version, from, to) in [(1, secret.path(), hidden.as_path()), (2, &tree, &aside)] {
        let plan = project.plan(Operation::Restart { part: None }, version).await.unwrap();
        std::fs::rename(from, to).unwrap();
        let report = project.execute(plan).await.unwrap();
        assert_eq!(report.outcome, Some(Outcome::RolledBack), "{report:#?}");
        require_told(report.lanes[0].failure().unwrap());
        assert_eq!((project.answer(), project.serving()), (Some((200, current.clone())), before.clone()));
        std::fs::rename(to, from).unwrap();
    }
}

#[tokio::test]
async fn an_orphan_gets_a_supervisor_and_a_router_that_is_gone_comes_back() {
    let project = Project::new(Form::Supervised);
    project.deployed(1).await;
    let current = project.current().unwrap();
    let record = std::fs::read(project.service().join(format!("run/router-{}.json", project.port))).unwrap();
    let record: pleach_remote::route::RouterRecord = serde_json::from_slice(&record).unwrap();
    for pid in [project.instance(&current).unwrap().supervisor.unwrap().pid, record.router.pid] {
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
        until("its end", || pleach_remote::process::Identity::of(pid).is_none().then_some(()));
    }
    assert_eq!(project.answer(), None);
    let report = project.run(Operation::Restart { part: None }, 1).await;
    assert_eq!(report.outcome, Some(Outcome::Succeeded), "{report:#?}");
    assert_eq!(project.status().await.status, Some(ReleaseStatus::Running));
    assert_eq!(project.answer(), Some((200, current)));
    assert_eq!(project.serving().len(), 1);
}

#[tokio::test]
async fn one_that_is_not_healthy_afterwards_is_told_and_left_running_for_whoever_looks() {
    let lines = "health = { http = { path = \"/\" }, period = \"10ms\", within = \"300ms\" }\n";
    let project = Project::with(Form::Supervised, lines);
    project.deployed(1).await;
    let current = project.current().unwrap();
    // What the service reads when it starts.
    std::fs::write(project.service().join("releases").join(&current).join("mode"), "silent").unwrap();
    let report = project.run(Operation::Restart { part: None }, 1).await;
    assert_eq!(report.outcome, Some(Outcome::Stuck), "no green without evidence: {report:#?}");
    let failure = report.lanes[0].failure().unwrap();
    require_told(failure);
    assert!(failure.what.contains("is not healthy"), "{failure:#?}");
    assert_eq!(project.serving().len(), 1);
    std::fs::remove_file(project.service().join("releases").join(&current).join("mode")).unwrap();
    let report = project.run(Operation::Restart { part: None }, 2).await;
    assert_eq!(report.outcome, Some(Outcome::Succeeded), "{report:#?}");
}
