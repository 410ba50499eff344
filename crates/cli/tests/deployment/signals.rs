//! Signals at every stage: one, two or three, counted in records of the journal.

use std::time::Duration;

use pleach_testbed::meanwhile::meanwhile;
use rustix::process::Signal;

use crate::scene::{SERVICES, Scene};

/// Records of the journal between two places where signals come.
const STRIDE: usize = 6;

/// Deploys a new version of all services and sends so many signals once the journal has `boundary` records. `false` if the
/// deployment ended before.
fn interrupted(scene: &Scene, version: u32, boundary: usize, signals: usize) -> bool {
    for service in SERVICES {
        scene.version(service, version);
    }
    let earlier = scene.runs();
    let mut working = scene.start(&["deploy", "local", "--yes"]);
    let reached = working.reaches(scene, &earlier, boundary);
    for _ in 0..signals {
        if !reached || !working.signal_if_alive(Signal::INT) || !working.says_or_ends("SIGINT:") {
            break;
        }
    }
    let said = working.ends();
    let at = format!("{signals} signals after {boundary} records");
    match said.code {
        0 | 130 => {}
        113 if signals == 3 => {
            assert!(said.stderr.contains("`pleach resume"), "{at}: {}", said.stderr);
            let resumed = scene.pleach(&["resume"]);
            assert!([0, 110, 130].contains(&resumed.code), "{at}: {} {}", resumed.code, resumed.stderr);
        }
        code => panic!("{at}: {code}\n{}{}", said.stdout, said.stderr),
    }
    let (new, old) = (format!("{version}.0.0"), scene.answers(SERVICES[0]));
    for service in SERVICES {
        assert_eq!(scene.answers(service), old, "{at}: they belong together");
    }
    if said.code == 0 {
        assert_eq!(old, Some(new), "{at}");
    }
    let instances = scene.instances();
    assert_eq!(instances.len(), SERVICES.len(), "{at}: only the current releases run: {instances:?}");
    let status = scene.ends(0, &["status"]);
    assert!(!status.stdout.contains("resume") && !status.stdout.contains("lease"), "{at}: {}", status.stdout);
    reached
}

#[test]
fn one_two_or_three_signals_at_any_stage_end_all_new_or_all_old_and_the_old_release_answers_throughout() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    let (mut asked, mut failed) = (0, 0);
    let watch = || {
        failed += SERVICES.iter().filter(|service| scene.answers(service).is_none()).count();
        asked += SERVICES.len();
        std::thread::sleep(Duration::from_millis(20));
    };
    let versions = meanwhile(watch, || {
        let mut version = 1;
        for boundary in (1..).step_by(STRIDE) {
            for signals in 1..=3 {
                version += 1;
                if !interrupted(&scene, version, boundary, signals) {
                    return version;
                }
            }
        }
        version
    });
    assert!(versions > 15, "several stages were seen");
    assert_eq!(failed, 0, "of {asked} requests");
}
