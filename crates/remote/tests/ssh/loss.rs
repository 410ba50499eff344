//! Hosts that are down or silent, and links that break in mid-command.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use pleach_core::error::Kind;
use pleach_core::port::{Call, Command, Effect, ExitStatus, FencingToken, NoLines};
use pleach_remote::ssh::{CommandId, Fate, ShellError, SshShell};
use tokio_util::sync::CancellationToken;

use crate::bed::{Bed, kill, run_read, run_script};

/// Starts `text` under a name, waits until it has made the file `started`, and cuts the link. Gives the run's own error.
async fn cut_in(bed: &Bed, shell: &SshShell, id: &CommandId, text: &str) -> ShellError {
    let cancel = CancellationToken::new();
    let call = Call { token: Some(FencingToken(1)), lines: &NoLines, cancel: &cancel };
    let command = Command::script(Effect::Write, text);
    let cut = async {
        let watcher = bed.shell().await;
        let wait = format!("while ! [ -e {} ]; do sleep 0.02; done", bed.at("started").display());
        run_read(&watcher, &["sh", "-c", &wait]).await.expect("it ran");
        for session in bed.server.sessions() {
            kill(session, "KILL");
        }
    };
    let (ran, ()) = tokio::join!(shell.run_as(id, &command, call), cut);
    ran.expect_err("the link was cut")
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cut_link_the_command_can_be_asked_about_waited_for_and_seen_to_end() {
    let bed = Bed::new("");
    let shell = bed.shell().await;
    let id = CommandId::new();
    let folder = bed.at("").display().to_string();
    let text = format!("touch {folder}/started; while ! [ -e {folder}/go ]; do sleep 0.02; done; exit 7");
    let error = cut_in(&bed, &shell, &id, &text).await;
    assert!(matches!(&error, ShellError::Lost { id: Some(lost), .. } if *lost == id), "{error:?}");
    let failure = pleach_core::error::Failure::from(error);
    assert_eq!(failure.kind, Kind::UnknownOutcome);
    assert!(failure.state.is_some_and(|state| state.contains(&id.to_string())));
    assert_eq!(shell.fate(&id).await.expect("a new connection is made"), Fate::Running);
    let go = async {
        // Another process may ask as well.
        let other = bed.shell().await;
        assert_eq!(other.fate(&id).await.expect("told"), Fate::Running);
        bed.write("go", "");
    };
    let cancel = CancellationToken::new();
    let (fate, ()) = tokio::join!(shell.wait(&id, &cancel), go);
    assert_eq!(fate.expect("told"), Fate::Ended(ExitStatus::Code(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cut_link_the_command_can_be_ended_with_all_its_children() {
    let bed = Bed::new("");
    let shell = bed.shell().await;
    let id = CommandId::new();
    let folder = bed.at("").display().to_string();
    let text =
        format!("trap '' TERM HUP; sleep 300 & echo $! $$ >{folder}/ids; touch {folder}/started; wait; sleep 300");
    cut_in(&bed, &shell, &id, &text).await;
    assert_eq!(shell.end(&id).await.expect("ended"), Fate::Ended(ExitStatus::Signal(9)));
    let ids = std::fs::read_to_string(bed.at("ids")).expect("written");
    for process in ids.split_whitespace() {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
    assert_eq!(shell.end(&id).await.expect("again"), Fate::Ended(ExitStatus::Signal(9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_killed_together_with_its_watcher_is_told_as_gone() {
    let bed = Bed::new("");
    let shell = bed.shell().await;
    let id = CommandId::new();
    let folder = bed.at("").display().to_string();
    let text = format!("touch {folder}/started; sleep 300");
    cut_in(&bed, &shell, &id, &text).await;
    let line = std::fs::read_to_string(bed.at("root/.pleach/command").join(id.to_string())).expect("registered");
    let group = line.split(' ').nth(2).expect("a group");
    run_script(&shell, &format!("kill -s KILL -- -{group}")).await.expect("it ran");
    let cancel = CancellationToken::new();
    assert_eq!(shell.wait(&id, &cancel).await.expect("told"), Fate::Gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_was_cut_off_may_be_tried_again() {
    let bed = Bed::new("");
    let shell = bed.shell().await;
    let text = format!("echo $$ >{0}; mv {0} {1}; sleep 300", bed.at("new").display(), bed.at("started").display());
    let argv = ["sh", "-c", &text];
    let cut = async {
        while !bed.at("started").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for session in bed.server.sessions() {
            kill(session, "KILL");
        }
    };
    let (ran, ()) = tokio::join!(run_read(&shell, &argv), cut);
    assert_eq!(ran.expect_err("the link was cut").kind, Kind::Transient);
    assert_eq!(run_read(&shell, &["echo", "again"]).await.expect("a new connection is made").text(), "again");
    let process = std::fs::read_to_string(bed.at("started")).expect("written").trim().to_owned();
    let runs = || {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    let gone = async {
        while runs() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("nothing is left of the first one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_down_is_told_at_once() {
    let bed = Bed::new("");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    bed.configure(&format!("Port {free}"));
    let started = Instant::now();
    let failure = bed.refusal().await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(failure.kind, Kind::Transient, "{failure:?}");
    assert!(failure.next.is_some_and(|next| next.contains(&format!("ssh-keyscan -p {free} 127.0.0.1"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_address_is_told_as_one() {
    let bed = Bed::new("");
    bed.configure("HostName no-such-host.invalid");
    let failure = bed.refusal().await;
    assert_eq!(failure.kind, Kind::Transient, "{failure:?}");
    assert!(format!("{failure:?}").contains("could not find the address of `no-such-host.invalid`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_accepts_and_says_nothing_costs_the_time_that_the_config_gives() {
    let bed = Bed::new("");
    bed.configure("ConnectTimeout 1");
    kill(bed.server.listener(), "STOP");
    let started = Instant::now();
    let failure = bed.refusal().await;
    let took = started.elapsed();
    kill(bed.server.listener(), "CONT");
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(8), "{took:?}");
    assert_eq!(failure.kind, Kind::Transient, "{failure:?}");
    assert!(format!("{failure:?}").contains("its greeting"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_silent_host_many_hear_in_the_time_that_one_takes() {
    let bed = Bed::new("");
    bed.configure("ConnectTimeout 2");
    kill(bed.server.listener(), "STOP");
    let shell = bed.shell().await;
    let started = Instant::now();
    let runs = (0..8).map(|_| {
        let shell = shell.clone();
        tokio::spawn(async move { run_read(&shell, &["true"]).await.expect_err("it is silent") })
    });
    for run in runs.collect::<Vec<_>>() {
        let failure = run.await.expect("no panic");
        assert!(format!("{failure:?}").contains("its greeting"), "{failure:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    kill(bed.server.listener(), "CONT");
    assert!(run_read(&shell, &["true"]).await.expect("it is tried again").succeeded());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_falls_silent_in_mid_command_is_noticed() {
    let bed = Bed::new("");
    bed.configure("ServerAliveInterval 1\nServerAliveCountMax 1");
    let shell = bed.shell().await;
    let id = CommandId::new();
    let cancel = CancellationToken::new();
    let call = Call { token: Some(FencingToken(1)), lines: &NoLines, cancel: &cancel };
    let folder = bed.at("").display().to_string();
    let command = Command::script(Effect::Write, format!("touch {folder}/started; sleep 300"));
    let silence = async {
        while !bed.at("started").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let sessions = bed.server.sessions();
        sessions.iter().for_each(|session| kill(*session, "STOP"));
        sessions
    };
    let (ran, sessions) = tokio::join!(shell.run_as(&id, &command, call), silence);
    assert!(matches!(ran, Err(ShellError::Lost { .. })), "{ran:?}");
    assert_eq!(shell.end(&id).await.expect("over another connection"), Fate::Ended(ExitStatus::Signal(9)));
    for session in sessions {
        kill(session, "KILL");
    }
}
