//! `kill -9` of what keeps a service running.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use pleach_core::plan::Operation;
use pleach_remote::directory::ReleaseStatus;
use serde_json::{Value, json};

use crate::project::{Form, PROBE, Project, require_told, until};
use crate::stage::Stage;

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    until("its end", || pleach_remote::process::Identity::of(pid).is_none().then_some(()));
}

fn router(project: &Project) -> u32 {
    let bytes = std::fs::read(project.service().join(format!("run/router-{}.json", project.port))).unwrap();
    let record: pleach_remote::route::RouterRecord = serde_json::from_slice(&bytes).unwrap();
    record.router.pid
}

#[tokio::test]
async fn a_process_that_is_killed_comes_back_by_itself() {
    let project = Project::new(Form::Supervised);
    project.deployed(1).await;
    let current = project.current().unwrap();
    kill(project.serving()[0]);
    until("its return", || project.answer().filter(|answer| *answer == (200, current.clone())));
    let status = project.status().await;
    assert_eq!((status.status, status.restarts), (Some(ReleaseStatus::Running), 1));
    assert_eq!(status.last_end.as_deref(), Some("was ended by signal 9"));
}

#[tokio::test]
async fn without_its_supervisor_a_release_answers_is_told_as_orphaned_and_the_next_deployment_ends_it() {
    let project = Project::new(Form::Supervised);
    project.deployed(1).await;
    let old = project.current().unwrap();
    let orphan = project.serving();
    let listener = project.listen();
    kill(project.instance(&old).unwrap().supervisor.unwrap().pid);
    assert_eq!(project.status().await.status, Some(ReleaseStatus::Orphaned));
    listener.heard_only(&old);
    project.deployed(1).await;
    assert_ne!(project.current(), Some(old), "what nobody supervises is replaced, though it is the same commit");
    assert_eq!(project.serving().len(), 1);
    assert_ne!(project.serving(), orphan);
    assert_eq!(project.status().await.status, Some(ReleaseStatus::Running));
}

#[tokio::test]
async fn an_orphan_goes_on_answering_while_a_bad_release_is_taken_back() {
    let project = Project::new(Form::Supervised);
    project.deployed(1).await;
    let old = project.current().unwrap();
    kill(project.instance(&old).unwrap().supervisor.unwrap().pid);
    project.mode(2, "dies");
    let listener = project.listen();
    project.refused(2).await;
    listener.heard_only(&old);
    assert_eq!(project.serving().len(), 1);
}

#[tokio::test]
async fn an_orphan_is_ended_by_stop() {
    let project = Project::new(Form::Supervised);
    project.deployed(1).await;
    kill(project.instance(&project.current().unwrap()).unwrap().supervisor.unwrap().pid);
    project.run(Operation::Stop, 1).await;
    assert_eq!((project.answer(), project.serving().len()), (None, 0));
}

#[tokio::test]
async fn a_dead_supervisor_with_a_dead_process_is_told_as_stopped_and_deployed_anew() {
    let project = Project::new(Form::Supervised);
    project.deployed(1).await;
    let old = project.current().unwrap();
    kill(project.instance(&old).unwrap().supervisor.unwrap().pid);
    kill(project.serving()[0]);
    assert_eq!(project.status().await.status, Some(ReleaseStatus::Stopped));
    project.deployed(1).await;
    assert_eq!(project.answer(), Some((200, project.current().unwrap())));
}

#[tokio::test]
async fn without_its_router_the_port_is_told_as_closed_and_the_next_deployment_opens_it() {
    let project = Project::new(Form::Supervised);
    project.deployed(1).await;
    kill(router(&project));
    let status = project.status().await;
    assert_eq!((status.status, status.address), (Some(ReleaseStatus::Running), None));
    assert_eq!(project.answer(), None);
    project.deployed(1).await;
    assert_eq!(project.answer(), Some((200, project.current().unwrap())));
    assert_eq!(project.serving().len(), 1);
}

#[tokio::test]
async fn a_record_that_a_power_cut_left_empty_stops_nobody() {
    let project = Project::new(Form::Supervised);
    project.deployed(1).await;
    project.end();
    let run = project.service().join("run");
    for name in [format!("{}.json", project.current().unwrap()), format!("router-{}.json", project.port)] {
        std::fs::write(run.join(name), "").unwrap();
    }
    assert_eq!(project.status().await.status, Some(ReleaseStatus::Stopped));
    project.deployed(2).await;
    assert_eq!(project.answer(), Some((200, project.current().unwrap())));
}

#[tokio::test]
async fn a_new_release_whose_supervisor_is_killed_is_not_healthy_though_it_answers() {
    for step in ["health", "verify"] {
        let before = ["upload", "start", "health", "route", "switch"];
        let stage = Stage::new(Form::Supervised, "", &["upload", "switch"], &before, step).await;
        let new = stage.project.releases().pop().unwrap();
        kill(stage.project.instance(&new).unwrap().supervisor.unwrap().pid);
        let failure = stage.go_on().await.unwrap_err();
        require_told(&failure);
        assert!(failure.because[0].contains("its supervisor is gone"), "{failure:#?}");
    }
}

#[tokio::test]
async fn a_router_that_is_killed_before_the_end_is_told_by_the_last_look_through_its_port() {
    let before = ["upload", "start", "health", "route", "switch"];
    let lines = "health = { http = { path = \"/\" }, period = \"10ms\", within = \"300ms\" }\n";
    let project = Project::with(Form::Supervised, lines);
    let stage = Stage::of(project, Operation::Deploy, &["upload", "switch"], &before, "verify").await;
    kill(router(&stage.project));
    let failure = stage.go_on().await.unwrap_err();
    require_told(&failure);
    assert!(failure.because[0].contains("refused"), "{failure:#?}");
}

/// `kill -9` of a `stop` once what it asked to end has been told so.
fn stop_killed(project: &Project, command: &str, lock: &str, mut request: Value) {
    request["directory"] = json!(project.service());
    request["drain"] = json!("1s");
    let mut stop = Command::new(PROBE).args([command, "stop"]).stdin(Stdio::piped()).spawn().unwrap();
    stop.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let lock = project.service().join("run").join(lock);
    until("the note", || (std::fs::metadata(&lock).unwrap().len() > 0).then_some(()));
    stop.kill().unwrap();
    stop.wait().unwrap();
}

#[tokio::test]
async fn what_a_killed_stop_has_asked_to_end_is_not_taken_for_running() {
    let project = Project::new(Form::Supervised);
    project.mode(1, "stubborn");
    project.deployed(1).await;
    let release = project.current().unwrap();
    let before = project.instance(&release).unwrap();
    stop_killed(&project, "supervise", &format!("{release}.lock"), json!({ "release": release, "stop-grace": "1s" }));
    let request = json!({
        "directory": project.service(), "service": before.service, "release": release, "run": before.run,
        "argv": [PROBE, "serve"], "variables": {}, "stop-grace": "1s",
    });
    let mut start =
        Command::new(PROBE).args(["supervise", "start"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    start.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    assert!(start.wait().unwrap().success());
    let after = project.instance(&release).unwrap();
    assert_ne!(after.supervisor, before.supervisor, "the one that was asked to end is gone");
    assert_eq!(project.serving(), [after.group.unwrap().leader.pid]);
    assert!(!before.group.unwrap().leader.is_alive());
}

#[tokio::test]
async fn a_stop_that_was_killed_in_the_middle_is_followed_by_a_whole_deployment() {
    let project = Project::new(Form::Supervised);
    project.mode(1, "stubborn");
    project.deployed(1).await;
    let release = project.current().unwrap();
    stop_killed(&project, "supervise", &format!("{release}.lock"), json!({ "release": release, "stop-grace": "1s" }));
    until("its end to begin", || {
        (project.instance(&release).unwrap().activity != pleach_remote::supervise::Activity::Running).then_some(())
    });
    project.deployed(1).await;
    assert_eq!(project.answer(), Some((200, project.current().unwrap())));
    assert_eq!(project.serving().len(), 1);
}

#[tokio::test]
async fn a_router_that_a_killed_stop_has_asked_to_end_is_followed_by_another() {
    let project = Project::new(Form::Supervised);
    project.deployed(1).await;
    let before = router(&project);
    // It is answered, and not closed by the client: the router waits for that.
    let mut held = std::net::TcpStream::connect(("127.0.0.1", project.port)).unwrap();
    held.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    held.read_to_end(&mut Vec::new()).unwrap();
    stop_killed(&project, "route", &format!("router-{}.lock", project.port), json!({ "port": project.port }));
    assert!(pleach_remote::process::Identity::of(before).is_some());
    project.deployed(2).await;
    assert_ne!(router(&project), before);
    assert_eq!(project.answer(), Some((200, project.current().unwrap())));
    drop(held);
}

#[tokio::test]
async fn what_a_write_left_beside_its_file_when_the_power_went_is_gone_once_the_run_is_taken_back() {
    let project = Project::new(Form::Supervised);
    project.deployed(1).await;
    let service = project.service();
    let records = service.join(".pleach/releases");
    let half = "123987756128bc787f5da1d1359ed19a";
    let left = [
        records.join(format!("0002-11111111.json.new-{half}")),
        records.join("0002-11111111.json.new-4711-0"),
        service.join(format!("current.new-{half}")),
        service.join(format!(".pleach/pins/a.json.new-{half}")),
    ];
    for path in &left {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "half").unwrap();
    }
    let own = service.join("notes.new-idea");
    std::fs::write(&own, "mine").unwrap();
    project.mode(2, "dies");
    project.failed(2).await;
    for path in &left {
        assert!(!path.exists(), "{}", path.display());
    }
    assert!(own.exists(), "no write gives this name");
}
