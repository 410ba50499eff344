//! The one of several ways in which a run shows itself.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};

use jiff::Timestamp;
use pleach_core::engine::State;
use pleach_core::event::Event;

use super::live::Block;
use super::plain;
use super::{Picture, UsualTimes, frame};
use crate::args::Globals;
use crate::board::rows;
use crate::print::{Paint, clean, narrate};

/// How a run shows itself while it works.
pub(crate) enum Face {
    /// A block of lines on a terminal.
    Live(Box<Live>),
    /// Lines as things happen.
    Plain(Voice),
    /// One event a line on standard output.
    Json,
}

/// How much plain lines tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// Warnings alone.
    Quiet,
    /// Each step's begin and end.
    Steps,
    /// What the steps print, too.
    Output,
}

/// What the block is drawn from.
pub(crate) struct Live {
    block: Block,
    last_lines: BTreeMap<String, String>,
    usual: UsualTimes,
    paint: Paint,
}

impl Face {
    /// The one for these arguments and the terminal at hand.
    pub(crate) fn choose(globals: &Globals, usual: UsualTimes) -> Self {
        let voice = match (globals.quiet, globals.verbose) {
            (true, _) => Voice::Quiet,
            (_, true) => Voice::Output,
            _ => Voice::Steps,
        };
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        if globals.json {
            Self::Json
        } else if voice == Voice::Steps && !dumb && std::io::stderr().is_terminal() {
            let paint = Paint::of_stderr(globals.color);
            Self::Live(Box::new(Live { block: Block::default(), last_lines: BTreeMap::new(), usual, paint }))
        } else {
            Self::Plain(voice)
        }
    }

    /// Takes one event, after the state has.
    pub(crate) fn event(&mut self, event: &Event, state: &State) {
        match self {
            Self::Live(live) => live.event(event, state),
            Self::Plain(voice) => plain::lines(event, state, *voice).iter().for_each(|line| narrate(line)),
            Self::Json => {
                let Ok(mut line) = serde_json::to_string(event) else { return };
                line.push('\n');
                let mut stdout = std::io::stdout().lock();
                let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
            }
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, state: Option<&State>, now: Timestamp) {
        if let (Self::Live(live), Some(state)) = (self, state)
            && live.block.is_due()
        {
            live.draw(state, now);
        }
    }

    /// A line of narration that stays.
    pub(crate) fn say(&mut self, line: &str) {
        if let Self::Live(live) = self {
            live.block.erase(size().0);
        }
        narrate(line);
    }

    /// Leaves the terminal to what follows.
    pub(crate) fn finish(&mut self) {
        if let Self::Live(live) = self {
            live.block.erase(size().0);
        }
    }
}

impl Live {
    fn event(&mut self, event: &Event, state: &State) {
        match event {
            Event::Line { lane, line, .. } => {
                let line = clean(line);
                let named = state.plan().lanes().find(|planned| planned.id == *lane);
                if let Some(lane) = named.filter(|_| !line.trim().is_empty()) {
                    self.last_lines.insert(format!("{}@{}", lane.service, lane.target), line);
                }
            }
            Event::LeaseAtRisk { .. } | Event::TornTail { .. } => {
                self.block.erase(size().0);
                plain::lines(event, state, Voice::Quiet).iter().for_each(|line| narrate(line));
            }
            Event::Entry { .. } | Event::SnapshotLine { .. } => {}
        }
    }

    fn draw(&mut self, state: &State, now: Timestamp) {
        let size = size();
        let rows = rows(state);
        let picture =
            Picture { rows: &rows, last_lines: &self.last_lines, usual: &self.usual, now, size, paint: self.paint };
        self.block.draw(&frame(&picture), size.0);
    }
}

/// Columns and lines of the terminal.
fn size() -> (usize, usize) {
    let (columns, lines) = crossterm::terminal::size().unwrap_or((80, 24));
    (usize::from(columns).max(1), usize::from(lines).max(1))
}
