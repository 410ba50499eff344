//! Scripts of the project: run once a release, ended in time, taken back, and secret where they have to be.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use pleach_core::error::Kind;
use pleach_core::journal::Outcome;
use pleach_core::phase::Reversal;
use pleach_core::plan::{Detail, Operation, Plan, render};
use pleach_core::port::EntryMode;
use pleach_core::testing::exercise_phase;

use crate::phase::phase;
use crate::project::{Form, Project, names};
use crate::stage::{Stage, exercise};

/// A line of the service's settings with one script `mark`, which is taken back by `back.sh`.
fn mark(more: &str) -> String {
    format!("scripts = [{{ name = \"mark\", file = \"ci/mark.sh\", undo = \"ci/back.sh\", {more} }}]\n")
}

/// What it does stands in `serving`, which the stage compares.
const MARK: &str = "#!/bin/sh\nset -e\necho \"$PLEACH_RELEASE $1\" >../../serving\n";
const BACK: &str = "rm -f ../../serving\n";

fn project(form: Form, lines: &str, mark: &str) -> Project {
    let project = Project::with(form, lines);
    for version in 1..5 {
        project.source.add(version, "ci/mark.sh", EntryMode::File, mark.as_bytes());
        project.source.add(version, "ci/back.sh", EntryMode::File, BACK.as_bytes());
    }
    project
}

fn steps(plan: &Plan) -> Vec<String> {
    plan.lanes().flat_map(|lane| &lane.steps).map(|step| step.name.to_string()).collect()
}

fn log(project: &Project) -> String {
    let file = project.service().join(format!("run/{}.script-mark.log", project.current().unwrap()));
    std::fs::read_to_string(file).unwrap()
}

fn left_of_scripts(project: &Project) -> Vec<String> {
    names(&project.service().join("run")).into_iter().filter(|name| name.contains("script-")).collect()
}

#[test]
fn a_script_bears_all() {
    exercise(async {
        let make = async || {
            let project = project(Form::Plain, &mark("arguments = [\"a b\"]"), MARK);
            Stage::of(project, Operation::Deploy, &["upload", "build", "switch"], &["upload", "build"], "script-mark")
                .await
        };
        exercise_phase(phase("script").as_ref(), make).await;
    });
}

#[tokio::test]
async fn a_script_has_its_place_among_the_steps() {
    for (form, place, expected) in [
        (Form::Supervised, "after-build", "upload script-mark start health route switch verify prune"),
        (Form::Supervised, "before-switch", "upload start health route script-mark switch verify prune"),
        (Form::Supervised, "after-switch", "upload start health route switch verify script-mark prune"),
        (Form::Commands, "after-build", "upload build script-mark switch restart health prune"),
        (Form::Commands, "before-switch", "upload build script-mark switch restart health prune"),
        (Form::Commands, "after-switch", "upload build switch restart health script-mark prune"),
        (Form::Plain, "after-switch", "upload build switch script-mark prune"),
    ] {
        let project = project(form, &mark(&format!("when = \"{place}\"")), MARK);
        let plan = project.plan_apart(Operation::Deploy, 1).await;
        assert_eq!(steps(&plan).join(" "), expected, "{form:?} {place}");
    }
}

#[tokio::test]
async fn a_script_runs_in_the_release_with_arguments_and_variables_and_its_secrets_are_in_nothing_that_is_kept() {
    let text = "#!/bin/bash\nset -eu\n[ \"$(cat version)\" = 1 ]\ncat\nprintf '%s\\n' \"$0 $# $2 $LEVEL $PLEACH_SERVICE\"\n\
                echo \"token $TOKEN\"; [ ${#TOKEN} = 11 ]\necho \"$PLEACH_RUN\" >../../serving\n";
    let lines = mark(
        "arguments = [\"--all\", \"a 'b' $c\"], trace = true, \
         environment = { LEVEL = \"2\", TOKEN = { secret = \"file:token\" } }",
    );
    let project = project(Form::Plain, &lines, text);
    project.write("token", "magpie it's\n");
    let report = project.deployed(1).await;
    let log = log(&project);
    assert!(log.contains("\nci/mark.sh 2 a 'b' $c 2 api\n"), "{log}");
    assert!(log.contains("+ echo 'token [secret]'\ntoken [secret]\n"), "{log}");
    assert!(log.ends_with("-- `ci/mark.sh` exited with 0 (run run-0)\n"), "{log}");
    let evidence = report.lanes[0]
        .steps
        .iter()
        .find_map(|step| (step.name.as_str() == "script-mark").then(|| format!("{step:?}")));
    let evidence = evidence.unwrap();
    assert!(evidence.contains("exited with 0 after") && evidence.contains(".script-mark.log"), "{evidence}");
    assert!(!project.everything().contains("magpie"), "nothing that is kept has it");
    assert_eq!(std::fs::read_to_string(project.service().join("serving")).unwrap(), "run-0\n");
}

#[tokio::test]
async fn a_script_of_another_language_has_its_arguments_too() {
    let text = "#!/usr/bin/env -S perl -w\nopen(my $f, '>', '../../serving'); print $f \"@ARGV\"; print \"done\\n\";\n";
    let project = project(Form::Plain, &mark("arguments = [\"a b\", \"c\"]"), text);
    project.deployed(1).await;
    assert_eq!(std::fs::read_to_string(project.service().join("serving")).unwrap(), "a b c");
    assert!(log(&project).starts_with("done\n"));
}

#[tokio::test]
async fn a_script_that_fails_is_taken_back_by_its_own_and_leaves_nothing() {
    let project = project(Form::Plain, &mark(""), &format!("{MARK}echo well >&2; exit 3\n"));
    let failure = project.refused(1).await;
    assert_eq!(failure.what, "could not run script `mark` of service `api`");
    assert_eq!(failure.because, ["`ci/mark.sh` exited with 3"]);
    assert_eq!(failure.output, ["well"]);
    assert!(failure.next.is_some_and(|next| next.contains("script-mark.log")));
    assert!(!project.service().join("serving").exists(), "it was taken back");
    assert_eq!((left_of_scripts(&project), project.current()), (Vec::<String>::new(), None));
}

#[tokio::test]
async fn a_script_that_takes_too_long_is_ended_with_all_that_it_started() {
    let text = format!("{MARK}trap 'echo cleaned up' EXIT\nsleep 300 & sleep 301 & echo waiting; wait\n");
    let project = project(Form::Plain, &mark("limit = \"300ms\""), &text);
    let failure = project.refused(1).await;
    assert_eq!(failure.because, ["`ci/mark.sh` was not done within its limit of 300ms, and was ended"]);
    assert_eq!(failure.output.first().map(String::as_str), Some("waiting"), "{failure:#?}");
    assert_eq!(failure.kind, Kind::Rejected);
    assert_eq!(project.serving(), Vec::<u32>::new(), "nothing of it runs");
    assert!(!project.service().join("serving").exists());
}

#[tokio::test]
async fn what_fails_after_a_script_takes_it_back_too() {
    let mut project = project(Form::Commands, &mark(""), &MARK.replace("serving", "marked"));
    project.source.replace(1, "ci/back.sh", b"rm ../../marked\necho back\n");
    project.change("test -e ../../serving\", period", "test -e ../../well\", within = \"300ms\", period");
    let failure = project.refused(1).await;
    assert!(failure.what.contains("not healthy"), "{failure:#?}");
    assert!(!project.service().join("marked").exists(), "it was taken back");
    project.change("test -e ../../well", "test -e ../../marked");
    project.deployed(1).await;
}

#[tokio::test]
async fn a_plan_says_how_each_script_is_taken_back_and_one_that_cannot_be_ends_the_way_back() {
    let lines = "scripts = [{ name = \"mark\", file = \"ci/mark.sh\", reversal = \"forward-only\" }, \
                 { name = \"warm\", file = \"ci/back.sh\", reversal = \"nothing\", when = \"after-switch\" }]\n";
    let project = project(Form::Plain, lines, MARK);
    project.source.replace(1, "ci/back.sh", b"exit 4\n");
    let plan = project.plan(Operation::Deploy, 1).await.unwrap();
    let of = |name: &str| {
        let mut steps = plan.lanes().flat_map(|lane| &lane.steps);
        steps.find(|step| step.name.as_str() == name).unwrap().reversal.clone()
    };
    assert_eq!((of("script-mark"), of("script-warm")), (Reversal::ForwardOnly, Reversal::Nothing));
    let told = render(&plan, 200, Detail::Steps);
    assert!(told.contains("script-mark: run `ci/mark.sh` with `/bin/sh`"), "{told}");
    assert!(told.contains("NO WAY BACK · at most 11m"), "{told}");
    let report = project.execute(plan).await.unwrap();
    assert_eq!(report.outcome, Some(Outcome::Stuck), "{report:#?}");
    assert!(project.service().join("serving").exists());
    assert_eq!(project.current(), None, "what came after it is taken back");
}

#[tokio::test]
async fn a_plan_tells_all_scripts_that_cannot_be_run() {
    let lines = "scripts = [{ name = \"gone\", file = \"ci/gone.sh\", undo = \"ci/gone-back.sh\" }, \
                 { name = \"odd\", file = \"ci/odd\", reversal = \"nothing\" }, \
                 { name = \"mute\", file = \"ci/mute\", reversal = \"nothing\", trace = true }]\n";
    let project = project(Form::Plain, lines, MARK);
    project.source.add(1, "ci/odd", EntryMode::File, b"#!/usr/bin/make -f\n");
    project.source.add(1, "ci/mute", EntryMode::File, b"#!/usr/bin/python3\n");
    let failures = project.plan(Operation::Deploy, 1).await.unwrap_err();
    let told: Vec<&str> = failures.iter().map(|failure| failure.because[0].as_str()).collect();
    let expected = [
        "00000001 has no file `ci/gone.sh`",
        "00000001 has no file `ci/gone-back.sh`",
        "its first line names `/usr/bin/make`, which is not known to read scripts",
        "`/usr/bin/python3` does not trace what it runs",
    ];
    assert_eq!(told, expected);
    failures.iter().for_each(crate::project::require_told);
    assert!(!project.live.exists());
}

#[tokio::test]
async fn another_script_makes_another_release_and_going_back_to_one_runs_none() {
    let mut project = project(Form::Plain, &mark(""), MARK);
    project.deployed(1).await;
    let first = project.current().unwrap();
    assert!(project.plan(Operation::Deploy, 1).await.unwrap().is_empty(), "it is there already");
    project.change("undo = \"ci/back.sh\"", "undo = \"ci/back.sh\", arguments = [\"x\"]");
    let plan = project.plan(Operation::Deploy, 1).await.unwrap();
    assert!(steps(&plan).contains(&"script-mark".to_owned()));
    project.execute(plan).await.unwrap();
    assert_ne!(project.current().unwrap(), first);
    let back = Operation::Switch { release: first.parse().unwrap() };
    let plan = project.plan(back, 1).await.unwrap();
    assert!(!steps(&plan).iter().any(|step| step.starts_with("script-")), "{:?}", steps(&plan));
    // What is kept of a script goes with its release.
    project = project.keep(2);
    for version in 2..5 {
        project.deployed(version).await;
    }
    let kept: BTreeSet<String> = project.releases().into_iter().collect();
    let of: BTreeSet<String> =
        left_of_scripts(&project).iter().map(|name| name.split('.').next().unwrap().to_owned()).collect();
    assert_eq!(of, kept);
}

#[tokio::test]
async fn start_and_stop_run_as_another_user_and_the_build_does_not() {
    // Only root becomes others without being asked.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let project = Project::with(Form::Commands, "sudo = \"nobody\"\n");
    let open = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::create_dir_all(project.service()).unwrap();
    open(project.live.parent().unwrap(), 0o755);
    open(&project.service(), 0o777);
    project.deployed(1).await;
    let owner = |name: &str| std::fs::metadata(project.service().join(name)).unwrap().uid();
    assert_ne!(owner("serving"), 0);
    assert_eq!(owner("current/built"), 0);
    let serving = std::fs::read_to_string(project.service().join("serving")).unwrap();
    assert_eq!(Some(serving.trim().to_owned()), project.current(), "it has its variables");
    project.run(Operation::Stop, 1).await;
    assert!(!project.service().join("serving").exists());
}

#[tokio::test]
async fn what_takes_a_script_back_by_hand_stands_in_the_plan() {
    let project = project(Form::Plain, &mark("arguments = [\"a b\"], sudo = \"root\", interpreter = \"bash\""), MARK);
    let plan = project.plan_apart(Operation::Deploy, 1).await;
    let mut steps = plan.lanes().flat_map(|lane| &lane.steps);
    let step = steps.find(|step| step.name.as_str() == "script-mark").unwrap();
    let by_hand = step.undo_by_hand.clone().unwrap();
    let start = format!("`git show {}:ci/back.sh | (cd ", crate::folders::commit(1));
    assert!(by_hand.starts_with(&start), "{by_hand}");
    assert!(by_hand.ends_with(" && sudo -u root bash -s -- 'a b')`"), "{by_hand}");
    assert_eq!(step.summary, "run `ci/mark.sh 'a b'` with `bash` as `root`, undone by `ci/back.sh`");
}
