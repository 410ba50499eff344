//! What the config names beside the releases comes back as it was, with what runs on it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use async_trait::async_trait;
use pleach_core::journal::Outcome;
use pleach_core::plan::Operation;
use pleach_core::target::Target;
use pleach_core::testing::{Scene, Way, exercise_snapshot};
use pleach_core::word::SnapshotKind;
use serde_json::Value;
use tempfile::TempDir;

use crate::project::{Form, Project, names};
use crate::stage::{Stage, exercise};

/// What is broken is told after a moment.
const IMPATIENT: &str = "health = { http = { path = \"/\" }, period = \"20ms\", success = 1, within = \"500ms\" }\n";

/// Of names that a shell would take for something else, and of a tree, a file, and a file that is not there yet.
fn settings(project: &str) -> String {
    format!("shared = [\"data/\"]\nsnapshot = [\"data\", \"{project}/a unit's $(x).conf\", \"{project}/new\"]\n")
}

fn outside() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a unit's $(x).conf"), "old").unwrap();
    let path = folder.path().display().to_string();
    (folder, path)
}

pub(crate) fn data(project: &Project) -> PathBuf {
    project.service().join("shared/data")
}

/// Names, modes, contents and where links lead.
pub(crate) fn manifest(folder: &std::path::Path) -> Vec<String> {
    let told = |name: &String| {
        let path = folder.join(name);
        let metadata = path.symlink_metadata().unwrap();
        let what = match metadata.file_type() {
            kind if kind.is_symlink() => format!("{:?}", fs::read_link(&path).unwrap()),
            kind if kind.is_dir() => format!("{:?}", manifest(&path)),
            _ => format!("{:?}", fs::read_to_string(&path).unwrap()),
        };
        format!("{name} {:o} {what}", metadata.permissions().mode())
    };
    names(folder).iter().map(told).collect()
}

pub(crate) fn fill(project: &Project) {
    let data = data(project);
    fs::create_dir_all(data.join("in it")).unwrap();
    fs::write(data.join("in it/kept \\0 \n"), "one").unwrap();
    fs::write(data.join("run"), "me").unwrap();
    fs::set_permissions(data.join("run"), fs::Permissions::from_mode(0o4710)).unwrap();
    symlink("in it/nowhere", data.join("link")).unwrap();
}

#[tokio::test]
async fn a_deployment_that_fails_puts_back_what_its_build_and_its_process_have_changed() {
    let (folder, path) = outside();
    let project = Project::with(Form::Supervised, &format!("{IMPATIENT}{}", settings(&path)));
    project.deployed(1).await;
    fill(&project);
    let (before, around) = (manifest(&data(&project)), manifest(folder.path()));
    let (current, process) = (project.current(), project.serving());
    let build = format!(
        "build = \"echo two > 'data/in it/new'; rm data/link; echo > data/run; echo > '{path}/new'; for unit in '{path}/a unit'*; do echo new > \\\"$unit\\\"; done\"\n"
    );
    let mut project = project;
    project.change("shared", &format!("{build}shared"));
    project.mode(2, "broken");
    let failure = project.refused(2).await;
    assert!(failure.what.contains("health") || failure.what.contains("healthy"), "{failure:#?}");
    assert_eq!((manifest(&data(&project)), project.current()), (before, current.clone()));
    assert_eq!(manifest(folder.path()), around);
    assert_eq!(names(&project.service().join("shared")), ["data", "data.pleach-replaced.0"], "nothing is lost");
    assert!(project.service().join("shared/data.pleach-replaced.0/in it/new").exists());
    assert_eq!(project.answer(), Some((200, current.unwrap())));
    assert_ne!(project.serving(), process, "what held on to the files that were moved aside was started anew");
    assert_eq!(names(&project.service().join(".pleach/kept")), ["run-0"], "its copies are gone");
}

#[tokio::test]
async fn where_nothing_was_changed_nothing_is_put_back_and_nothing_starts_anew() {
    let lines = format!("{IMPATIENT}shared = [\"data/\"]\nsnapshot = [\"data/\"]\n");
    let project = Project::with(Form::Supervised, &lines);
    project.deployed(1).await;
    fill(&project);
    let process = project.serving();
    project.mode(2, "broken");
    project.refused(2).await;
    assert_eq!(names(&project.service().join("shared")), ["data"]);
    assert_eq!(project.serving(), process);
    project.mode(3, "ok");
    let kept = || names(&project.service().join(".pleach/kept"));
    assert_eq!(kept(), ["run-0"], "of the last run that succeeded");
    project.deployed(3).await;
    assert_eq!(kept(), ["run-2"]);
}

#[tokio::test]
async fn what_cannot_be_kept_is_told_before_anything_is_touched() {
    let project = Project::with(Form::Plain, "snapshot = [\"/dev\"]\n");
    let report = project.deploy(1).await;
    assert_eq!(report.outcome, Some(Outcome::RolledBack), "{report:#?}");
    let failure = &report.unproven.first().unwrap().failure;
    assert!(failure.because.iter().any(|why| why.starts_with("/dev: ")), "{failure:#?}");
    assert!(failure.next.is_some() && project.releases().is_empty(), "{failure:#?}");
    assert!(names(&project.service().join(".pleach/kept")).is_empty());
}

#[tokio::test]
async fn a_service_that_something_else_runs_is_started_again_on_what_was_put_back() {
    let (_folder, path) = outside();
    let lines = format!("shared = [\"data/\"]\nsnapshot = [\"data\", \"{path}/a unit's $(x).conf\"]\n");
    let mut project = Project::with(Form::Commands, &lines);
    project.deployed(1).await;
    fill(&project);
    let before = manifest(&data(&project));
    project.change("echo $PLEACH_RELEASE >", "cat data/run >> data/starts; echo $PLEACH_RELEASE >");
    project.change("test -e ../../serving\"", "test ! -e data/starts\", within = \"500ms\"");
    project.refused(2).await;
    assert_eq!(manifest(&data(&project)), before);
    let serving = fs::read_to_string(project.service().join("serving")).unwrap();
    assert_eq!(Some(serving.trim()), project.current().as_deref());
}

/// The kit's scene: a process runs on files that are about to be changed.
struct Changing {
    stage: Stage,
    parameters: Value,
    outside: TempDir,
}

impl Changing {
    async fn new() -> Self {
        let (outside, path) = outside();
        let old = ["upload", "start", "switch"];
        let stage = Stage::new(Form::Supervised, &settings(&path), &old, &["upload"], "switch").await;
        fill(&stage.project);
        let plan = stage.project.plan_apart(Operation::Deploy, 2).await;
        let planned = plan.snapshots.iter().find(|snapshot| snapshot.kind.as_str() == "files").unwrap();
        Self { stage, parameters: planned.parameters.clone(), outside }
    }
}

#[async_trait]
impl Scene for Changing {
    fn target(&self) -> &dyn Target {
        self.stage.target()
    }

    fn parameters(&self) -> Value {
        self.parameters.clone()
    }

    fn way(&self) -> Way {
        Way::Nothing
    }

    async fn state(&self) -> String {
        let here = (manifest(&data(&self.stage.project)), manifest(self.outside.path()));
        format!("{}\n{here:?}", self.stage.state().await)
    }

    async fn disturb(&self) {
        let data = data(&self.stage.project);
        fs::remove_file(data.join("link")).unwrap();
        fs::write(data.join("in it/new"), "new").unwrap();
        fs::write(self.outside.path().join("new"), "new").unwrap();
        fs::write(self.outside.path().join("a unit's $(x).conf"), "new").unwrap();
    }
}

#[test]
fn the_snapshot_bears_being_repeated_and_interrupted() {
    let registry = Project::new(Form::Supervised).registry.clone();
    let snapshot = registry.require_snapshot(&SnapshotKind::new("files").unwrap()).unwrap().clone();
    exercise(async { exercise_snapshot(snapshot.as_ref(), Changing::new).await });
}
