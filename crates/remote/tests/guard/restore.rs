//! Putting back: killed anywhere, twice at once, against obstacles.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use pleach_remote::watchdog::{Change, Instruction, Watchdog, WatchdogPhase};

use crate::bench::{LONG, run};
use crate::site::Site;

const KILL_AT: &str = r#"set -T; n=0; at=$1; shift
trap 'n=$((n + 1)); [ "$n" -ne "$at" ] || kill -9 $$' DEBUG; . "$@""#;

/// Armed, changed, not watched, and past its deadline.
async fn fired() -> Site {
    let site = Site::new().await;
    site.arm(LONG).await;
    site.kill_watch();
    site.change();
    let state = fs::read_to_string(site.place().join("state.1")).expect("there");
    fs::write(site.place().join("state.2"), state.replace("phase armed", "phase fired")).expect("written");
    site
}

fn script(site: &Site) -> String {
    let path = site.bench.folder.path().join("watchdog.sh");
    fs::write(&path, Watchdog::script()).expect("written");
    path.to_str().expect("text").to_owned()
}

fn copy(from: &Path, to: &Path) {
    let paths = [from, to].map(|path| path.to_str().expect("text"));
    run(&["rm", "-rf", paths[1]], "");
    assert_eq!(run(&["cp", "-a", "--", paths[0], paths[1]], "").0, Some(0));
}

#[tokio::test]
async fn a_restoration_that_is_killed_anywhere_is_gone_on_with() {
    let site = Site::new().await;
    let before = site.manifest();
    drop(site);
    let site = fired().await;
    let script = script(&site);
    let place = site.place();
    let folder = site.bench.folder.path();
    let (models, works) = (["model-pleach", "model-root"], [folder.join(".pleach"), site.root.clone()]);
    for (model, work) in models.iter().zip(&works) {
        copy(work, &folder.join(model));
    }
    let names = |manifest: &std::collections::BTreeMap<_, String>| manifest.values().cloned().collect::<Vec<_>>();
    // In front of each command would take minutes; a prime step meets other lines in every loop.
    for at in (1..).step_by(67) {
        assert!(at < 20_000, "it never ends");
        for (model, work) in models.iter().zip(&works) {
            copy(&folder.join(model), work);
        }
        let _ = fs::remove_file(folder.join("restarts"));
        let number = at.to_string();
        let argv = ["bash", "-c", KILL_AT, "bash", &number, &script, "watch", place.to_str().expect("text")];
        let (code, ..) = run(&argv, "");
        if code.is_none() {
            let (code, out, err) = run(&["sh", &script, "watch", place.to_str().expect("text")], "");
            assert_eq!(code, Some(0), "killed at {at}: {out}{err}");
        }
        let status = site.status().await;
        assert_eq!(status.phase, WatchdogPhase::Restored, "killed at {at}: {status:#?}");
        assert_eq!(names(&site.manifest()), names(&before), "killed at {at}");
        assert!((1..=2).contains(&site.restarts()), "killed at {at}");
        if code.is_some() {
            assert_eq!(code, Some(0));
            break;
        }
    }
}

#[tokio::test]
async fn an_arming_that_is_killed_anywhere_is_armed_or_not_and_can_be_done_again() {
    let site = Site::new().await;
    let (script, place) = (script(&site), site.place());
    let folder = site.bench.folder.path();
    fs::create_dir_all(folder.join("tree/sub")).expect("made");
    fs::write(folder.join("tree/sub/file"), "kept").expect("written");
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let tree = text(&folder.join("tree"));
    let request = format!(
        "guard {}\nlease {}\nenvironment prod\ntarget vm\nrun run-1\nsystem {}\ntoken 1\nlifetime 60000\n\
         keep replaced {tree}\nkeep in-place {tree}\nkeep in-place {tree}/sub/file\nend\n",
        text(&site.bench.guard.path()),
        text(&site.bench.place()),
        text(&folder.join("system")),
    );
    for at in (1..).step_by(23) {
        assert!(at < 5_000, "it never ends");
        let number = at.to_string();
        let (code, ..) = run(&["bash", "-c", KILL_AT, &script, &number, &script, "arm", &text(&place)], &request);
        let (again, out, err) = run(&["sh", &script, "arm", &text(&place)], &request);
        assert_eq!(again, Some(0), "killed at {at}: {out}{err}");
        assert!(out.contains("phase armed\n") && out.contains("watch alive\n"), "killed at {at}: {out}");
        let plan = fs::read_to_string(place.join("plan")).expect("there");
        let kinds: Vec<_> = plan.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(kinds, ["tree", "copy", "tree", "copy", "file", "copy", "end"], "killed at {at}");
        let beside = fs::read_dir(place.parent().expect("a folder")).expect("there").count();
        assert_eq!(beside, 1, "killed at {at}: nothing half-made is left");
        assert_eq!(run(&["sh", &script, "confirm", &text(&place)], "").0, Some(0));
        assert_eq!(run(&["sh", &script, "discard", &text(&place)], "").0, Some(0));
        if code.is_some() {
            assert_eq!(code, Some(0));
            break;
        }
    }
}

#[tokio::test]
async fn of_many_that_restore_at_once_one_does() {
    let site = fired().await;
    let script = script(&site);
    let mut watches: Vec<_> = (0..4)
        .map(|_| {
            let mut command = Command::new("sh");
            command.arg(&script).arg("watch").arg(site.place()).stdin(Stdio::null());
            command.spawn().expect("started")
        })
        .collect();
    for watch in &mut watches {
        assert!(watch.wait().expect("waited for").success());
    }
    assert_eq!(site.restarts(), 1);
    assert_eq!(site.status().await.phase, WatchdogPhase::Restored);
}

#[tokio::test]
async fn what_cannot_be_put_back_keeps_nothing_else_from_it_and_is_tried_again() {
    let site = Site::new().await;
    let before = site.manifest();
    let mut instructions = site.instructions();
    let below = site.root.join("folder/file");
    fs::create_dir(site.root.join("folder")).expect("made");
    fs::write(&below, "kept").expect("written");
    instructions.insert(0, Instruction::Keep { path: below.clone(), change: Change::InPlace });
    let soon = std::time::Duration::from_millis(500);
    site.watchdog.arm(&site.shell, &site.lease, soon, &instructions).await.expect("armed");
    site.change();
    fs::remove_dir_all(site.root.join("folder")).expect("removed");
    let status = site.until(|status| status.journal.join("\n").contains("failed: file")).await;
    assert!(matches!(status.phase, WatchdogPhase::Fired));
    site.until(|_| site.manifest() == before).await;
    fs::create_dir(site.root.join("folder")).expect("made");
    site.until_phase(WatchdogPhase::Restored).await;
    assert_eq!(fs::read_to_string(below).expect("there"), "kept");
    assert!((1..=2).contains(&site.restarts()), "again only because a file was put back: {}", site.restarts());
}

#[tokio::test]
async fn a_copy_that_was_damaged_is_not_put_back() {
    let site = fired().await;
    let (place, unit) = (site.place(), site.root.join("unit.service"));
    fs::write(place.join("copy.3"), "damaged").expect("written");
    fs::write(&unit, "changed").expect("written");
    site.watchdog.wake(&site.shell).await.expect("started");
    let status = site.until(|status| status.journal.join("\n").contains("its copy is damaged")).await;
    assert_eq!(status.phase, WatchdogPhase::Fired);
    assert_eq!(fs::read_to_string(&unit).expect("there"), "changed");
    let stopped = site.watchdog.disarm(&site.shell, &site.run).await.expect("between two attempts");
    assert_eq!(stopped.phase, WatchdogPhase::Disarmed);
    site.until_phase(WatchdogPhase::Disarmed).await;
}
