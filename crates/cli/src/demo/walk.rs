//! One step of the tour: a command is shown, run, and must end as it should.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pleach_core::error::{Failure, Kind};
use rustix::process::{Pid, Signal, kill_process};

use crate::command::worktree::Signals;
use crate::print::{Paint, Style, answer};

/// Where the tour is: how it talks, and how it starts commands.
pub(super) struct Walk {
    pub(super) paint: Paint,
    pub(super) signals: Arc<Signals>,
    /// Between two parts, for people who read along.
    pub(super) pause: Duration,
    program: PathBuf,
}

impl Walk {
    /// Starts commands with this same program.
    pub(super) fn new(paint: Paint, signals: Arc<Signals>, pause: Duration) -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::new(Kind::Internal, "could not find this program").because(error.to_string()))?;
        Ok(Self { paint, signals, pause, program })
    }

    /// Says what comes now.
    pub(super) fn part(&self, title: &str, lines: &[&str]) {
        let rule = "─".repeat(78_usize.saturating_sub(title.chars().count() + 3));
        answer(&format!("\n{}\n", self.paint.paint(Style::Bold, format!("── {title} {rule}"))));
        lines.iter().for_each(|line| answer(&format!("{line}\n")));
        let start = Instant::now();
        while start.elapsed() < self.pause && self.signals.count() == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Shows a command that was run for the user.
    pub(super) fn show(&self, line: &str) {
        answer(&format!("\n{}\n", self.paint.paint(Style::Bold, format!("$ {line}"))));
    }

    /// Shows and runs `pleach` in `directory`; it must end with `code`.
    pub(super) fn pleach(&self, directory: &Path, words: &[&str], code: i32) -> Result<(), Failure> {
        self.show(&format!("pleach {}", words.join(" ")));
        let ended = self.run(directory, words)?;
        if ended == Some(code) {
            return Ok(());
        }
        let how = ended.map_or_else(|| "was ended by a signal".to_owned(), |ended| format!("ended with {ended}"));
        Err(Failure::new(Kind::Internal, format!("`pleach {}` did not end as promised", words.join(" ")))
            .because(format!("it {how}, and should have ended with {code}"))
            .next(format!("look into it: `cd {} && pleach status`", directory.display())))
    }

    /// Runs `pleach`; gives its exit code. A signal that came here is passed on, once each.
    pub(super) fn run(&self, directory: &Path, words: &[&str]) -> Result<Option<i32>, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(Kind::Internal, format!("could not run `pleach {}`", words.join(" ")))
                .because(error.to_string())
        };
        if self.interrupted() {
            return Err(interrupted());
        }
        let _ = std::io::stdout().flush();
        // A group of its own: a Ctrl-C in the terminal reaches it through us alone, and so counts once.
        let mut child = Command::new(&self.program)
            .args(words)
            .current_dir(directory)
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let mut passed_on = self.signals.count();
        loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                return if self.interrupted() { Err(interrupted()) } else { Ok(status.code()) };
            }
            while passed_on < self.signals.count() {
                passed_on += 1;
                send(&child, Signal::INT);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether somebody asked to stop.
    pub(super) fn interrupted(&self) -> bool {
        self.signals.count() > 0
    }

    /// Runs a last `pleach` that cleans up, also after an interrupt.
    pub(super) fn clean_up(&self, directory: &Path, words: &[&str], voice: fn() -> Stdio) -> bool {
        let _ = std::io::stdout().flush();
        let child = Command::new(&self.program)
            .args(words)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(voice())
            .stderr(voice())
            .process_group(0)
            .status();
        child.is_ok_and(|status| status.success())
    }
}

fn send(child: &Child, signal: Signal) {
    // Not waited for yet, so the id is still the child's.
    if let Some(id) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(id, signal);
    }
}

pub(super) fn interrupted() -> Failure {
    Failure::new(Kind::Cancelled, "the demo was interrupted")
}
