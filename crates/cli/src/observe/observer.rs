//! The thread that follows a run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pleach_core::engine::State;
use pleach_core::event::{Event, Events};
use pleach_core::journal::{Entry, Outcome, Record};

use super::log::Logs;
use super::status_file;
use crate::progress::{Face, UsualTimes};

/// The longest time between two looks at the clock.
const TICK: Duration = Duration::from_millis(100);
/// The shortest time between two writes of `status.json` while the run works.
const STATUS_PACE: Duration = Duration::from_millis(200);

enum Note {
    Event(Box<Event>),
    Say(String),
    Finish,
}

/// What an observer needs to know.
pub(crate) struct ObserverOptions {
    pub(crate) face: Face,
    /// Where `status.json` and the usual times lie.
    pub(crate) state_dir: PathBuf,
    /// Where this run's files lie.
    pub(crate) run_dir: PathBuf,
    /// The worktree of each branch that has one.
    pub(crate) worktrees: BTreeMap<String, PathBuf>,
    pub(crate) usual: UsualTimes,
    /// What the run wrote so far, if it goes on.
    pub(crate) earlier: Vec<Record>,
}

/// Follows one run until [`Observer::finish`].
pub(crate) struct Observer {
    notes: Sender<Note>,
    thread: JoinHandle<Option<State>>,
}

/// Hands events on to an observer's thread.
struct Sink(Sender<Note>);

impl Events for Sink {
    fn emit(&self, event: Event) {
        // Nobody listens any more: the run is at its end.
        let _ = self.0.send(Note::Event(Box::new(event)));
    }
}

/// Says lines that stand among the progress.
#[derive(Clone)]
pub(crate) struct Speaker(Sender<Note>);

impl Speaker {
    /// One line on standard error.
    pub(crate) fn say(&self, line: impl Into<String>) {
        let _ = self.0.send(Note::Say(line.into()));
    }
}

impl Observer {
    /// Starts to follow.
    pub(crate) fn start(options: ObserverOptions) -> Self {
        let (notes, received) = channel();
        let thread = std::thread::spawn(move || Following::new(options).until_the_end(&received));
        Self { notes, thread }
    }

    /// Where the engine's events go.
    pub(crate) fn events(&self) -> Arc<dyn Events> {
        Arc::new(Sink(self.notes.clone()))
    }

    /// A voice among the progress.
    pub(crate) fn speaker(&self) -> Speaker {
        Speaker(self.notes.clone())
    }

    /// Writes what is left and gives back what the run came to; nothing if it never began.
    pub(crate) fn finish(self) -> Option<State> {
        let _ = self.notes.send(Note::Finish);
        self.thread.join().ok().flatten()
    }
}

struct Following {
    face: Face,
    state: Option<State>,
    logs: Logs,
    state_dir: PathBuf,
    worktrees: BTreeMap<String, PathBuf>,
    usual: UsualTimes,
    /// Set while `status.json` is behind.
    behind: bool,
    written: Option<Instant>,
    complained: bool,
}

impl Following {
    fn new(options: ObserverOptions) -> Self {
        Self {
            face: options.face,
            state: State::replay(&options.earlier).ok(),
            logs: Logs::new(options.run_dir),
            state_dir: options.state_dir,
            worktrees: options.worktrees,
            usual: options.usual,
            behind: false,
            written: None,
            complained: false,
        }
    }

    fn until_the_end(mut self, notes: &Receiver<Note>) -> Option<State> {
        loop {
            match notes.recv_timeout(TICK) {
                Ok(Note::Event(event)) => self.event(&event),
                Ok(Note::Say(line)) => self.face.say(&line),
                Ok(Note::Finish) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.behind && self.written.is_none_or(|written| written.elapsed() >= STATUS_PACE) {
                self.write_status();
            }
            self.face.tick(self.state.as_ref(), Timestamp::now());
        }
        self.face.finish();
        if self.behind {
            self.write_status();
        }
        if let Some(state) = self.state.as_ref().filter(|state| state.outcome() == Some(Outcome::Succeeded)) {
            self.usual.learn(&self.state_dir, state);
        }
        self.state
    }

    fn event(&mut self, event: &Event) {
        if let Event::Entry { record, .. } = event {
            match (&mut self.state, &record.entry) {
                (None, Entry::RunStarted { .. }) => self.state = State::replay(std::slice::from_ref(record)).ok(),
                // The engine took it into its own state by the same function before it wrote it.
                (Some(state), _) => drop(state.apply(record)),
                (None, _) => {}
            }
            self.behind = true;
        }
        let Some(state) = &self.state else { return };
        let logged = self.logs.event(event, state, Timestamp::now());
        self.face.event(event, state);
        self.complain("logs of this run", logged);
    }

    fn write_status(&mut self) {
        let Some(state) = &self.state else { return };
        let written = status_file::write(&self.state_dir, state, &self.worktrees);
        self.behind = false;
        self.written = Some(Instant::now());
        self.complain("`status.json`", written);
    }

    fn complain(&mut self, what: &str, result: std::io::Result<()>) {
        if let Err(error) = result.map_err(|error| error.to_string())
            && !std::mem::replace(&mut self.complained, true)
        {
            self.face
                .say(&format!("warning: could not write the {what} ({error}); the run goes on, its journal has all"));
        }
    }
}
