//! Log files of a run: `RUN/logs/run.log`, and `RUN/logs/SERVICE@TARGET.log` for each service and target.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pleach_core::engine::State;
use pleach_core::error::Failure;
use pleach_core::event::Event;
use pleach_core::journal::Entry;
use pleach_core::word::{LaneId, ServiceName, TargetName};

use crate::progress::entry_line;

/// The directory of a run's logs.
pub(crate) fn log_dir(run_dir: &Path) -> PathBuf {
    run_dir.join("logs")
}

/// The log of one service on one target.
pub(crate) fn log_file(run_dir: &Path, service: &ServiceName, target: &TargetName) -> PathBuf {
    log_dir(run_dir).join(format!("{service}@{target}.log"))
}

/// The opened logs of a run. Each line is written as it comes, with its time.
pub(super) struct Logs {
    run_dir: PathBuf,
    files: BTreeMap<PathBuf, File>,
}

impl Logs {
    pub(super) fn new(run_dir: PathBuf) -> Self {
        Self { run_dir, files: BTreeMap::new() }
    }

    /// Writes what an event tells into the logs that it belongs to.
    pub(super) fn event(&mut self, event: &Event, state: &State, now: Timestamp) -> io::Result<()> {
        match event {
            Event::Line { lane, line, .. } => self.lane_line(state, lane, now, &format!("| {line}")),
            Event::SnapshotLine { snapshot, line } => self.run_line(now, &format!("{snapshot} | {line}")),
            Event::LeaseAtRisk { target, failure } => {
                self.run_line(now, &format!("the lease of `{target}` is at risk: {failure}"))
            }
            Event::TornTail { offset, bytes } => {
                self.run_line(now, &format!("the journal's last {bytes} bytes, from {offset}, were torn"))
            }
            Event::Entry { record, .. } => {
                let Some(line) = entry_line(&record.entry, state) else { return Ok(()) };
                if let Some(lane) = lane_of(&record.entry) {
                    // The lane's own log needs no name before each line.
                    let short = line.split_once(": ").map_or(line.as_str(), |(_, what)| what);
                    self.lane_line(state, lane, record.at, short)?;
                    for line in failure_of(&record.entry).into_iter().flat_map(failure_lines) {
                        self.lane_line(state, lane, record.at, &line)?;
                    }
                }
                self.run_line(record.at, &line)
            }
        }
    }

    fn lane_line(&mut self, state: &State, lane: &LaneId, at: Timestamp, text: &str) -> io::Result<()> {
        let Some(planned) = state.plan().lanes().find(|planned| planned.id == *lane) else { return Ok(()) };
        self.line(log_file(&self.run_dir, &planned.service, &planned.target), at, text)
    }

    fn run_line(&mut self, at: Timestamp, text: &str) -> io::Result<()> {
        self.line(log_dir(&self.run_dir).join("run.log"), at, text)
    }

    fn line(&mut self, path: PathBuf, at: Timestamp, text: &str) -> io::Result<()> {
        if !self.files.contains_key(&path) {
            std::fs::create_dir_all(log_dir(&self.run_dir))?;
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            self.files.insert(path.clone(), file);
        }
        let Some(file) = self.files.get_mut(&path) else { return Ok(()) };
        // One call for a whole line: somebody may be reading along.
        file.write_all(format!("{} {text}\n", at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")).as_bytes())
    }
}

fn failure_of(entry: &Entry) -> Option<&Failure> {
    match entry {
        Entry::StepFailed { failure, .. }
        | Entry::StepUnknown { failure, .. }
        | Entry::InspectFailed { failure, .. }
        | Entry::UndoFailed { failure, .. } => Some(failure),
        _ => None,
    }
}

/// Why, and what the command said last: it may not be found anywhere else once the lane is taken back.
fn failure_lines(failure: &Failure) -> Vec<String> {
    let causes = failure.because.iter().map(|cause| format!("  because: {cause}"));
    causes.chain(failure.output.iter().map(|line| format!("  | {line}"))).collect()
}

fn lane_of(entry: &Entry) -> Option<&LaneId> {
    match entry {
        Entry::StepStarted { lane, .. }
        | Entry::StepFinished { lane, .. }
        | Entry::StepFailed { lane, .. }
        | Entry::StepUnknown { lane, .. }
        | Entry::InspectStarted { lane, .. }
        | Entry::Inspected { lane, .. }
        | Entry::InspectFailed { lane, .. }
        | Entry::UndoStarted { lane, .. }
        | Entry::UndoFinished { lane, .. }
        | Entry::UndoFailed { lane, .. } => Some(lane),
        _ => None,
    }
}
