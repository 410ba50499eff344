//! What is refused, and when.

use std::fs;
use std::path::Path;
use std::time::Duration;

use pleach_core::error::Failure;
use pleach_core::error::Kind;
use pleach_core::port::CommandOutput;
use pleach_core::port::{Call, Command, Effect, ExitStatus, FencingToken, Leases, NoLines, Shell};
use pleach_remote::guard::GuardedShell;
use pleach_remote::local::LocalShell;
use tokio_util::sync::CancellationToken;

use crate::bench::{
    Bench, LONG, SHELLS, Sleeper, elsewhere, environment, guard, here, request, request_text, target, word,
};

async fn write<S: Shell>(
    shell: &GuardedShell<S>,
    command: &Command,
    token: Option<FencingToken>,
) -> Result<CommandOutput, Failure> {
    shell.run(command, Call { token, lines: &NoLines, cancel: &CancellationToken::new() }).await
}

fn guarded(bench: &Bench) -> GuardedShell<LocalShell> {
    GuardedShell::new(bench.shell(), bench.guard.clone(), bench.place())
}

fn touch(path: &Path) -> Command {
    Command::write(["touch", path.to_str().expect("text")])
}

#[tokio::test]
async fn a_deployer_that_slept_past_its_lease_is_refused_when_it_wakes() {
    for shell in SHELLS {
        let bench = Bench::with(shell);
        let deployer = Sleeper::new();
        let leases = bench.leases(here(deployer.id()));
        let old = leases.acquire(&request("run-1", Duration::from_millis(50))).await.expect("given");
        let shell = guarded(&bench);
        let (before, after) = (bench.folder.path().join("before"), bench.folder.path().join("after"));
        write(&shell, &touch(&before), Some(old.token)).await.expect("its lease is the newest");
        assert!(before.exists());
        deployer.signal("-STOP");
        let bob = bench.leases(elsewhere("bob"));
        let new = loop {
            match bob.acquire(&request("run-2", LONG)).await {
                Ok(lease) => break lease,
                Err(failure) => assert_eq!(failure.kind, Kind::Conflict),
            }
        };
        deployer.signal("-CONT");
        let refused = write(&shell, &touch(&after), Some(old.token)).await.expect_err("its lease has passed on");
        assert_eq!(refused.kind, Kind::Conflict);
        assert!(refused.what.contains(&format!("it has seen token {}", new.token)), "{refused:?}");
        assert!(!after.exists(), "refused before it started");
        write(&shell, &touch(&after), Some(new.token)).await.expect("the newest");
        assert!(after.exists());
    }
}

#[tokio::test]
async fn a_guarded_command_is_the_command_itself() {
    for shell in SHELLS {
        let bench = Bench::with(shell);
        let token = bench.leases(elsewhere("ann")).acquire(&request("run-1", LONG)).await.expect("given").token;
        let shell = guarded(&bench);
        let nasty = ["-n", "it's", "a b", "$(exit 9)", "x\ny", "", "*", "\\0101"];
        let mut argv = vec!["printf", "[%s]"];
        argv.extend(nasty);
        let output = write(&shell, &Command::write(argv), Some(token)).await.expect("ran");
        assert_eq!(output.text(), nasty.map(|word| format!("[{word}]")).concat());
        let mut script = Command::script(Effect::Write, "cat; echo err >&2; exit 97");
        script.environment.clear();
        let output = write(&shell, &script, Some(token)).await.expect("a code of its own is no refusal");
        assert_eq!((output.status, output.stderr.as_slice()), (ExitStatus::Code(97), b"err\n".as_slice()));
        let killed = Command::script(Effect::Write, "kill -9 $$");
        assert_eq!(write(&shell, &killed, Some(token)).await.expect("ran").status, ExitStatus::Signal(9));
        let missing = write(&shell, &Command::write(["/no/such/program"]), Some(token)).await.expect("ran");
        assert_eq!(missing.status, ExitStatus::Code(127));
        assert_eq!(write(&shell, &killed, None).await.expect_err("no lease").kind, Kind::Internal);
        let look = write(&shell, &Command::read(["echo", "hi"]), None).await.expect("reads need none");
        assert_eq!(look.text(), "hi");
    }
}

#[tokio::test]
async fn a_token_from_elsewhere_shuts_older_ones_out_as_soon_as_it_is_seen() {
    let bench = Bench::new();
    let shell = guarded(&bench);
    let file = bench.folder.path().join("file");
    write(&shell, &touch(&file), Some(FencingToken(5))).await.expect("the newest");
    assert_eq!(write(&shell, &touch(&file), Some(FencingToken(4))).await.expect_err("older").kind, Kind::Conflict);
    bench.guard.raise(&bench.shell(), &bench.place(), FencingToken(8)).await.expect("raised");
    bench.guard.raise(&bench.shell(), &bench.place(), FencingToken(8)).await.expect("twice is once");
    assert_eq!(write(&shell, &touch(&file), Some(FencingToken(5))).await.expect_err("older").kind, Kind::Conflict);
    let older = bench.guard.raise(&bench.shell(), &bench.place(), FencingToken(7)).await;
    assert_eq!(older.expect_err("older").kind, Kind::Conflict);
    let lease = bench.leases(elsewhere("ann")).acquire(&request("run-1", LONG)).await.expect("given");
    assert_eq!(lease.token, FencingToken(9));
}

#[tokio::test]
async fn a_command_that_started_under_an_older_token_goes_on_and_is_named() {
    let bench = Bench::new();
    let leases = bench.leases(elsewhere("ann"));
    let old = leases.acquire(&request("run-1", LONG)).await.expect("given");
    let (fifo, shell) = (bench.folder.path().join("fifo"), guarded(&bench));
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    let reader = Command::write(["cat", fifo.to_str().expect("text")]);
    let started = tokio::spawn(async move { write(&shell, &reader, Some(old.token)).await });
    let opened = fifo.clone();
    // Opening it for writing waits for the command to open it for reading.
    let pipe = tokio::task::spawn_blocking(move || fs::OpenOptions::new().write(true).open(opened)).await;
    leases.break_lease(&old).await.expect("broken, without waiting for the command");
    let state = leases.show(&environment(), &target()).await.expect("shown");
    assert_eq!(state.running.iter().map(|running| running.token).collect::<Vec<_>>(), [old.token]);
    drop(pipe);
    assert!(started.await.expect("no panic").expect("ran").succeeded());
    assert_eq!(leases.show(&environment(), &target()).await.expect("shown").running, []);
}

/// Stops the guard's `run` in front of the command that begins with `at`.
const STOP_AT: &str = r#"set -T; at=$1; shift
trap 'case $BASH_COMMAND in "$at"*) kill -STOP $$ ;; esac' DEBUG; . "$@""#;

fn start_stopped(script: &Path, place: &str, at: &str, file: &Path) -> std::process::Child {
    let mut command = std::process::Command::new("bash");
    command.args(["-c", STOP_AT, "bash", at]).arg(script).args(["run", place, "1", "touch"]).arg(file);
    let child = command.stderr(std::process::Stdio::piped()).spawn().expect("started");
    let stat = format!("/proc/{}/stat", child.id());
    while !fs::read_to_string(&stat).expect("readable").contains(") T ") {
        std::thread::yield_now();
    }
    child
}

#[test]
fn a_command_that_is_stopped_between_comparison_and_start_never_starts() {
    let bench = Bench::new();
    let (script, place) = (bench.script(), bench.place());
    let place = place.to_str().expect("text");
    assert_eq!(guard(&script, &["take", place], &request_text("r1", "")).0, Some(0));
    let (late, early) = (bench.folder.path().join("late"), bench.folder.path().join("early"));
    let mut between = start_stopped(&script, place, "exec", &late);
    let mut before = start_stopped(&script, place, "load", &early);
    let (code, printed) = guard(&script, &["take", place], &request_text("r2", "proof 1\n"));
    assert_eq!((code, word(&printed, "token").as_deref()), (Some(0), Some("2")));
    for child in [&mut between, &mut before] {
        // Where it was not ended it goes on, and is refused.
        let _ = std::process::Command::new("kill").args(["-CONT", &child.id().to_string()]).output();
        assert!(!child.wait().expect("waited for").success());
    }
    assert!(!late.exists() && !early.exists(), "nothing starts under a token that has passed on");
}
