//! A restore point brings the release before back, also when taking or restoring it was interrupted.

use pleach_core::testing::exercise_snapshot;
use pleach_core::word::SnapshotKind;

use crate::project::{Form, Project};
use crate::stage::{Stage, exercise};

fn bears_all(form: Form, old: &[&str], new: &[&str]) {
    let registry = Project::new(form).registry.clone();
    let snapshot = registry.require_snapshot(&SnapshotKind::new("directory-release").unwrap()).unwrap().clone();
    exercise(async {
        exercise_snapshot(snapshot.as_ref(), async || Stage::snapshot(form, old, new).await).await;
    });
}

#[test]
fn the_release_before_comes_back() {
    bears_all(Form::Plain, &["upload", "build", "switch"], &["upload", "build"]);
}

#[test]
fn the_release_before_comes_back_with_its_process() {
    bears_all(Form::Supervised, &["upload", "start", "switch"], &["upload"]);
}

#[test]
fn where_nothing_was_nothing_comes_back() {
    bears_all(Form::Plain, &[], &["upload", "build"]);
}
