//! What is built where Pleach runs is built once, arrives whole, and is not sent when it fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use pleach_core::journal::Outcome;

use crate::phase::bears_all;
use crate::project::{Form, Project, names};

/// Counts how often it is run, and where; leaves a file, a program and a link.
fn build(project: &Project, line: &str) -> String {
    format!("echo $PWD >> '{}/built-in'; {line}", project.home().display().to_string().replace('\'', "'\\''"))
}

fn project(line: &str) -> Project {
    let mut project = Project::with(Form::Supervised, "build = \"BUILD\"\nbuild-on = \"here\"\n");
    let line = build(&project, line);
    project.change("\"BUILD\"", &format!("{line:?}"));
    project
}

fn runs(project: &Project) -> Vec<String> {
    let told = fs::read_to_string(project.home().join("built-in")).unwrap_or_default();
    told.lines().map(str::to_owned).collect()
}

const LINE: &str = "mkdir -p out/empty; echo made > out/made; cp out/made out/tool; chmod 755 out/tool; ln -s made out/link; \
    rm version";

fn arrived(project: &Project) {
    let current = project.service().join("current");
    assert_eq!(names(&current.join("out")), ["link", "made", "tool"], "empty folders do not travel");
    assert_eq!(fs::read_to_string(current.join("out/link")).unwrap(), "made\n");
    assert_eq!(fs::read_link(current.join("out/link")).unwrap().as_os_str(), "made");
    assert_eq!(fs::metadata(current.join("out/tool")).unwrap().permissions().mode() & 0o777, 0o755);
    assert!(!current.join("version").exists(), "what the build removes is not sent");
}

#[tokio::test]
async fn what_is_built_here_arrives_whole_and_the_same_is_built_once() {
    let project = project(LINE);
    project.deployed(1).await;
    arrived(&project);
    let ran = runs(&project);
    assert_eq!(ran.len(), 1);
    assert!(ran[0].contains("/built/"), "{ran:?}: not on the target");
    project.deployed(2).await;
    project.deployed(1).await;
    arrived(&project);
    assert_eq!(runs(&project).len(), 2, "a tree that is there is not built again");
    assert!(names(&project.home().join("built")).iter().all(|name| !name.contains(".making.")));
}

#[tokio::test]
async fn a_build_that_fails_sends_nothing_and_says_what_it_printed() {
    let mut project = project(LINE);
    project.deployed(1).await;
    let old = project.current();
    project.change("mkdir -p out/empty", "echo no such module >&2; exit 3; mkdir -p out/empty");
    let report = project.deploy(2).await;
    assert_eq!(report.outcome, Some(Outcome::RolledBack), "{report:?}");
    let told = format!("{report:?}");
    assert!(told.contains("no such module") && told.contains("it exited with 3"), "{told}");
    assert_eq!((project.current(), project.releases().len()), (old, 1));
    assert!(names(&project.home().join("built")).iter().all(|name| !name.contains(".making.")));
}

#[tokio::test]
async fn what_a_killed_build_left_is_cleared_away_and_not_sent() {
    let project = project(LINE);
    project.deployed(1).await;
    let built = project.home().join("built");
    let name = names(&built).into_iter().find(|name| name.len() == 64).unwrap();
    fs::remove_dir_all(built.join(&name)).unwrap();
    let left = built.join(format!("{name}.making.left"));
    fs::create_dir_all(left.join("out")).unwrap();
    project.deployed(2).await;
    project.deployed(1).await;
    arrived(&project);
    assert!(!left.exists());
    assert_eq!(runs(&project).len(), 3);
}

#[test]
fn the_step_can_be_repeated_interrupted_and_taken_back() {
    let lines = "build = \"echo built > built\"\nbuild-on = \"here\"\n";
    bears_all(Form::Supervised, lines, &[], &[], "build-here");
}
