//! What leaves its place: processes that leave their group, directories that are removed under them, a second repository
//! that deploys to the same directory.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::scene::{Said, Scene, told_in_four_parts};

/// Waits until nothing of the services, their supervisors and routers runs.
fn all_end(scene: &Scene) {
    let begun = Instant::now();
    while !scene.running().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", scene.running());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_process_that_leaves_its_group_and_session_is_ended_with_its_release() {
    let scene = Scene::new();
    let file = scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    // What was started first stays and does nothing; what serves is in a session of its own, and its parent is gone.
    let astray = config.replacen("exec '", "setsid sh -c '\\\"$0\\\" & exit' '", 1).replacen(
        "'\"\n",
        "'; exec sleep 600\"\n",
        1,
    );
    assert_ne!(astray, config);
    std::fs::write(&file, astray).expect("written");
    scene.ends(0, &["deploy", "local", "--yes"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    scene.version("alpha", 2);
    scene.break_service("beta");
    scene.ends(110, &["deploy", "local", "--yes"]);
    assert_eq!(scene.instances().len(), 2, "one release of each service: {:?}", scene.instances());
    scene.ends(0, &["stop", "local", "--yes"]);
    assert!(scene.running().is_empty(), "{:?}", scene.running());
}

#[test]
fn services_whose_directory_was_removed_end_by_themselves() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    std::fs::remove_dir_all(scene.place().join("live")).expect("removed");
    all_end(&scene);
    scene.ends(0, &["deploy", "local", "--yes"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
}

fn pleach_in(place: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pleach"));
    let output = command.args(arguments).current_dir(place).stdin(Stdio::null()).output().expect("pleach runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn two_repositories_take_turns_at_one_directory() {
    let scene = Scene::new();
    for _ in 0..3 {
        scene.ends(0, &["deploy", "local", "--yes"]);
        scene.ends(0, &["stop", "local", "--yes"]);
    }
    let clone = scene.place().join("clone");
    for words in [
        &["clone", "-q", "repository", "clone"][..],
        &["-C", "clone", "branch", "-q", "skill/alpha", "origin/skill/alpha"],
        &["-C", "clone", "branch", "-q", "skill/beta", "origin/skill/beta"],
    ] {
        let ended = Command::new("git").args(words).current_dir(scene.place()).stdin(Stdio::null()).status();
        assert!(ended.expect("git").success(), "{words:?}");
    }
    let done = pleach_in(&clone, &["deploy", "local", "--yes"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    scene.slow_down("alpha");
    let mut working = scene.start(&["deploy", "local", "--yes", "-v"]);
    working.says("alpha@here | building");
    let held = pleach_in(&clone, &["lease", "list"]);
    assert!(held.stdout.contains(&format!("(process {})", working.id())), "{}", held.stdout);
    let refused = pleach_in(&clone, &["stop", "local", "--yes"]);
    assert_eq!(refused.code, 103, "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("(process {})", working.id())), "{}", refused.stderr);
    told_in_four_parts(&refused);
    working.signal(Signal::INT);
    assert_eq!(working.ends().code, 130);
    let stopped = pleach_in(&clone, &["stop", "local", "--yes"]);
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
}

/// Whether a process is there and no zombie that nobody has waited for.
fn lives(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, behind)| !behind.starts_with('Z'))
}

#[test]
fn what_a_killed_deployer_had_started_is_ended_before_anything_goes_on() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.slow_down("alpha");
    let mut working = scene.start(&["deploy", "local", "--yes", "-v"]);
    working.says("alpha@here | building");
    working.signal(Signal::KILL);
    working.ends();
    let notes = scene.place().join("live/.pleach/command");
    let builds = || -> Vec<u32> {
        let names = std::fs::read_dir(&notes).into_iter().flatten().flatten();
        names.filter_map(|name| name.file_name().to_str()?.split('-').next()?.parse().ok()).collect()
    };
    let left = builds();
    assert_eq!(left.len(), 1, "the build goes on");
    assert!(lives(left[0]));
    scene.ends(0, &["rollback", "local", "--yes"]);
    assert!(!lives(left[0]));
    assert_eq!(builds(), Vec::<u32>::new());
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
}
