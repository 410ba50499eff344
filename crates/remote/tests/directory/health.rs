//! A release that does not become healthy is taken back, and the old one answers all the while.

use std::time::Instant;

use pleach_core::error::Failure;

use crate::project::{Form, Project};

/// Deploys a good version and then one of `mode` that must be refused.
async fn refused(mode: &str, lines: &str) -> (Project, Failure) {
    let project = Project::with(Form::Supervised, lines);
    project.deployed(1).await;
    let old = project.current().unwrap();
    project.mode(2, mode);
    let listener = project.listen();
    let failure = project.refused(2).await;
    listener.heard_only(&old);
    assert_eq!(project.releases(), std::slice::from_ref(&old));
    assert_eq!(project.current(), Some(old));
    assert_eq!(project.serving().len(), 1, "of the new release nothing runs");
    (project, failure)
}

const SHORT: &str = "health = { http = { path = \"/\" }, period = \"10ms\", success = 2, within = \"700ms\" }\n";

#[tokio::test]
async fn a_service_that_dies_at_once_is_taken_back_long_before_its_time_is_over() {
    let begun = Instant::now();
    let (_project, failure) = refused("dies", "").await;
    assert!(begun.elapsed().as_secs() < 15, "its limit is 20 s");
    assert!(failure.because[0].contains("exited with 3"), "{failure:#?}");
    assert!(failure.output.iter().any(|line| line == "serving dies"), "{failure:#?}");
}

#[tokio::test]
async fn a_service_that_never_becomes_healthy_is_taken_back_when_its_time_is_over() {
    let (_project, failure) = refused("broken", SHORT).await;
    assert!(failure.because[0].contains("answered 500"), "{failure:#?}");
}

#[tokio::test]
async fn a_service_that_never_answers_is_taken_back_when_its_time_is_over() {
    let lines = SHORT.replace("period", "timeout = \"50ms\", period");
    let (_project, failure) = refused("silent", &lines).await;
    assert!(failure.because[0].contains("no answer") || failure.because[0].contains("did not answer"), "{failure:#?}");
}

#[tokio::test]
async fn a_service_that_flaps_is_not_healthy() {
    let (_project, failure) = refused("flaps", SHORT).await;
    assert!(failure.because[1].contains("not right often enough in a row"), "{failure:#?}");
}

#[tokio::test]
async fn a_service_whose_process_ends_after_each_good_answer_is_not_healthy() {
    let (_project, failure) = refused("dies-asked", "").await;
    assert!(failure.because[0].contains("its process"), "{failure:#?}");
}

#[tokio::test]
async fn a_first_release_that_fails_leaves_nothing() {
    let project = Project::new(Form::Supervised);
    project.mode(1, "dies");
    project.refused(1).await;
    assert_eq!((project.current(), project.releases().len()), (None, 0));
    assert_eq!((project.answer(), project.serving().len()), (None, 0));
    project.deployed(2).await;
    assert_eq!(project.answer().map(|(status, _)| status), Some(200));
}

#[tokio::test]
async fn a_service_with_commands_goes_back_to_the_old_release_by_its_start_command() {
    let mut project = Project::new(Form::Commands);
    project.deployed(1).await;
    let old = project.current().unwrap();
    let serving = |project: &Project| std::fs::read_to_string(project.service().join("serving")).ok();
    assert_eq!(serving(&project), Some(format!("{old}\n")));
    project.change("test -e ../../serving", "grep -q 0001 ../../serving");
    project.change("period = \"20ms\"", "period = \"20ms\", within = \"300ms\"");
    let failure = project.refused(2).await;
    assert!(failure.because[0].contains("exited with 1"), "{failure:#?}");
    assert_eq!(project.current(), Some(old.clone()));
    assert_eq!(serving(&project), Some(format!("{old}\n")));
}

#[tokio::test]
async fn a_start_command_that_fails_is_told_with_its_output_and_the_first_release_is_stopped() {
    let mut project = Project::new(Form::Commands);
    project.change("echo $PLEACH_RELEASE > ../../serving", "echo half > ../../serving; echo no luck; exit 7");
    let failure = project.refused(1).await;
    assert!(failure.because[0].contains("exited with 7"), "{failure:#?}");
    assert_eq!(failure.output, ["no luck"]);
    assert!(!project.service().join("serving").exists(), "what it had begun is stopped");
    assert_eq!((project.current(), project.releases().len()), (None, 0));
}

#[tokio::test]
async fn a_build_that_fails_leaves_the_old_release_as_it_was() {
    let mut project = Project::new(Form::Plain);
    project.deployed(1).await;
    let old = project.current().unwrap();
    project.change("echo built > built", "echo broken >&2; exit 2");
    let failure = project.refused(2).await;
    assert_eq!(failure.output, ["broken"]);
    assert_eq!((project.current(), project.releases()), (Some(old.clone()), vec![old]));
}
