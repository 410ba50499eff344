//! The runbook of the demo.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pleach_core::error::{Failure, Kind};

use super::client::{Client, Tally};
use super::leftover;
use super::project::{Project, unwritable};
use super::sample::{BROKEN, IMPROVED, SERVICES, Sample};
use super::walk::{Walk, interrupted};
use crate::command::worktree::{Again, Signals};
use crate::print::{Paint, Style, answer, duration_text};

/// How fast the demo talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// With a moment to read on a terminal.
    Reading,
    /// As fast as it goes.
    Fast,
}

/// What becomes of the services at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// They are stopped.
    Stop,
    /// They keep running, to be played with.
    Keep,
}

/// The demo, ready to start.
pub(crate) struct Tour {
    walk: Walk,
    place: PathBuf,
    choice: Choice,
}

impl Tour {
    /// Looks that all is there that the demo needs, and makes its directory.
    pub(crate) fn prepare(dir: Option<&Path>, pace: Pace, choice: Choice, paint: Paint) -> Result<Self, Failure> {
        require_tools()?;
        let place = empty_directory(dir)?;
        let reading = pace == Pace::Reading && std::io::stdout().is_terminal();
        let pause = if reading { Duration::from_millis(1200) } else { Duration::ZERO };
        let signals = Signals::watch(Again::Counts)?;
        Ok(Self { walk: Walk::new(paint, signals, pause)?, place, choice })
    }

    /// Runs it; whatever happens, nothing that it started is left running afterwards.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let start = Instant::now();
        answer(&format!("The demo lives in {}\n", self.place.display()));
        let project = Project::make(&self.place)?;
        let result = self.show(&project);
        if result.is_ok() && self.choice == Choice::Keep {
            self.farewell(&project, start.elapsed());
            return Ok(());
        }
        let ended = self.end(&project, result.is_ok());
        match (result, ended) {
            (Ok(()), Ok(())) => {
                self.farewell(&project, start.elapsed());
                Ok(())
            }
            (Err(failure), Ok(())) => {
                Err(failure.state(format!("nothing is left running; its files are in {}", self.place.display())))
            }
            (Err(failure), Err(ended)) => Err(failure.state(ended.to_string())),
            (Ok(()), Err(ended)) => Err(ended),
        }
    }

    fn show(&self, project: &Project) -> Result<(), Failure> {
        let walk = &self.walk;
        let here = project.repository.as_path();
        self.introduce(project)?;

        walk.part("Five worktrees, one a service", &["Made side by side; the branches are checked out nowhere else."]);
        walk.pleach(here, &["worktree", "add", "--all"], 0)?;

        walk.part("Deploy them to this machine", &["A plan first: it names every step and touches nothing."]);
        walk.pleach(here, &["plan", "local"], 0)?;
        walk.pleach(here, &["deploy", "local", "--yes"], 0)?;
        walk.pleach(here, &["verify", "local"], 0)?;
        walk.pleach(here, &["status"], 0)?;

        self.break_one(project)?;
        self.merge(project)
    }

    fn introduce(&self, project: &Project) -> Result<(), Failure> {
        let walk = &self.walk;
        walk.part(
            "A sample project",
            &["One repository, an origin to push to, and a branch for each of five services:"],
        );
        let mut text = String::new();
        for (sample, port) in SERVICES.iter().zip(&project.ports) {
            let Sample { name, description, .. } = sample;
            text.push_str(&format!("  skill/{name:<14} {description:<26} http://127.0.0.1:{port}\n"));
        }
        answer(&text);
        walk.show(&format!("cd {}", project.repository.display()));
        walk.show("git switch --quiet skill/pr-review && sh services/pr-review/build.sh");
        project.git(&["switch", "--quiet", &SERVICES[0].branch()])?;
        let directory = project.repository.join(SERVICES[0].directory());
        let built = build(&directory);
        // On main nothing ignores it.
        let _ = std::fs::remove_file(directory.join("service"));
        project.git(&["switch", "--quiet", "main"])?;
        answer(&built?);
        if walk.interrupted() { Err(interrupted()) } else { Ok(()) }
    }

    /// Two new versions, one of them broken: the good one goes live, the broken one goes back, and nobody notices.
    fn break_one(&self, project: &Project) -> Result<(), Failure> {
        let walk = &self.walk;
        let here = project.repository.as_path();
        walk.part(
            "Two new versions, one of them broken",
            &[
                "pr-review 1.1.0 is good. nl-sql 1.1.0 starts, but its /health answers 500: a key",
                "in its service.json was misspelt. A client asks nl-sql all the while.",
            ],
        );
        for (name, metadata, subject) in [
            (IMPROVED, Sample::metadata as fn(&Sample, &str) -> String, "Release pr-review 1.1.0"),
            (BROKEN, Sample::broken_metadata, "Release nl-sql 1.1.0"),
        ] {
            let sample = SERVICES.iter().find(|sample| sample.name == name).unwrap_or(&SERVICES[0]);
            let commands = project.change(name, "service.json", &metadata(sample, "1.1.0"), subject)?;
            commands.iter().for_each(|line| walk.show(line));
        }
        let client = Client::start(project.port(BROKEN));
        let deployed = walk.pleach(here, &["deploy", "local", "--yes"], 110);
        let tally = client.stop();
        deployed?;
        self.tell_tally(&tally)?;
        walk.pleach(here, &["status"], 0)
    }

    fn tell_tally(&self, tally: &Tally) -> Result<(), Failure> {
        let by_old = tally.versions.get("1.0.0").copied().unwrap_or_default();
        let line = format!(
            "The client asked nl-sql {} times meanwhile: {by_old} answers by 1.0.0, {} failed.",
            tally.asked(),
            tally.failed
        );
        let style = if tally.failed == 0 && by_old == tally.asked() { Style::Good } else { Style::Bad };
        answer(&format!("\n{}\n", self.walk.paint.paint(style, line)));
        if style == Style::Good && by_old > 0 {
            return Ok(());
        }
        let failure = Failure::new(Kind::Internal, "the old version did not keep answering");
        Err(match &tally.first_failure {
            Some(first) => failure.because(first.clone()),
            None => failure.because(format!("answers by version: {:?}", tally.versions)),
        })
    }

    fn merge(&self, project: &Project) -> Result<(), Failure> {
        let walk = &self.walk;
        let here = project.repository.as_path();
        walk.part(
            "Merge what is live and healthy",
            &["Four branches are what runs; nl-sql is ahead of it and is refused (exit 102)."],
        );
        walk.pleach(here, &["merge", "--push"], 102)?;
        let log = ["log", "--first-parent", "--format=%h %s", "-5", "main"];
        walk.show("git log --first-parent --format='%h %s' -5 main");
        answer(&format!("{}\n", project.git(&log)?));
        let merged = |branch: &str| project.git(&["merge-base", "--is-ancestor", branch, "origin/main"]).is_ok();
        for sample in &SERVICES {
            let wanted = sample.name != BROKEN;
            if merged(&sample.branch()) != wanted {
                let what = if wanted { "is not merged" } else { "was merged" };
                return Err(Failure::new(Kind::Internal, format!("`{}` {what}", sample.branch())));
            }
        }
        Ok(())
    }

    /// Stops the services and proves that nothing is left.
    fn end(&self, project: &Project, shown: bool) -> Result<(), Failure> {
        if shown {
            self.walk.part("Stop", &["Releases stay; `pleach deploy local` starts them again."]);
            self.walk.show("pleach stop local --yes");
        }
        let here = project.repository.as_path();
        // A run that an interrupt or a failure left open is taken back first: it may still have something running.
        let voice = if shown && !self.walk.interrupted() { Stdio::inherit } else { Stdio::null };
        let stopped = self.walk.clean_up(here, &["stop", "local", "--yes"], voice) || {
            self.walk.clean_up(here, &["resume"], voice);
            self.walk.clean_up(here, &["stop", "local", "--yes"], voice)
        };
        let forced = leftover::end_all(&self.place);
        let left = leftover::leftovers(&self.place);
        if let Some(one) = left.first() {
            let failure =
                Failure::new(Kind::Internal, format!("{} processes of the demo could not be ended", left.len()));
            return Err(failure.because(one.command.clone()));
        }
        if shown && !(stopped && forced.is_empty()) {
            let failure = Failure::new(Kind::Internal, "the services had to be ended by force");
            return Err(match forced.first() {
                Some(one) => failure.because(one.command.clone()),
                None => failure.because("`pleach stop local --yes` failed"),
            });
        }
        Ok(())
    }

    fn farewell(&self, project: &Project, took: Duration) {
        let running = match self.choice {
            Choice::Stop => "nothing is left running",
            Choice::Keep => "the services keep running until `pleach stop local`",
        };
        self.walk.part(&format!("Done in {}; {running}", duration_text(took)), &["Go on yourself:"]);
        let start = match self.choice {
            Choice::Stop => "start them again; nl-sql goes back once more",
            Choice::Keep => "try nl-sql once more",
        };
        let next = [
            ("pleach deploy local", start),
            ("pleach status --watch", "look at all of it, live"),
            ("pleach logs nl-sql", "what the broken version said"),
            ("pleach rollback local pr-review", "back to 1.0.0"),
            ("pleach stop local", "when you have seen enough"),
        ];
        let mut text = format!("  cd {}\n", project.repository.display());
        for (command, why) in next {
            text.push_str(&format!("  {command:<32} {}\n", self.walk.paint.paint(Style::Dim, format!("# {why}"))));
        }
        text.push_str(&format!("  rm -r {}\n", self.place.display()));
        text.push_str("\nIn your own repository, start with `pleach init`.\n");
        answer(&text);
    }
}

/// What the demo needs on this machine, and how to get it.
fn require_tools() -> Result<(), Failure> {
    for (program, how) in [
        (
            "rustc",
            "install Rust with `curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh`, or on Debian with \
             `sudo apt-get install rustc`",
        ),
        ("git", "install git with `sudo apt-get install git`"),
        ("cc", "install a linker with `sudo apt-get install gcc libc6-dev`"),
    ] {
        let found = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !found {
            return Err(Failure::new(Kind::Rejected, format!("the demo needs `{program}`, which is not there"))
                .state("nothing was made")
                .next(how));
        }
    }
    Ok(())
}

/// The directory that was asked for, if it is empty or not there; else a new one.
fn empty_directory(dir: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(dir) = dir {
        std::fs::create_dir_all(dir).map_err(|error| unwritable(dir, &error))?;
        let mut entries = std::fs::read_dir(dir).map_err(|error| unwritable(dir, &error))?;
        if entries.next().is_some() {
            return Err(Failure::new(Kind::Conflict, format!("`{}` is not empty", dir.display()))
                .state("nothing was made")
                .next("name a new directory: `pleach demo --dir DIR`"));
        }
        return dir.canonicalize().map_err(|error| unwritable(dir, &error));
    }
    let base = std::env::temp_dir();
    let names = (0..100).map(|number| base.join(format!("pleach-demo-{}-{number}", std::process::id())));
    for name in names {
        match std::fs::create_dir(&name) {
            Ok(()) => return name.canonicalize().map_err(|error| unwritable(&name, &error)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unwritable(&name, &error)),
        }
    }
    Err(Failure::new(Kind::Conflict, format!("found no free name in `{}`", base.display()))
        .next("name a directory: `pleach demo --dir DIR`"))
}

/// Builds the sample once, so that the five builds of the deployment take it from the cache.
fn build(directory: &Path) -> Result<String, Failure> {
    let failed = || {
        Failure::new(Kind::Rejected, "could not build the sample service")
            .next("look whether Rust works: `rustc --version`, `echo 'fn main(){}' | rustc -o /tmp/x -`")
    };
    let output = Command::new("sh").arg("build.sh").current_dir(directory).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed().because(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed().output(String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned)))
}
