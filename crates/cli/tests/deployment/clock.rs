//! Clocks an hour apart: of the machine, and of two who deploy to it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pleach_testbed::clock;

use crate::far::Far;
use crate::scene::{Said, Working, told_in_four_parts};

/// Another person's clone, with a state directory of its own.
fn elsewhere(far: &Far) -> PathBuf {
    let clone = far.bed.at("elsewhere");
    let git = |place: &Path, words: &[&str]| {
        let ended = Command::new("git").args(words).current_dir(place).stdin(Stdio::null()).status();
        assert!(ended.expect("git").success(), "git {words:?}");
    };
    git(Path::new("/"), &["clone", "-q", &far.scene.root().display().to_string(), &clone.display().to_string()]);
    for service in ["alpha", "beta"] {
        git(&clone, &["branch", "-q", &format!("skill/{service}"), &format!("origin/skill/{service}")]);
    }
    clone
}

/// Runs the command there by a clock that is set by so much.
fn by_clock(place: &Path, by: &str, arguments: &[&str]) -> Said {
    let words = clock::by(by);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(env!("CARGO_BIN_EXE_pleach")).args(arguments).current_dir(place);
    Said::of(command.stdin(Stdio::null()).output().expect("it runs"))
}

/// A deployment that builds for a minute.
fn building(far: &Far) -> Working {
    far.scene.slow_down("alpha");
    let mut working = far.scene.start(&["deploy", "uat", "--yes", "-v"]);
    working.says("alpha@vm | building");
    working
}

#[test]
fn of_two_whose_clocks_and_whose_machines_clock_are_hours_apart_only_one_deploys() {
    std::thread::scope(|scope| {
        for (machine, other) in [("+1h", "-1h"), ("-1h", "+1h")] {
            scope.spawn(move || {
                let Some(far) = Far::with(&format!("SetEnv SHLVL=1 {}", clock::variables(machine))) else { return };
                far.scene.ends(0, &["deploy", "uat", "--yes"]);
                let told = far.scene.ends(0, &["exec", "uat", "--look", "--", "date", "+%s"]);
                let clock: i64 = told.stdout.lines().last().expect("a line").trim().parse().expect("a number");
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
                let ahead = clock - i64::try_from(now.as_secs()).expect("small");
                assert!(ahead.abs() > 3000, "its clock is really another: {ahead}");
                far.version(2);
                let elsewhere = elsewhere(&far);
                let working = building(&far);
                let refused = by_clock(&elsewhere, other, &["deploy", "uat", "--yes"]);
                assert_eq!(refused.code, 103, "{}{}", refused.stdout, refused.stderr);
                told_in_four_parts(&refused);
                assert!(refused.stderr.contains(&working.id().to_string()), "who: {}", refused.stderr);
                working.signal(rustix::process::Signal::INT);
                assert_eq!(working.ends().code, 130);
                let after = by_clock(&elsewhere, other, &["deploy", "uat", "--yes"]);
                assert_eq!(after.code, 0, "{}{}", after.stdout, after.stderr);
                assert_eq!(far.answers().as_deref(), Some("2.0.0"));
            });
        }
    });
}
