//! What every shell must do. The target has a POSIX `sh`, `printf`, `cat`, `kill` and `sleep`.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::Failure;
use crate::port::{
    Call, Command, CommandOutput, Effect, ExitStatus, FencingToken, LineSink, NoLines, Secret, Shell, Stream,
};

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs the suite. `scratch` is an existing empty directory on the shell's target.
pub async fn shell(shell: &dyn Shell, scratch: &Path) {
    let case = Case { shell, scratch: scratch.display().to_string() };
    case.outcomes_are_told().await;
    case.arguments_reach_the_program_untouched().await;
    case.input_environment_and_directory_arrive().await;
    case.lines_come_one_by_one().await;
    case.a_dropped_run_leaves_nothing_running().await;
    case.a_cancelled_run_ends_early().await;
}

#[derive(Default)]
struct Lines(Mutex<Vec<(Stream, String)>>);

impl LineSink for Lines {
    fn line(&self, stream: Stream, line: &str) {
        self.0.lock().unwrap().push((stream, line.to_owned()));
    }
}

struct Case<'a> {
    shell: &'a dyn Shell,
    scratch: String,
}

impl Case<'_> {
    async fn try_run(&self, command: &Command) -> Result<CommandOutput, Failure> {
        let cancel = CancellationToken::new();
        let call = Call { token: Some(FencingToken(1)), lines: &NoLines, cancel: &cancel };
        timeout(LIMIT, self.shell.run(command, call)).await.unwrap_or_else(|_| panic!("{:?} did not end", command.argv))
    }

    async fn run(&self, command: &Command) -> CommandOutput {
        let output = self.try_run(command).await;
        output.unwrap_or_else(|failure| panic!("{:?} could not be run: {failure:?}", command.argv))
    }

    async fn script(&self, text: &str) -> CommandOutput {
        self.run(&Command::script(Effect::Write, text)).await
    }

    async fn outcomes_are_told(&self) {
        let output = self.script("printf out; printf err >&2; exit 7").await;
        assert_eq!(output.status, ExitStatus::Code(7), "a command that ran and failed is not an error");
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (b"out".as_slice(), b"err".as_slice()));
        let output = self.script("kill -KILL $$").await;
        assert_eq!(output.status, ExitStatus::Signal(9), "a signal is told as one");
        let output = self.run(&Command::read(["printf", "\\377\\000x"])).await;
        assert_eq!(output.stdout, b"\xff\x00x", "bytes that are not UTF-8 arrive as they are");
        let ran = self.try_run(&Command::read(["no-such-program-of-pleach"])).await;
        assert!(!ran.is_ok_and(|output| output.succeeded()), "a program that is not there does not succeed");
    }

    async fn arguments_reach_the_program_untouched(&self) {
        for argument in ["two words", "$HOME", "`id`", "a'b\"c", "*", "", "; exit 9", "-n", "line\nbreak", "ä€", "\\"]
        {
            let output = self.run(&Command::read(["printf", "%s|", argument])).await;
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{argument}|"), "no shell reads arguments");
        }
    }

    async fn input_environment_and_directory_arrive(&self) {
        let mut command = Command::read(["cat"]);
        command.stdin = Some(vec![b'x'; 300_000].into());
        assert_eq!(self.run(&command).await.stdout.len(), 300_000, "standard input arrives whole");
        let output = self.run(&Command::read(["cat"])).await;
        assert!(output.succeeded() && output.stdout.is_empty(), "without input there is an end of file at once");
        let command = Command::script(Effect::Read, "printf '%s|%s|' \"$ONE\" \"${TWO#hidden;}\"; [ \"$TWO\" = 'hidden; value' ] && echo equal; echo \"$TWO\" | tee /dev/stderr")
            .variable("ONE", "1 '2\" $3")
            .secret("TWO", Secret::new("hidden; value"))
            .directory(&self.scratch);
        let lines = Lines::default();
        let cancel = CancellationToken::new();
        let call = Call { token: None, lines: &lines, cancel: &cancel };
        let output = self.shell.run(&command, call).await.unwrap();
        let told = output.text();
        assert!(told.starts_with("1 '2\" $3| value|equal\n"), "variables arrive untouched: {told}");
        let seen = format!("{told} {:?} {}", lines.0.into_inner().unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(!seen.contains("hidden; value"), "a secret that is printed is handed on to nobody: {seen}");
        let here = self.run(&Command::script(Effect::Read, "pwd -P").directory(&self.scratch)).await.text();
        let there = self.script(&format!("cd '{}' && pwd -P", self.scratch)).await.text();
        assert_eq!(here, there, "a command runs in its directory");
    }

    async fn lines_come_one_by_one(&self) {
        let lines = Lines::default();
        let cancel = CancellationToken::new();
        let call = Call { token: Some(FencingToken(1)), lines: &lines, cancel: &cancel };
        let script = "echo one; echo two >&2; echo three; printf 'no end'";
        let output = self.shell.run(&Command::script(Effect::Read, script), call).await;
        assert!(output.is_ok_and(|output| output.succeeded()));
        let lines = lines.0.into_inner().unwrap();
        let of = |wanted| lines.iter().filter(|(stream, _)| *stream == wanted).map(|(_, line)| line.as_str()).collect();
        let (stdout, stderr): (Vec<&str>, Vec<&str>) = (of(Stream::Stdout), of(Stream::Stderr));
        assert_eq!(stdout, ["one", "three", "no end"], "lines come in order, the last one also without its end");
        assert_eq!(stderr, ["two"]);
    }

    /// A parent that waits for a child, and says who they are.
    fn family(&self, name: &str) -> Command {
        let file = format!("{}/{name}", self.scratch);
        let text = format!("sleep 300 & echo $! $$ > '{file}.new' && mv '{file}.new' '{file}'; wait");
        Command::script(Effect::Write, text)
    }

    /// Waits until both of a family run; gives their process ids.
    async fn family_ids(&self, name: &str) -> String {
        for _ in 0..400 {
            let output = self.script(&format!("cat '{}/{name}' 2>/dev/null", self.scratch)).await;
            if output.succeeded() {
                return output.text();
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("the command did not begin")
    }

    async fn require_gone(&self, ids: &str, when: &str) {
        for _ in 0..500 {
            let output =
                self.script(&format!("for id in {ids}; do kill -0 $id 2>/dev/null && exit 1; done; exit 0")).await;
            if output.succeeded() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("{when}, one of the processes {ids} still runs")
    }

    async fn a_dropped_run_leaves_nothing_running(&self) {
        let command = self.family("dropped");
        let run = self.try_run(&command);
        let ids = tokio::select! {
            _ = run => panic!("it ended by itself"),
            ids = self.family_ids("dropped") => ids,
        };
        self.require_gone(&ids, "after the future was dropped").await;
    }

    async fn a_cancelled_run_ends_early(&self) {
        let command = self.family("cancelled");
        let cancel = CancellationToken::new();
        let call = Call { token: Some(FencingToken(1)), lines: &NoLines, cancel: &cancel };
        let run = async { timeout(LIMIT, self.shell.run(&command, call)).await };
        let stop = async {
            let ids = self.family_ids("cancelled").await;
            cancel.cancel();
            ids
        };
        let (ended, ids) = tokio::join!(run, stop);
        let Ok(ended) = ended else { panic!("a cancelled command does not end") };
        assert!(!ended.is_ok_and(|output| output.succeeded()), "a cancelled command did not succeed");
        self.require_gone(&ids, "after the command was cancelled").await;
    }
}
