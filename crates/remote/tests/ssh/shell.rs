//! Commands on a host do what commands here do.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use pleach_core::error::Kind;
use pleach_core::port::{Call, Command, Effect, ExitStatus, FencingToken, LineSink, NoLines, Secret, Shell, Stream};
use pleach_core::testing::conformance;
use pleach_remote::ssh::{CommandId, Fate};
use tokio_util::sync::CancellationToken;

use crate::bed::{Bed, run_read, run_script};

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_keeps_what_the_port_promises() {
    let bed = Bed::new("");
    std::fs::create_dir(bed.at("scratch")).expect("made");
    conformance::shell(&bed.shell().await, &bed.at("scratch")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_shell_that_prints_changes_nothing() {
    let bed = Bed::new("");
    let talker = bed.script(
        "talker",
        "#!/bin/sh\necho 'Welcome to *** $HOME'; printf 'no line end'; echo warning >&2\nexec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"\n",
    );
    let loud = bed.second(&format!("ForceCommand {}", talker.display()));
    bed.configure(&format!("Port {}", loud.port));
    let shell = bed.shell().await;
    let output = run_read(&shell, &["sh", "-c", "printf out; printf err >&2; exit 4"]).await.expect("it ran");
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (b"out".as_slice(), b"err".as_slice()));
    assert_eq!(output.status, ExitStatus::Code(4));
    std::fs::create_dir(bed.at("scratch")).expect("made");
    conformance::shell(&shell, &bed.at("scratch")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_runs_no_commands_says_so_in_its_own_words() {
    let bed = Bed::new("");
    let closed = bed.script("closed", "#!/bin/sh\necho 'This account is currently not available.'\nexit 1\n");
    let server = bed.second(&format!("ForceCommand {}", closed.display()));
    bed.configure(&format!("Port {}", server.port));
    let failure = bed.refusal().await;
    assert_eq!(failure.kind, Kind::Rejected, "{failure:?}");
    assert_eq!(failure.output, ["This account is currently not available."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_of_output_need_little_memory_and_keep_their_end() {
    struct Count(Mutex<(usize, usize)>);
    impl LineSink for Count {
        fn line(&self, _: Stream, line: &str) {
            let mut seen = self.0.lock().unwrap();
            seen.0 += 1;
            seen.1 = seen.1.max(line.len());
        }
    }
    let bed = Bed::new("");
    let shell = bed.shell().await;
    let count = Count(Mutex::new((0, 0)));
    let cancel = CancellationToken::new();
    let call = Call { token: None, lines: &count, cancel: &cancel };
    let script = "yes 0123456789012345678901234567890123456789 | head -c 104857600; echo; echo the end";
    let output = shell.run(&Command::read(["sh", "-c", script]), call).await.expect("it ran");
    assert!(output.succeeded());
    assert!(output.stdout.ends_with(b"\nthe end\n"), "the end is kept");
    assert!(output.stdout.len() <= 1024 * 1024, "and little else: {}", output.stdout.len());
    let seen = count.0.lock().unwrap();
    assert!(seen.0 > 2_500_000, "every line was handed on: {}", seen.0);
    assert_eq!(seen.1, 40, "and whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_look_like_shell_reach_the_target_as_names() {
    let bed = Bed::new("");
    let shell = bed.shell().await;
    std::fs::create_dir(bed.at("odd")).expect("made");
    let names = ["it's", "a \"b\"", "$(touch pwned)", "`touch pwned`", "line\nbreak\n", "-rf", "--", "!x", "é\\n", "*"];
    for name in names {
        let mut command = Command::write(["sh", "-c", "printf %s \"$1\" >\"./$1\"", "sh", name]);
        command.directory = Some(bed.at("odd"));
        let cancel = CancellationToken::new();
        let call = Call { token: Some(FencingToken(1)), lines: &NoLines, cancel: &cancel };
        assert!(shell.run(&command, call).await.expect("it ran").succeeded(), "{name:?}");
        assert_eq!(std::fs::read_to_string(bed.at("odd").join(name)).expect("it is there"), name);
        std::fs::create_dir(bed.at("odd").join(format!("{name}.d"))).expect("made");
        command = Command::read(["pwd"]).directory(bed.at("odd").join(format!("{name}.d")));
        let output = shell.run(&command, call).await.expect("it ran");
        assert!(output.stdout.ends_with(format!("/{name}.d\n").as_bytes()), "{name:?}");
    }
    assert_eq!(std::fs::read_dir(bed.at("odd")).expect("there").count(), 2 * names.len(), "and nothing else was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_argument_of_any_process_holds_a_script_or_a_secret() {
    let bed = Bed::new("");
    let shell = bed.shell().await;
    let (script, secret) = ("canary-in-the-script", "canary-in-the-secret");
    let text = format!(
        ": {script}; cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep canary; test \"$KEY\" = canary-in''-the-secret"
    );
    for effect in [Effect::Read, Effect::Write] {
        let command = Command::script(effect, text.clone()).secret("KEY", Secret::new(secret));
        let cancel = CancellationToken::new();
        let call = Call { token: Some(FencingToken(1)), lines: &NoLines, cancel: &cancel };
        let output = shell.run(&command, call).await.expect("it ran");
        assert!(output.succeeded(), "the command has its secret");
        // `grep` itself is started by the script and names what it looks for.
        assert!(!output.text().contains(script) && !output.text().contains(secret), "{}", output.text());
    }
}

async fn require_true_ends(bed: &Bed) {
    let shell = bed.shell().await;
    for code in [1, 129, 137, 143, 200, 255] {
        let output = run_script(&shell, &format!("exit {code}")).await.expect("it ran");
        assert_eq!(output.status, ExitStatus::Code(code));
    }
    for (name, number) in [("KILL", 9), ("TERM", 15), ("HUP", 1), ("INT", 2), ("PIPE", 13), ("SEGV", 11)] {
        let output = run_script(&shell, &format!("kill -s {name} $$")).await.expect("it ran");
        assert_eq!(output.status, ExitStatus::Signal(number), "{name}");
        let command = Command::script(Effect::Read, format!("kill -s {name} $$"));
        let cancel = CancellationToken::new();
        let call = Call { token: None, lines: &NoLines, cancel: &cancel };
        assert_eq!(shell.run(&command, call).await.expect("it ran").status, ExitStatus::Signal(number), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_code_that_looks_like_a_signal_is_told_as_a_code() {
    require_true_ends(&Bed::new("")).await;
}

/// What `sh` is differs from system to system: Debian's is `dash`, elsewhere it is `bash` or that of BusyBox.
async fn require_does_as_well(sh: &str) {
    let bed = Bed::new("");
    let other = bed.script(
        "other",
        &format!("#!/bin/sh\nline=${{SSH_ORIGINAL_COMMAND#exec /bin/sh }}\neval \"exec {sh} $line\"\n"),
    );
    let server = bed.second(&format!("ForceCommand {}", other.display()));
    bed.configure(&format!("Port {}", server.port));
    std::fs::create_dir(bed.at("scratch")).expect("made");
    conformance::shell(&bed.shell().await, &bed.at("scratch")).await;
    require_true_ends(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_posix_shell_does_as_well() {
    require_does_as_well("bash --posix").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_of_busybox_does_as_well() {
    require_does_as_well("busybox sh").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_the_locale_of_its_login_or_its_own() {
    let bed = Bed::new("");
    let told = async |variable: Option<&str>| {
        let shell = bed.shell().await;
        let mut command = Command::read(["sh", "-c", "printf %s \"${LC_ALL-none}\""]);
        if let Some(value) = variable {
            command = command.variable("LC_ALL", value);
        }
        let cancel = CancellationToken::new();
        let call = Call { token: None, lines: &NoLines, cancel: &cancel };
        shell.run(&command, call).await.expect("it ran").text()
    };
    assert_eq!(told(None).await, "none");
    let server = bed.second("SetEnv LC_ALL=C.UTF-8");
    bed.configure(&format!("Port {}", server.port));
    assert_eq!(told(None).await, "C.UTF-8");
    assert_eq!(told(Some("POSIX")).await, "POSIX");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_leaves_running_does_not_hold_its_end_up() {
    let bed = Bed::new("");
    let shell = bed.shell().await;
    let started = Instant::now();
    let output = run_script(&shell, "sleep 30 & echo $!").await.expect("it ran");
    assert!(started.elapsed() < Duration::from_secs(10));
    let left = output.text();
    assert!(run_read(&shell, &["kill", "-0", &left]).await.expect("it ran").succeeded(), "and it is left alone");
    run_script(&shell, &format!("kill {left}")).await.expect("it ran");
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_works_where_nothing_can_be_written_and_changing_is_refused_in_words() {
    let bed = Bed::new("");
    bed.write("a-file", "");
    let shell = pleach_remote::ssh::SshShell::new(bed.link().await, bed.at("a-file/below"));
    assert!(run_read(&shell, &["true"]).await.expect("it ran").succeeded());
    let failure = run_script(&shell, "true").await.expect_err("nothing can be registered");
    assert_eq!(failure.kind, Kind::Rejected);
    assert!(failure.what.contains("could not be made"), "{failure:?}");
    let failure = run_read(&shell, &["no-such-program"]).await.expect_err("it is not there");
    assert!(failure.what.contains("`no-such-program`") && failure.next.is_some(), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_first_decides_that_a_command_never_starts() {
    let bed = Bed::new("");
    let shell = bed.shell().await;
    let id = CommandId::new();
    assert_eq!(shell.fate(&id).await.expect("told"), Fate::NeverStarted);
    let cancel = CancellationToken::new();
    let call = Call { token: Some(FencingToken(1)), lines: &NoLines, cancel: &cancel };
    let mark = bed.at("mark").display().to_string();
    let failure = shell.run_as(&id, &Command::write(["touch", &mark]), call).await.expect_err("too late");
    assert!(failure.to_string().contains("withdrawn"), "{failure:?}");
    assert!(!bed.at("mark").exists());
    assert_eq!(shell.fate(&id).await.expect("told"), Fate::NeverStarted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_tells_how_its_command_ended_until_the_end_was_seen_by_a_later_one() {
    let bed = Bed::new("");
    let shell = bed.shell().await;
    let cancel = CancellationToken::new();
    let call = Call { token: Some(FencingToken(1)), lines: &NoLines, cancel: &cancel };
    for (text, status) in [("exit 3", ExitStatus::Code(3)), ("kill -KILL $$", ExitStatus::Signal(9))] {
        let id = CommandId::new();
        let output = shell.run_as(&id, &Command::script(Effect::Write, text), call).await.expect("it ran");
        assert_eq!(output.status, status);
        assert_eq!(shell.fate(&id).await.expect("told"), Fate::Ended(status));
    }
    run_script(&shell, "true").await.expect("it ran");
    run_script(&shell, "true").await.expect("it ran");
    let left = std::fs::read_dir(bed.at("root/.pleach/command")).expect("there").count();
    assert!(left <= 4, "registrations are cleared away: {left}");
}
