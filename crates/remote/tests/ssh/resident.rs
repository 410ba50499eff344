//! Commands that only look share a shell that stays, and nothing of one is left for the next.

use std::time::Duration;

use pleach_core::port::{Call, Command, CommandOutput, ExitStatus, NoLines, Shell};
use pleach_remote::process::Identity;
use pleach_remote::ssh::SshShell;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::bed::{Bed, kill, run_read, run_script};

async fn run(shell: &SshShell, command: &Command) -> CommandOutput {
    let call = Call { token: None, lines: &NoLines, cancel: &CancellationToken::new() };
    shell.run(command, call).await.expect("it ran")
}

/// The shell that started a command.
async fn parent(shell: &SshShell, command: Command) -> u32 {
    run(shell, &command).await.text().parse().expect("a process id")
}

fn tell_parent() -> Command {
    Command::read(["sh", "-c", "echo $PPID"])
}

#[tokio::test(flavor = "multi_thread")]
async fn one_shell_runs_all_that_only_looks_and_one_of_its_own_what_may_leave_something_running() {
    let bed = Bed::new("");
    let shell = bed.shell().await;
    let first = parent(&shell, tell_parent()).await;
    assert_eq!(parent(&shell, tell_parent()).await, first);
    assert_ne!(parent(&shell, tell_parent().alone()).await, first);
    let mut left = Command::read(["sh", "-c", "(sleep 0.2; echo left) & echo said"]).alone();
    assert_eq!(run(&shell, &left).await.text(), "said\nleft");
    left.argv[2] = "echo next".into();
    assert_eq!(run(&shell, &left).await.text(), "next");
    let other = bed.shell().await;
    assert_ne!(parent(&other, tell_parent()).await, first, "another link has its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_how_a_command_ended_and_nothing_of_it_is_left() {
    let bed = Bed::new("");
    let shell = bed.shell().await;
    let first = parent(&shell, tell_parent()).await;
    let ends = [
        ("exit 3", ExitStatus::Code(3)),
        ("exit 137", ExitStatus::Code(137)),
        ("kill -9 $$", ExitStatus::Signal(9)),
        ("kill -15 $$", ExitStatus::Signal(15)),
        ("exit 143", ExitStatus::Code(143)),
    ];
    for (text, status) in ends {
        let output = run(&shell, &Command::read(["sh", "-c", &format!("echo out; echo err >&2; {text}")])).await;
        assert_eq!((output.status, output.text().as_str()), (status, "out"), "{text}");
        assert_eq!(output.stderr, b"err\n", "{text}");
    }
    let mut command = Command::read(["sh", "-c", "umask 0; echo $PWD $KEPT"]).directory("/").variable("KEPT", "it");
    assert_eq!(run(&shell, &command).await.text(), "/ it");
    command = Command::read(["sh", "-c", "echo ${KEPT-gone}; [ \"$PWD\" != / ] && umask"]);
    assert_eq!(run(&shell, &command).await.text(), "gone\n0022");
    let missing = Command::read(["no-such-program-of-pleach"]);
    let call = Call { token: None, lines: &NoLines, cancel: &CancellationToken::new() };
    assert!(shell.run(&missing, call).await.is_err());
    assert_eq!(parent(&shell, tell_parent()).await, first, "it is the same all along");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_ended_is_not_asked_again() {
    let bed = Bed::new("");
    let shell = bed.shell().await;
    let first = parent(&shell, tell_parent()).await;
    kill(first, "KILL");
    // If its end is not known yet, this one is run again, in a session of its own.
    assert_ne!(parent(&shell, tell_parent()).await, first);
    let second = parent(&shell, tell_parent()).await;
    let cancel = CancellationToken::new();
    let call = Call { token: None, lines: &NoLines, cancel: &cancel };
    let long = Command::read(["sleep", "100"]);
    let soon = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cancel.cancel();
    };
    let (ran, ()) = tokio::join!(shell.run(&long, call), soon);
    assert!(ran.is_err(), "it was asked to end");
    assert_eq!(run_read(&shell, &["echo", "there"]).await.expect("it ran").text(), "there");
    let third = parent(&shell, tell_parent()).await;
    assert_ne!(third, second);
    // Dropped in the middle.
    let cut = timeout(Duration::from_millis(300), run(&shell, &long)).await;
    assert!(cut.is_err());
    assert_eq!(run_read(&shell, &["echo", "there"]).await.expect("it ran").text(), "there");
    for ended in [second, third] {
        let gone = async {
            while Identity::of(ended).is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(
            timeout(Duration::from_secs(20), gone).await.is_ok(),
            "{second} {third}: {ended} is ended with its command"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_gives_its_place_to_a_command_that_changes_something() {
    let bed = Bed::new("MaxSessions 1");
    let shell = bed.shell().await;
    for number in 0..5 {
        let number = number.to_string();
        assert_eq!(run_read(&shell, &["echo", &number]).await.expect("it ran").text(), number);
        assert_eq!(run_script(&shell, &format!("echo {number}")).await.expect("it ran").text(), number);
    }
    assert_eq!(shell.link().connections(), 1);
}
