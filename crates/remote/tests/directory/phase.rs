//! Every step can be repeated, interrupted at any await, taken back twice, and taken back where nothing was done.

use std::sync::Arc;

use async_trait::async_trait;
use pleach_core::phase::Phase;
use pleach_core::plan::Operation;
use pleach_core::target::Target;
use pleach_core::testing::{Scene, Way, exercise_phase};
use pleach_core::word::PhaseName;
use serde_json::Value;

use crate::project::{Form, Project};
use crate::stage::{QUICK, Stage, exercise, put};

pub(crate) fn phase(step: &str) -> Arc<dyn Phase> {
    let registry = Project::new(Form::Plain).registry.clone();
    registry.require_phase(&PhaseName::new(format!("directory-{step}")).unwrap()).unwrap().clone()
}

/// One step of a deployment; `old` and `new` are the steps that were applied of the release before and of this one.
pub(crate) fn bears_all(form: Form, lines: &str, old: &[&str], new: &[&str], step: &str) {
    exercise(async {
        exercise_phase(phase(step).as_ref(), async || Stage::new(form, lines, old, new, step).await).await;
    });
}

/// A step that changes nothing needs no new place for each round.
fn bears_all_in_one_place(old: &[&str], new: &[&str], step: &str) {
    struct Shared(Arc<Stage>);

    #[async_trait]
    impl Scene for Shared {
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
            self.0.state().await
        }
    }

    exercise(async {
        let stage = Arc::new(Stage::new(Form::Supervised, "", old, new, step).await);
        exercise_phase(phase(step).as_ref(), async || Shared(stage.clone())).await;
    });
}

/// One step of `pleach restart`.
fn anew_bears_all(form: Form, lines: &str, old: &[&str], new: &[&str], step: &str) {
    exercise(async {
        let make =
            async || Stage::of(Project::with(form, lines), Operation::Restart { part: None }, old, new, step).await;
        exercise_phase(phase(step).as_ref(), make).await;
    });
}

/// One step of `pleach stop`.
fn stop_bears_all(form: Form, old: &[&str], new: &[&str], step: &str) {
    let lines = if form == Form::Supervised { QUICK } else { "" };
    exercise(async {
        let make = async || Stage::of(Project::with(form, lines), Operation::Stop, old, new, step).await;
        exercise_phase(phase(step).as_ref(), make).await;
    });
}

const LIVE: &[&str] = &["upload", "start", "route", "switch"];
const STARTED: &[&str] = &["upload", "build", "switch", "restart"];

#[test]
fn upload_bears_all() {
    bears_all(Form::Plain, "shared = [\"data/\", \"new/log\"]\n", &["upload", "switch"], &[], "upload");
}

#[test]
fn upload_bears_all_where_nothing_was_before() {
    bears_all(Form::Supervised, "", &[], &[], "upload");
}

#[test]
fn build_bears_all() {
    bears_all(Form::Plain, "", &["upload", "build", "switch"], &["upload"], "build");
}

#[test]
fn start_bears_all() {
    bears_all(Form::Supervised, "", &["upload", "switch"], &["upload"], "start");
}

#[test]
fn health_bears_all() {
    bears_all_in_one_place(&["upload", "switch"], &["upload", "start"], "health");
}

#[test]
fn route_bears_all() {
    bears_all(Form::Supervised, "", &[], &["upload"], "route");
}

#[test]
fn route_bears_all_where_another_run_has_routed() {
    bears_all(Form::Supervised, "", &["upload", "route", "switch"], &["upload"], "route");
}

#[test]
fn switch_of_a_process_bears_all() {
    bears_all(Form::Supervised, "", &["upload", "switch"], &["upload"], "switch");
}

#[test]
fn switch_of_a_plain_directory_bears_all() {
    bears_all(Form::Plain, "", &["upload", "build", "switch"], &["upload", "build"], "switch");
}

#[test]
fn switch_from_nothing_bears_all() {
    bears_all(Form::Commands, "", &[], &["upload", "build"], "switch");
}

#[test]
fn switch_of_a_service_with_commands_bears_all() {
    bears_all(Form::Commands, "", STARTED, &["upload", "build"], "switch");
}

#[test]
fn restart_bears_all() {
    bears_all(Form::Commands, "", STARTED, &["upload", "build", "switch"], "restart");
}

#[test]
fn verify_bears_all() {
    bears_all_in_one_place(&["upload", "switch"], LIVE, "verify");
}

#[test]
fn retire_bears_all() {
    bears_all(Form::Supervised, "", LIVE, LIVE, "retire");
}

#[test]
fn prune_bears_all() {
    exercise(async {
        let make = async || {
            let project = Project::new(Form::Plain).keep(2);
            for version in 3..7 {
                put(&project, version, &["upload", "build", "switch"]).await;
            }
            Stage::of(project, Operation::Deploy, &[], &["upload", "build", "switch"], "prune").await
        };
        exercise_phase(phase("prune").as_ref(), make).await;
    });
}

#[test]
fn close_bears_all() {
    stop_bears_all(Form::Supervised, &["upload", "route", "switch"], &[], "close");
}

#[test]
fn stop_bears_all_of_it() {
    stop_bears_all(Form::Supervised, LIVE, &["close"], "stop");
}

#[test]
fn halt_bears_all() {
    stop_bears_all(Form::Commands, STARTED, &[], "halt");
}

#[test]
fn renew_bears_all() {
    anew_bears_all(Form::Supervised, QUICK, LIVE, &[], "renew");
}

#[test]
fn restart_without_a_switch_bears_all() {
    exercise(async {
        let make = async || {
            let mut project = Project::new(Form::Commands);
            // Where there is one, taking back the `stop` starts the service again.
            project.remove("stop =");
            Stage::of(project, Operation::Restart { part: None }, STARTED, &[], "restart").await
        };
        exercise_phase(phase("restart").as_ref(), make).await;
    });
}

#[test]
fn halt_before_a_start_bears_all() {
    anew_bears_all(Form::Commands, "", STARTED, &[], "halt");
}
