//! A port that somebody else has.

use std::net::TcpListener;

use pleach_core::engine::RunError;
use pleach_core::error::Kind;
use pleach_core::journal::Outcome;
use pleach_core::plan::Operation;

use pleach_testbed::port::free_ports;

use crate::project::{Form, Project, require_told};

#[tokio::test]
async fn a_port_of_somebody_else_is_told_while_planning_with_who_listens() {
    let project = Project::new(Form::Supervised);
    let stranger = TcpListener::bind(("127.0.0.1", project.port)).unwrap();
    let failures = project.plan(Operation::Deploy, 1).await.unwrap_err();
    assert_eq!(failures.len(), 1, "{failures:#?}");
    require_told(&failures[0]);
    assert!(failures[0].because[0].contains(&format!("(process {})", std::process::id())), "{failures:#?}");
    assert_eq!(failures[0].state.as_deref(), Some("nothing was touched"));
    assert!(!project.live.exists());
    drop(stranger);
    project.deployed(1).await;
}

#[tokio::test]
async fn a_port_that_is_taken_after_planning_ends_the_run_and_nothing_of_the_stranger() {
    let mut project = Project::new(Form::Supervised);
    project.deployed(1).await;
    let (old, first, second) = (project.current().unwrap(), project.port, free_ports(1));
    project.change(&format!("port = {first}"), &format!("port = {second}"));
    let plan = project.plan(Operation::Deploy, 2).await.unwrap();
    let stranger = TcpListener::bind(("127.0.0.1", second)).unwrap();
    let listener = project.listen();
    let report = match project.execute(plan).await {
        Ok(report) => report,
        Err(RunError::Refused(failure)) => panic!("refused: {failure:#?}"),
        Err(error) => panic!("{error:#?}"),
    };
    assert_eq!(report.outcome, Some(Outcome::RolledBack), "{report:#?}");
    let failure = report.lanes.iter().find_map(|lane| lane.failure()).unwrap();
    require_told(failure);
    assert_eq!(failure.kind, Kind::Conflict);
    assert!(failure.because[0].contains(&format!("(process {})", std::process::id())), "{failure:#?}");
    listener.heard_only(&old);
    assert!(stranger.local_addr().is_ok());
    assert_eq!((project.current(), project.serving().len()), (Some(old), 1));
}

#[tokio::test]
async fn a_new_port_is_routed_and_the_old_one_given_up() {
    let mut project = Project::new(Form::Supervised);
    project.deployed(1).await;
    let (first, second) = (project.port, free_ports(1));
    project.change(&format!("port = {first}"), &format!("port = {second}"));
    project.deployed(1).await;
    assert_eq!(project.answer(), None, "the old port is given up");
    project.port = second;
    assert_eq!(project.answer(), Some((200, project.current().unwrap())));
}
