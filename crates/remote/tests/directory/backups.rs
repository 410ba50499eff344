//! Backups: made, put back and removed, however often and wherever that is interrupted.

use std::fs;

use async_trait::async_trait;
use pleach_core::journal::Outcome;
use pleach_core::plan::Operation;
use pleach_core::target::Target;
use pleach_core::testing::{Scene, Way, exercise_phase};
use pleach_core::word::RunId;
use serde_json::Value;

use crate::files::{data, fill, manifest};
use crate::phase::phase;
use crate::project::{Form, Project, names};
use crate::stage::{EARLIER, QUICK, Stage, exercise, put, put_all};

const LINES: &str = "shared = [\"data/\", \"conf\"]\nsnapshot = [\"data\", \"conf\"]\n";

const LIVE: &[&str] = &["upload", "start", "route", "switch"];

fn earlier() -> RunId {
    RunId::new(EARLIER).unwrap()
}

/// Those that are whole.
fn backups(project: &Project) -> Vec<String> {
    let all = project.service().join(".pleach/backups");
    names(&all).into_iter().filter(|name| all.join(name).join("backup.json").exists()).collect()
}

/// A service whose data a backup may have, and one step of an operation on it.
struct Backed(Stage);

impl Backed {
    async fn new(form: Form, operation: Operation, step: &str) -> Self {
        let quick = if form == Form::Supervised { QUICK } else { "" };
        let project = Project::with(form, &format!("{LINES}{quick}"));
        put(&project, 1, if form == Form::Supervised { LIVE } else { &["upload", "build", "switch", "restart"] }).await;
        fill(&project);
        if operation != Operation::Backup {
            put_all(&project, Operation::Backup).await;
            fs::write(data(&project).join("in it/later"), "later").unwrap();
            fs::remove_file(data(&project).join("link")).unwrap();
            fs::write(project.service().join("shared/conf"), "later").unwrap();
        }
        Self(Stage::of(project, operation, &[], &[], step).await)
    }
}

#[async_trait]
impl Scene for Backed {
    fn target(&self) -> &dyn Target {
        self.0.target()
    }

    fn parameters(&self) -> Value {
        self.0.parameters()
    }

    fn way(&self) -> Way {
        self.0.way()
    }

    async fn state(&self) -> String {
        // First: it waits for what an interrupted call has left to be done.
        let state = self.0.state().await;
        let project = &self.0.project;
        let shared = project.service().join("shared");
        let settings = project.service().join("shared/conf").exists();
        let seen = (backups(project), names(&shared), manifest(&data(project)), settings);
        format!("{state}\n{seen:?}")
    }
}

#[test]
fn making_a_backup_bears_all() {
    exercise(async {
        let make = async || Backed::new(Form::Supervised, Operation::Backup, "backup").await;
        exercise_phase(phase("backup").as_ref(), make).await;
    });
}

#[test]
fn putting_it_back_bears_all() {
    for form in [Form::Supervised, Form::Commands] {
        exercise(async {
            let restore = || Operation::Restore { backup: earlier() };
            exercise_phase(phase("put-back").as_ref(), async || Backed::new(form, restore(), "put-back").await).await;
        });
    }
}

#[test]
fn removing_it_bears_all() {
    exercise(async {
        let forget = || Operation::Forget { backup: earlier() };
        exercise_phase(phase("forget").as_ref(), async || Backed::new(Form::Supervised, forget(), "forget").await)
            .await;
    });
}

/// What runs write to what was put back is not seen by the backup: it can be put back again and again.
#[tokio::test]
async fn a_backup_is_put_back_as_it_was_made_however_often() {
    let project = Project::with(Form::Supervised, &format!("{LINES}{QUICK}"));
    project.deployed(1).await;
    fill(&project);
    let before = manifest(&data(&project));
    let made = project.run(Operation::Backup, 1).await;
    assert_eq!(made.outcome, Some(Outcome::Succeeded), "{made:#?}");
    let backup = RunId::new(&backups(&project)[0]).unwrap();
    project.deployed(2).await;
    let first = project.releases()[0].clone();
    for version in 2..5 {
        // In place: what is linked to it would change as well.
        fs::write(data(&project).join("run"), "it").unwrap();
        fs::write(project.service().join("shared/conf"), "new").unwrap();
        let restored = project.run(Operation::Restore { backup: backup.clone() }, version).await;
        assert_eq!(restored.outcome, Some(Outcome::Succeeded), "{restored:#?}");
        assert_eq!((manifest(&data(&project)), project.current()), (before.clone(), Some(first.clone())));
        assert!(!project.service().join("shared/conf").exists());
        assert_eq!(project.answer(), Some((200, first.clone())));
    }
    let restoring = project.service().join(".pleach/restoring");
    let last = names(&restoring);
    assert_eq!(
        (last.len(), names(&restoring.join(&last[0]))),
        (1, vec!["done.json".to_owned()]),
        "only of the last run"
    );
    for version in 5..11 {
        project.deployed(version).await;
    }
    assert!(project.releases().contains(&first), "it stays as long as the backup");
    project.run(Operation::Forget { backup: backup.clone() }, 10).await;
    assert!(names(&project.service().join(".pleach/backups")).is_empty());
    project.deployed(11).await;
    assert!(!project.releases().contains(&first));
    assert_eq!(project.plan(Operation::Restore { backup }, 11).await.unwrap().lanes().count(), 0);
}

#[tokio::test]
async fn data_that_the_release_cannot_run_on_goes_away_again() {
    let lines = format!(
        "{LINES}health = {{ http = {{ path = \"/\" }}, period = \"20ms\", success = 1, within = \"500ms\" }}\n"
    );
    let project = Project::with(Form::Supervised, &lines);
    project.deployed(1).await;
    fill(&project);
    project.run(Operation::Backup, 1).await;
    let backup = RunId::new(&backups(&project)[0]).unwrap();
    project.deployed(2).await;
    fs::write(data(&project).join("run"), "later").unwrap();
    let (before, current) = (manifest(&data(&project)), project.current());
    // Something that release 1 was made with is no longer as it was.
    project.mode(1, "broken");
    let first = project.service().join("releases").join(&project.releases()[0]);
    fs::write(first.join("mode"), "broken").unwrap();
    let report = project.run(Operation::Restore { backup }, 2).await;
    assert_eq!(report.outcome, Some(Outcome::RolledBack), "{report:#?}");
    assert_eq!((manifest(&data(&project)), project.current()), (before, current.clone()));
    assert_eq!(project.answer(), current.map(|current| (200, current)));
}
