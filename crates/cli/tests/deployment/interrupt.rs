//! Signals: the first takes all back, the third leaves a run that can be gone on with.

use rustix::process::Signal;

use crate::scene::{Scene, Working};

fn building(scene: &Scene) -> Working {
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("beta", 2);
    scene.slow_down("alpha");
    let mut working = scene.start(&["deploy", "local", "--yes", "-v"]);
    working.says("alpha@here | building");
    working
}

#[test]
fn the_first_signal_takes_all_back_and_the_code_says_which_it_was() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let scene = Scene::new();
        let working = building(&scene);
        working.signal(signal);
        let said = working.ends();
        assert_eq!(said.code, code, "{}", said.stderr);
        assert!(said.stdout.contains("interrupted, and taken back"), "{}", said.stdout);
        assert!(!said.stderr.contains("error:"), "an interrupt is no failure: {}", said.stderr);
        assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
        assert_eq!(scene.answers("beta").as_deref(), Some("1.0.0"));
        let status = scene.ends(0, &["status"]);
        assert!(!status.stdout.contains("resume") && !status.stdout.contains("lease"), "{}", status.stdout);
    }
}

#[test]
fn a_run_that_was_left_says_how_to_go_on_and_can_be_taken_back() {
    let scene = Scene::new();
    // It stands still in the middle, so only leaving is left to it.
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
