//! The thread that follows a run.
//!
//! Whoever works never waits for it: entries are few, and of lines only so many wait to be written. In a flood the rest is
//! left out, and the log says how many lines that were; what a failed command printed last is told with its failure.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
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

/// Bytes of lines that may wait to be written.
const MOST_WAITING: usize = 8 * 1024 * 1024;
/// What a line takes besides its text.
const LINE_BYTES: usize = 256;

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
    waiting: Arc<AtomicUsize>,
    thread: JoinHandle<Option<State>>,
}

/// Hands events on to an observer's thread.
struct Sink {
    notes: Sender<Note>,
    waiting: Arc<AtomicUsize>,
    /// Of each lane or snapshot whose lines are left out, the first of them, and how many they are.
    left_out: Mutex<Vec<(Event, usize)>>,
}

impl Sink {
    fn send(&self, event: Event) {
        self.waiting.fetch_add(bytes(&event), Ordering::Relaxed);
        // Nobody listens any more: the run is at its end.
        let _ = self.notes.send(Note::Event(Box::new(event)));
    }
}

impl Events for Sink {
    fn emit(&self, event: Event) {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = bytes(&event);
        if bytes > 0 && self.waiting.load(Ordering::Relaxed) + bytes > MOST_WAITING {
            match left_out.iter_mut().find(|(first, _)| same_source(first, &event)) {
                Some((_, count)) => *count += 1,
                None => left_out.push((event, 1)),
            }
            return;
        }
        for (mut first, count) in left_out.drain(..) {
            if let Event::Line { line, .. } | Event::SnapshotLine { line, .. } = &mut first {
                *line = format!("({count} lines are left out here: they came faster than they could be written)");
            }
            self.send(first);
        }
        self.send(event);
    }
}

/// What waits to be written with an event; nothing where that is no line.
fn bytes(event: &Event) -> usize {
    match event {
        Event::Line { line, .. } | Event::SnapshotLine { line, .. } => line.len() + LINE_BYTES,
        _ => 0,
    }
}

fn same_source(one: &Event, other: &Event) -> bool {
    match (one, other) {
        (Event::Line { lane: one, .. }, Event::Line { lane: other, .. }) => one == other,
        (Event::SnapshotLine { snapshot: one, .. }, Event::SnapshotLine { snapshot: other, .. }) => one == other,
        _ => false,
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
        let waiting = Arc::new(AtomicUsize::new(0));
        let written = waiting.clone();
        let thread = std::thread::spawn(move || Following::new(options).until_the_end(&received, &written));
        Self { notes, waiting, thread }
    }

    /// Where the engine's events go.
    pub(crate) fn events(&self) -> Arc<dyn Events> {
        Arc::new(Sink { notes: self.notes.clone(), waiting: self.waiting.clone(), left_out: Mutex::default() })
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

    fn until_the_end(mut self, notes: &Receiver<Note>, waiting: &AtomicUsize) -> Option<State> {
        loop {
            match notes.recv_timeout(TICK) {
                Ok(Note::Event(event)) => {
                    self.event(&event);
                    waiting.fetch_sub(bytes(&event), Ordering::Relaxed);
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(lane: &str, text: &str) -> Event {
        let lane = lane.parse().expect("a lane");
        Event::Line { lane, step: "build".parse().expect("a step"), line: text.into() }
    }

    #[test]
    fn of_a_flood_little_waits_and_what_is_left_out_is_counted_where_it_would_stand() {
        let (notes, received) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let sink = Sink { notes, waiting: waiting.clone(), left_out: Mutex::default() };
        let text = "x".repeat(1000);
        for _ in 0..20_000 {
            sink.emit(line("a@vm", &text));
        }
        let told = || received.try_iter().map(|note| if let Note::Event(event) = note { *event } else { panic!() });
        let first: Vec<Event> = told().collect();
        assert!(first.len() * text.len() <= MOST_WAITING && first.len() > 1000, "{}", first.len());
        waiting.store(0, Ordering::Relaxed);
        sink.emit(line("b@vm", "other"));
        let words =
            format!("({} lines are left out here: they came faster than they could be written)", 20_000 - first.len());
        assert_eq!(told().collect::<Vec<_>>(), [line("a@vm", &words), line("b@vm", "other")]);
    }
}
