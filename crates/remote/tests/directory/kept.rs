//! Which releases are kept.

use pleach_core::journal::Outcome;
use pleach_core::plan::Operation;
use pleach_core::word::ReleaseId;

use crate::project::{Form, Project};

#[tokio::test]
async fn the_last_five_are_kept() {
    let project = Project::new(Form::Plain);
    for version in 1..9 {
        project.deployed(version).await;
    }
    let numbers: Vec<String> = project.releases().iter().map(|name| name[..4].to_owned()).collect();
    assert_eq!(numbers, ["0004", "0005", "0006", "0007", "0008"]);
    let records = crate::project::names(&project.service().join(".pleach/releases"));
    assert_eq!(records.len(), 5, "{records:?}");
}

#[tokio::test]
async fn one_that_a_way_back_needs_is_kept_however_old() {
    let project = Project::new(Form::Supervised).keep(2);
    for version in 1..4 {
        project.deployed(version).await;
    }
    let oldest = project.releases()[0].clone();
    let back = Operation::Switch { release: ReleaseId::new(&oldest).unwrap() };
    project.run(back, 4).await;
    assert_eq!(project.current(), Some(oldest.clone()));
    project.deployed(5).await;
    assert!(project.releases().contains(&oldest), "the newest restore point leads to it");
    let report = project.run(Operation::Switch { release: ReleaseId::new(&oldest).unwrap() }, 5).await;
    assert_eq!(report.outcome, Some(Outcome::Succeeded));
    assert_eq!(project.answer(), Some((200, oldest)));
    assert_eq!(project.serving().len(), 1);
}

#[tokio::test]
async fn what_was_taken_back_is_no_way_back() {
    let project = Project::new(Form::Supervised);
    project.deployed(1).await;
    project.mode(2, "dies");
    project.refused(2).await;
    project.deployed(3).await;
    let wanted = ReleaseId::new(format!("0002-{:08x}", 2)).unwrap();
    let failures = project.plan(Operation::Switch { release: wanted }, 3).await.unwrap_err();
    assert!(failures[0].because[0].contains("kept are"), "{failures:#?}");
}

#[tokio::test]
async fn the_same_commit_again_is_no_work() {
    for form in [Form::Supervised, Form::Commands, Form::Plain] {
        let project = Project::new(form);
        project.deployed(1).await;
        let plan = project.plan(Operation::Deploy, 1).await.unwrap();
        assert_eq!(plan.lanes().count(), 0, "{form:?}");
    }
}

#[tokio::test]
async fn folders_of_others_beside_the_services_are_left_alone() {
    let project = Project::new(Form::Plain);
    std::fs::create_dir_all(project.live.join("notes/current")).unwrap();
    std::fs::create_dir_all(project.live.join("notes/releases/0001-abcdef12")).unwrap();
    project.deployed(1).await;
    assert_eq!(project.status().await.service.as_str(), "api");
    assert!(project.live.join("notes/current").is_dir());
}

#[tokio::test]
async fn a_current_release_whose_tree_is_gone_ends_the_run_before_it_changes_anything() {
    let project = Project::new(Form::Plain);
    project.deployed(1).await;
    let old = project.current().unwrap();
    std::fs::remove_dir_all(project.service().join("releases").join(&old)).unwrap();
    let failure = project.failed(2).await;
    crate::project::require_told(&failure);
    assert_eq!(failure.state.as_deref(), Some("nothing was touched"));
    assert_eq!((project.current(), project.releases()), (Some(old), Vec::new()));
    std::fs::remove_file(project.service().join("current")).unwrap();
    project.deployed(2).await;
}
