//! Trees with all that git can hold, and what releases share.

use pleach_core::port::EntryMode;

use crate::project::{Form, Project};

#[tokio::test]
async fn links_and_names_of_any_kind_arrive_as_they_are() {
    let project = Project::new(Form::Supervised);
    project.source.add(1, "ünï/日本 x/\u{1f33f}", EntryMode::File, b"leaf");
    project.source.add(1, "it's \"quoted\"", EntryMode::Executable, b"#!/bin/sh\n");
    project.source.add(1, "here", EntryMode::Symlink, "ünï/日本 x".as_bytes());
    project.source.add(1, "nowhere", EntryMode::Symlink, b"/not/there");
    project.deployed(1).await;
    let release = project.service().join("current");
    assert_eq!(std::fs::read(release.join("here/\u{1f33f}")).unwrap(), b"leaf");
    assert_eq!(std::fs::read_link(release.join("nowhere")).unwrap().to_str(), Some("/not/there"));
    assert!(release.join("it's \"quoted\"").is_file());
    assert_eq!(project.answer(), Some((200, project.current().unwrap())));
}

#[tokio::test]
async fn what_is_shared_is_the_same_in_every_release_and_outlives_them() {
    let project = Project::with(Form::Plain, "shared = [\"data/\", \"log/ünï file\"]\n").keep(2);
    project.source.add(1, "data/first", EntryMode::File, b"1");
    project.source.add(2, "data/second", EntryMode::File, b"2");
    project.deployed(1).await;
    let current = project.service().join("current");
    assert_eq!(std::fs::read(current.join("data/first")).unwrap(), b"1");
    std::fs::write(current.join("data/made"), "precious").unwrap();
    std::fs::write(current.join("log/ünï file"), "a line").unwrap();
    for version in 2..6 {
        project.deployed(version).await;
        assert_eq!(std::fs::read(current.join("data/made")).unwrap(), b"precious");
        assert_eq!(std::fs::read(current.join("log/ünï file")).unwrap(), b"a line");
        assert!(!current.join("data/second").exists(), "what is shared wins over the commit");
    }
}

#[tokio::test]
async fn a_shared_path_behind_a_link_of_the_tree_is_refused_and_nothing_outside_is_touched() {
    let project = Project::with(Form::Plain, "shared = [\"data/log\"]\n");
    let outside = project.live.parent().unwrap().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("log"), "precious").unwrap();
    project.source.add(1, "data", EntryMode::Symlink, outside.to_str().unwrap().as_bytes());
    let failure = project.refused(1).await;
    assert!(failure.because[0].contains("`data` is a link"), "{failure:#?}");
    assert_eq!(std::fs::read(outside.join("log")).unwrap(), b"precious");
    assert_eq!(crate::project::names(&outside), ["log"]);
}

#[tokio::test]
async fn something_else_by_the_name_current_is_told_and_left() {
    let project = Project::new(Form::Plain);
    project.deployed(1).await;
    let current = project.service().join("current");
    std::fs::remove_file(&current).unwrap();
    std::fs::create_dir(&current).unwrap();
    std::fs::write(current.join("precious"), "x").unwrap();
    let failures = project.plan(pleach_core::plan::Operation::Deploy, 2).await.unwrap_err();
    crate::project::require_told(&failures[0]);
    assert!(current.join("precious").exists());
}
