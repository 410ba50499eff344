//! Signals at every stage: the first takes all back, the second does not wait for what is under way, the third leaves a run
//! that can be gone on with. The old services answer throughout.

use rustix::process::Signal;

use crate::scene::{Said, Scene, Working};

/// What a run is at when it is interrupted; it stays there for long enough.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Build,
    Health,
    /// The first signal was heard, and what it makes be taken back does not end when it is asked to.
    Undo,
}

/// A deployment of version 2 over version 1, at a stage.
fn at(stage: Stage, scene: &Scene) -> Working {
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("beta", 2);
    match stage {
        Stage::Build => scene.slow_down("alpha"),
        Stage::Health | Stage::Undo => scene.make_sick_and_stubborn("alpha"),
    }
    let mut working = scene.start(&["deploy", "local", "--yes", "-v"]);
    match stage {
        Stage::Build => working.says("alpha@here | building"),
        Stage::Health => working.says("alpha@here: health"),
        Stage::Undo => {
            working.says("alpha@here: health");
            working.signal(Signal::INT);
            working.says("alpha@here: taking start back");
        }
    }
    working
}

/// Most of the time of a case is waiting.
pub(crate) fn side_by_side<T: Send>(cases: impl IntoIterator<Item = T>, case: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        let case = &case;
        cases.into_iter().for_each(|one| drop(scope.spawn(move || case(one))));
    });
}

fn all_old(scene: &Scene, said: &Said) {
    for service in ["alpha", "beta"] {
        assert_eq!(scene.answers(service).as_deref(), Some("1.0.0"), "{service}: {}", said.stderr);
    }
    let status = scene.ends(0, &["status"]);
    assert_eq!(status.stdout.matches("0001-").count(), 2, "{}", status.stdout);
    assert!(!status.stdout.contains("resume") && !status.stdout.contains("lease"), "{}", status.stdout);
}

fn taken_back(scene: &Scene, said: &Said, code: i32) {
    assert_eq!(said.code, code, "{}", said.stderr);
    assert!(said.stdout.contains("interrupted, and taken back"), "{}", said.stdout);
    assert!(!said.stderr.contains("error:"), "an interrupt is no failure: {}", said.stderr);
    all_old(scene, said);
}

#[test]
fn the_first_signal_takes_all_back_and_the_code_says_which_it_was() {
    let cases = [
        (Stage::Build, Signal::INT, 130),
        (Stage::Build, Signal::TERM, 143),
        (Stage::Health, Signal::HUP, 143),
        (Stage::Health, Signal::INT, 130),
    ];
    side_by_side(cases, |(stage, signal, code)| {
        let scene = Scene::new();
        let working = at(stage, &scene);
        let clients = scene.clients();
        working.signal(signal);
        taken_back(&scene, &working.ends(), code);
        clients.all_were_answered();
    });
}

#[test]
fn the_second_signal_ends_what_is_under_way_and_still_takes_all_back() {
    side_by_side([Stage::Build, Stage::Health, Stage::Undo], |stage| {
        let scene = Scene::new();
        let mut working = at(stage, &scene);
        let clients = scene.clients();
        if !matches!(stage, Stage::Undo) {
            working.signal(Signal::INT);
            working.says("SIGINT: nothing new is started");
        }
        // The code is that of the first one.
        working.signal(Signal::TERM);
        working.says("SIGTERM: what is under way is ended");
        taken_back(&scene, &working.ends(), 130);
        clients.all_were_answered();
    });
}

#[test]
fn the_third_signal_leaves_at_once_and_resume_takes_back_what_was_left() {
    let scene = Scene::new();
    let mut working = at(Stage::Undo, &scene);
    let clients = scene.clients();
    working.signal(Signal::INT);
    working.says("SIGINT: what is under way is ended");
    working.signal(Signal::INT);
    working.says("SIGINT: the run is left as it is");
    let said = working.ends();
    assert_eq!(said.code, 113, "{}", said.stderr);
    let next = said.stderr.split_once("`pleach resume ").and_then(|(_, run)| run.split('`').next());
    let run = next.unwrap_or_else(|| panic!("it says how to go on: {}", said.stderr));
    let resumed = scene.ends(130, &["resume", run]);
    all_old(&scene, &resumed);
    clients.all_were_answered();
}

#[test]
fn a_run_that_stands_still_can_be_left_and_taken_back() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("alpha", 2);
    let mut working = scene.start(&["deploy", "local", "--yes", "--halt-after", "14"]);
    working.says("halted");
    for _ in 0..3 {
        working.signal(Signal::INT);
        working.says("SIGINT:");
    }
    let said = working.ends();
    assert_eq!(said.code, 113, "{}", said.stderr);
    assert!(said.stderr.contains("`pleach resume "), "{}", said.stderr);
    assert_eq!(scene.answers("beta").as_deref(), Some("1.0.0"));
    scene.ends(0, &["rollback", "local", "--yes"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
}

/// Where nothing can be held up, the signal comes with the first word of the step. However the race ends, it ends as one
/// or the other.
#[test]
fn interrupted_with_any_step_it_ends_all_old_or_all_new() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    let (clients, mut old, mut version) = (scene.clients(), 1, 2);
    for (place, step) in
        ["capturing", "upload", "start", "route", "switch", "verify", "retire", "prune"].iter().enumerate()
    {
        for service in ["alpha", "beta"] {
            scene.version(service, version);
        }
        let mut working = scene.start(&["deploy", "local", "--yes", "-v"]);
        working.says(&format!("@here: {step}"));
        // Once, twice or three times without a pause.
        for _ in 0..=place % 3 {
            working.signal(Signal::INT);
        }
        let said = working.ends();
        match said.code {
            0 => old = version,
            130 => assert!(said.stdout.contains("interrupted, and taken back"), "{step}: {}", said.stdout),
            113 => {
                let resumed = scene.pleach(&["resume"]);
                match resumed.code {
                    0 => old = version,
                    130 => {}
                    other => panic!("{step}: {other}: {}\n{}", said.stderr, resumed.stderr),
                }
            }
            other => panic!("{step}: {other}: {}", said.stderr),
        }
        for service in ["alpha", "beta"] {
            assert_eq!(scene.answers(service), Some(format!("{old}.0.0")), "{step}: {}: {}", said.code, said.stderr);
        }
        version += 1;
    }
    clients.all_were_answered();
}
