//! `script-NAME`: a script of the project, and the script that takes it back.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pleach_core::config::CommandLine;
use pleach_core::error::{Failure, Kind, OUTPUT_LINES};
use pleach_core::phase::{Applied, Change, Evidence, Inspection, StepContext};
use pleach_core::port::{Call, Command, Effect, LineSink, Permissions, Secrets, Stream};
use serde_json::Value;
use tokio::time::sleep;

use crate::directory::compose::OneOff;
use crate::directory::instance::told_status;
use crate::directory::parameter::word;
use crate::directory::release::ReleaseRecord;
use crate::directory::script::{Part, ScriptNote, ScriptParameters, ScriptProcess, ScriptText, noted};
use crate::directory::site::{Site, fetched, is_alive, read_json};

/// The most that is kept of what a script printed: its end.
const LOG_BYTES: usize = 1024 * 1024;

/// The longest pause between two looks at a script that is still at work.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long what was given up may take to be gone before it is ended here.
const GIVEN_UP: Duration = Duration::from_secs(2);

/// One script on its target.
struct Scene<'a> {
    cx: &'a StepContext<'a>,
    site: Site<'a>,
    parameters: &'a ScriptParameters,
}

/// How a script came to its end.
struct Run {
    seen: String,
    /// Why its log is not there.
    warning: Option<String>,
}

pub(super) async fn inspect(cx: &StepContext<'_>) -> Result<Inspection, Failure> {
    let parameters: ScriptParameters = cx.require_parameters()?;
    let scene = Scene::new(cx, &parameters)?;
    let note = scene.wait(parameters.script.limit.0).await?;
    let file = parameters.script.apply.file.display();
    Ok(if note.is_some_and(|note| has_ended(&note, Part::Apply)) {
        let evidence = Evidence::seen(format!("this run's `{file}` exited with 0"));
        Inspection::Settled { evidence, output: Value::Null }
    } else {
        Inspection::Pending { changes: vec![format!("run `{file}`")] }
    })
}

pub(super) async fn apply(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Applied, Failure> {
    let parameters: ScriptParameters = cx.require_parameters()?;
    let scene = Scene::new(cx, &parameters)?;
    let text = &parameters.script.apply;
    let note = scene.wait(parameters.script.limit.0).await?;
    if note.as_ref().is_some_and(|note| has_ended(note, Part::Apply)) {
        return Ok(Applied::changed(format!("this run's `{}` exited with 0", text.file.display())));
    }
    scene.end(note).await?;
    let run = scene.run(Part::Apply, text, secrets).await?;
    let applied = Applied::changed(run.seen);
    Ok(match run.warning {
        Some(warning) => Applied { change: Change::Warned(warning), ..applied },
        None => applied,
    })
}

/// Runs the `undo` script if this run's script was begun, unless it has been taken back already.
pub(super) async fn undo(cx: &StepContext<'_>, secrets: &dyn Secrets) -> Result<Evidence, Failure> {
    let parameters: ScriptParameters = cx.require_parameters()?;
    let scene = Scene::new(cx, &parameters)?;
    let file = parameters.script.apply.file.display();
    let Some(note) = scene.wait(GIVEN_UP).await? else {
        return Ok(Evidence::seen(format!("`{file}` was not begun")));
    };
    let Some(text) = &parameters.script.undo else {
        return Ok(Evidence::seen(format!("nothing takes `{file}` back")));
    };
    if has_ended(&note, Part::Undo) {
        return Ok(Evidence::seen(format!("this run's `{}` exited with 0", text.file.display())));
    }
    scene.end(Some(note)).await?;
    Ok(Evidence::seen(scene.run(Part::Undo, text, secrets).await?.seen))
}

fn has_ended(note: &ScriptNote, part: Part) -> bool {
    note.part == part && note.ended == Some(0)
}

impl<'a> Scene<'a> {
    fn new(cx: &'a StepContext<'a>, parameters: &'a ScriptParameters) -> Result<Self, Failure> {
        Ok(Self { cx, site: Site::of_step(cx, &parameters.place)?, parameters })
    }

    fn note_path(&self) -> PathBuf {
        self.site.layout().script_note(&self.parameters.release, &self.parameters.script.script)
    }

    /// What this run has noted; `None` if it has begun nothing.
    async fn note(&self) -> Result<Option<ScriptNote>, Failure> {
        let note: Option<ScriptNote> = read_json(self.site.files, &self.note_path()).await?;
        Ok(note.filter(|note| note.run == *self.site.run))
    }

    /// What was noted once nothing is at work any more, or after so long.
    async fn wait(&self, longest: Duration) -> Result<Option<ScriptNote>, Failure> {
        let (begun, mut pause) = (Instant::now(), Duration::from_millis(20));
        loop {
            let note = self.note().await?;
            if self.working(note.as_ref()).await?.is_none() || begun.elapsed() >= longest {
                return Ok(note);
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = self.cx.cancel.cancelled() => {
                    let script = &self.parameters.script.script;
                    return Err(Failure::new(Kind::Cancelled, format!("stopped waiting for script `{script}`"))
                        .because("it is still at work there, and the run was asked to stop")
                        .next("go on with `pleach resume`"));
                }
            }
        }
    }

    /// What is at work, as a note says and the target confirms.
    async fn working<'n>(&self, note: Option<&'n ScriptNote>) -> Result<Option<&'n ScriptProcess>, Failure> {
        let Some(process) = note.filter(|note| note.ended.is_none()).and_then(|note| note.process.as_ref()) else {
            return Ok(None);
        };
        Ok(is_alive(self.site.files, &process.identity).await?.then_some(process))
    }

    /// Ends what is still at work.
    async fn end(&self, note: Option<ScriptNote>) -> Result<(), Failure> {
        let Some(process) = self.working(note.as_ref()).await? else { return Ok(()) };
        let command = Command::script(Effect::Write, process.ending());
        self.site.run_command(&command, "end what is left of a script").await?;
        Ok(())
    }

    async fn run(&self, part: Part, text: &ScriptText, secrets: &dyn Secrets) -> Result<Run, Failure> {
        let ScriptParameters { release, script, .. } = self.parameters;
        let command = self.command(part, text, secrets).await?;
        // Durable before it is begun: what may have been begun is taken back.
        let note = ScriptNote { run: self.site.run.clone(), part, process: None, ended: None };
        self.site.write_json(&self.note_path(), &note).await?;
        let said = Said { lines: self.cx.lines, kept: Mutex::default() };
        let (begun, limit) = (Instant::now(), script.limit);
        let stop = self.cx.cancel.child_token();
        let call = Call { lines: &said, cancel: &stop, ..self.site.call };
        let mut running = pin!(self.site.require_shell()?.run(&command, call));
        let (result, is_late) = tokio::select! {
            result = &mut running => (result, false),
            () = sleep(limit.0) => {
                // It ends the whole group, and is waited for.
                stop.cancel();
                (running.await, true)
            }
        };
        let (output, stopped) = match result {
            Ok(output) => (Some(output), None),
            Err(failure) if failure.kind == Kind::Cancelled => (None, Some(failure)),
            Err(failure) => return Err(failure),
        };
        let ended = output.as_ref().map_or("was ended".to_owned(), |output| told_status(output.status));
        let layout = self.site.layout();
        let log = match part {
            Part::Apply => layout.script_log(release, &script.script),
            Part::Undo => layout.undo_log(release, &script.script),
        };
        let left = if is_late { self.remove_container(secrets).await.err() } else { None };
        let kept = self.keep(&log, &said, &format!("`{}` {ended}", text.file.display())).await;
        if let Some(stopped) = stopped.filter(|_| !is_late) {
            return Err(stopped);
        }
        let file = text.file.display();
        if let Some(output) = output.filter(|output| output.succeeded()) {
            self.require_noted(&note).await?;
            let took = format!("{:.1} s", begun.elapsed().as_secs_f64());
            let seen = format!("`{file}` {} after {took}", told_status(output.status));
            return Ok(match kept {
                Ok(()) => Run { seen: format!("{seen}, its log is `{}`", log.display()), warning: None },
                Err(failure) => Run { seen, warning: Some(format!("its log was not kept: {}", failure.what)) },
            });
        }
        let (name, service) = (&script.script, &self.site.place.service);
        let doing = match part {
            Part::Apply => format!("could not run script `{name}` of service `{service}`"),
            Part::Undo => format!("could not take back script `{name}` of service `{service}`"),
        };
        let failure = Failure::new(Kind::Rejected, doing).output(said.last(OUTPUT_LINES));
        let failure = match is_late {
            true => failure.because(format!("`{file}` was not done within its limit of {limit}, and was ended")),
            false => failure.because(format!("`{file}` {ended}")),
        };
        let failure = left.iter().flat_map(Failure::causes).fold(failure, Failure::because);
        let look = self.site.place.typed(format!("tail -n 50 {}", word(&log)));
        Err(failure.next(format!("read its log: `{look}`")))
    }

    async fn command(&self, part: Part, text: &ScriptText, secrets: &dyn Secrets) -> Result<Command, Failure> {
        let ScriptParameters { release, script, .. } = self.parameters;
        let record = self.site.require_record(release).await?;
        let one_off = self.one_off(&record);
        let variables = ["PLEACH_RUN"].into_iter().chain(script.variables.keys().map(String::as_str));
        let argv = match &one_off {
            Some(one_off) => one_off.command(variables, &text.argv),
            None => text.argv.clone(),
        };
        let command = self.site.service_command(&CommandLine::Words(argv), &record, secrets).await?;
        let mut command = command.variable("PLEACH_RUN", self.site.run.as_str());
        command.environment.extend(fetched(&script.variables, secrets).await?);
        command.stdin = Some(text.text.clone().into_bytes().into());
        let user = script.sudo.as_ref().or(record.spec.sudo.as_ref().filter(|_| one_off.is_some()));
        let mut command = self.site.as_user(command, user, secrets).await?;
        command.argv = noted(command.argv, &self.note_path(), self.site.run, part);
        Ok(command)
    }

    /// What a container was asked to do goes on where its client was killed.
    async fn remove_container(&self, secrets: &dyn Secrets) -> Result<(), Failure> {
        let record = self.site.require_record(&self.parameters.release).await?;
        let Some(one_off) = self.one_off(&record) else { return Ok(()) };
        let command = Command::script(Effect::Write, format!("{} || :", one_off.removal()));
        let command = self.site.as_user(command, record.spec.sudo.as_ref(), secrets).await?;
        self.site.run_command(&command, "remove the container of a script").await?;
        Ok(())
    }

    /// The container that it runs in.
    fn one_off<'r>(&'r self, record: &'r ReleaseRecord) -> Option<OneOff<'r>> {
        let service = self.parameters.script.container.as_deref()?;
        Some(OneOff {
            socket: self.site.place.docker_socket.as_deref(),
            compose: record.spec.compose.as_ref()?,
            service,
            release: &self.parameters.release,
            script: &self.parameters.script.script,
        })
    }

    /// The runner has noted its end, or it is noted now: on a full disk it cannot.
    async fn require_noted(&self, begun: &ScriptNote) -> Result<(), Failure> {
        let noted = self.note().await?;
        if noted.is_some_and(|noted| has_ended(&noted, begun.part)) {
            return Ok(());
        }
        self.site.write_json(&self.note_path(), &ScriptNote { ended: Some(0), ..begun.clone() }).await
    }

    /// Writes down what it printed, as people were shown it.
    async fn keep(&self, log: &Path, said: &Said<'_>, end: &str) -> Result<(), Failure> {
        let mut text = said.last(usize::MAX).join("\n");
        text.push_str(if text.is_empty() { "" } else { "\n" });
        text.push_str(&format!("-- {end} (run {})\n", self.site.run));
        self.site.files.write(log, text.as_bytes(), Permissions::Private, self.site.token()).await
    }
}

/// Hands lines on and keeps the last ones. They come without secrets.
struct Said<'a> {
    lines: &'a dyn LineSink,
    kept: Mutex<(VecDeque<String>, usize)>,
}

impl Said<'_> {
    fn last(&self, count: usize) -> Vec<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.0.iter().skip(kept.0.len().saturating_sub(count)).cloned().collect()
    }
}

impl LineSink for Said<'_> {
    fn line(&self, stream: Stream, line: &str) {
        self.lines.line(stream, line);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.1 += line.len() + 1;
        kept.0.push_back(line.to_owned());
        while kept.1 > LOG_BYTES {
            let Some(first) = kept.0.pop_front() else { break };
            kept.1 -= first.len() + 1;
        }
    }
}
