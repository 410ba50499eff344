//! `pleach demo` keeps what it promises, and leaves nothing running, also when somebody interrupts it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::sample::isolated;

/// The compiled sample service is kept between runs of the tests.
fn demo(dir: &Path) -> Child {
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("demo-cache");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pleach"));
    command.args(["demo", "--fast", "--dir"]).arg(dir).env("PLEACH_DEMO_CACHE", cache);
    isolated(&mut command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pleach runs")
}

/// Command lines of processes that were started with a path in `dir`, or whose program lies there.
fn running(dir: &Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    processes
        .filter_map(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let program = std::fs::read_link(entry.path().join("exe")).unwrap_or_default();
            (line.contains(dir.to_str()?) || program.starts_with(dir)).then_some(line)
        })
        .collect()
}

#[test]
fn the_demo_shows_five_services_live_one_taken_back_and_four_merged() {
    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path().canonicalize().expect("there").join("demo");
    let output = demo(&dir).wait_with_output().expect("ended");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    let mut rest = text.as_ref();
    for part in [
        "$ pleach worktree add --all",
        "$ pleach plan local",
        "$ pleach deploy local --yes",
        "$ pleach verify local",
        "$ pleach status",
        "Release nl-sql 1.1.0",
        "$ pleach deploy local --yes",
        "0 failed.",
        "$ pleach merge --push",
        "Merge skill/",
        "nothing is left running",
        "pleach rollback local pr-review",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("`{part}` does not come in its turn:\n{text}\n{errors}"));
        rest = &rest[at + part.len()..];
    }
    assert!(!text.contains('\u{1b}'), "a pipe gets no colours");
    assert_eq!(running(&dir), Vec::<String>::new());
}

#[test]
fn an_interrupted_demo_leaves_nothing_running() {
    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path().canonicalize().expect("there").join("demo");
    let mut child = demo(&dir);
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("$ pleach verify local") {
        line.clear();
        if lines.read_line(&mut line).expect("text") == 0 {
            let ended = child.wait_with_output().expect("ended");
            panic!("the demo ended before its services were up: {}", String::from_utf8_lossy(&ended.stderr));
        }
    }
    assert!(!running(&dir).is_empty(), "services run at that moment");
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("an id");
    kill_process(id, Signal::INT).expect("told");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("text");
    let ended = child.wait_with_output().expect("ended");
    assert_eq!(ended.status.code(), Some(130), "{rest}\n{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(running(&dir), Vec::<String>::new());
}

#[test]
fn a_directory_with_something_in_it_is_not_used() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(place.path().join("mine"), "x").expect("written");
    let output = demo(place.path()).wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(102));
    assert_eq!(std::fs::read_dir(place.path()).expect("readable").count(), 1);
}

#[test]
fn builds_of_the_sample_side_by_side_share_nothing_but_the_result() {
    let folder = tempfile::tempdir().expect("a directory");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/sample");
    let build = |number: u32| {
        let place = folder.path().join(number.to_string());
        std::fs::create_dir(&place).expect("made");
        std::fs::copy(sample.join("main.rs"), place.join("main.rs")).expect("copied");
        let mut command = Command::new("sh");
        command.arg(sample.join("build.sh")).current_dir(place).env("PLEACH_DEMO_CACHE", folder.path().join("cache"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
    };
    let builds: Vec<Child> = (0..4).map(build).collect();
    for build in builds {
        let output = build.wait_with_output().expect("ended");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(std::fs::read_dir(folder.path().join("cache")).expect("there").count(), 1, "nothing is left beside it");
}
