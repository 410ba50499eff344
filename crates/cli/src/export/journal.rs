//! What this machine keeps of runs.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use pleach_core::engine::State;
use pleach_core::error::{Failure, Kind};
use pleach_core::event::Event;
use pleach_core::journal::Record;
use pleach_core::report::Report;
use pleach_core::word::RunId;

use super::LOG_LIMIT;
use crate::observe::log_dir;
use crate::print::{Paint, incident_file, report_text};
use crate::project::Workspace;

/// Something to put into the archive.
pub(super) struct Piece {
    pub(super) name: String,
    pub(super) text: String,
    /// Whether only its end is there.
    pub(super) is_cut: bool,
}

impl Piece {
    pub(super) fn whole(name: impl Into<String>, text: String) -> Self {
        Self { name: name.into(), text, is_cut: false }
    }
}

/// What its journal tells: events and report.
pub(super) fn told(workspace: &Workspace, run: &RunId) -> Result<Vec<Piece>, Failure> {
    let records = workspace.records(run)?;
    let events = records.iter().map(|record| event_line(run, record)).collect();
    let mut pieces = vec![Piece::whole(format!("runs/{run}/events.jsonl"), events)];
    let state = State::replay(&records).map_err(Failure::from)?;
    // Not now: the same run is told in the same words.
    let last = records.last().map_or_else(|| workspace.now(), |record| record.at);
    pieces.push(Piece::whole(format!("runs/{run}/report.txt"), report_text(&state, last, Paint::Plain, None)));
    let report = serde_json::to_string_pretty(&Report::of(&state)).unwrap_or_default() + "\n";
    pieces.push(Piece::whole(format!("runs/{run}/report.json"), report));
    Ok(pieces)
}

fn event_line(run: &RunId, record: &Record) -> String {
    let event = Event::Entry { run: run.clone(), record: record.clone() };
    serde_json::to_string(&event).unwrap_or_default() + "\n"
}

/// The files beside the journal that tell of a run to people, by name.
pub(super) fn files(workspace: &Workspace, run: &RunId) -> Vec<(String, PathBuf)> {
    let run_dir = workspace.runs.run_dir(run);
    let incident = Some(incident_file(&run_dir)).filter(|file| file.exists());
    let mut files: Vec<_> = incident.into_iter().map(|file| (format!("runs/{run}/incident.md"), file)).collect();
    let logs = std::fs::read_dir(log_dir(&run_dir)).into_iter().flatten().flatten().map(|file| file.path());
    files.extend(logs.filter_map(|path| Some((format!("runs/{run}/{}", log_name(&path)?), path))));
    files.sort();
    files
}

/// `SERVICE@TARGET.log` becomes `targets/TARGET/SERVICE.log`: not every file system knows `@`.
fn log_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(match name.strip_suffix(".log")?.split_once('@') {
        Some((service, target)) => format!("targets/{target}/{service}.log"),
        None => name.to_owned(),
    })
}

/// The end of a file, from the begin of a line on; `true` where something came before.
pub(super) fn file_end(path: &Path) -> Result<(String, bool), Failure> {
    read_end(path).map_err(|error| {
        Failure::new(Kind::Rejected, format!("could not read `{}`", path.display())).because(error.to_string())
    })
}

fn read_end(path: &Path) -> io::Result<(String, bool)> {
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(LOG_LIMIT);
    // The byte before tells whether a line begins there.
    file.seek(SeekFrom::Start(from.saturating_sub(1)))?;
    let mut bytes = Vec::new();
    file.take(LOG_LIMIT + 1).read_to_end(&mut bytes)?;
    if from > 0 {
        let begin = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        bytes.drain(..begin);
    }
    Ok((String::from_utf8_lossy(&bytes).into_owned(), from > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_file_the_last_whole_lines_are_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run.log");
        let limit = usize::try_from(LOG_LIMIT).expect("it fits");
        for (before, behind) in [("first\n", limit), ("first", limit), ("first\n", 6)] {
            let last = "x".repeat(behind - 1) + "\n";
            std::fs::write(&path, format!("{before}{last}")).expect("written");
            let (text, is_cut) = file_end(&path).expect("read");
            let wanted = match (before.ends_with('\n'), behind == limit) {
                (true, true) => (last, true),
                // No line begins there.
                (false, _) => (String::new(), true),
                (true, false) => (format!("{before}{last}"), false),
            };
            assert!((text.len(), is_cut) == (wanted.0.len(), wanted.1) && text == wanted.0, "{before:?} {behind}");
        }
    }

    #[test]
    fn logs_are_named_by_target_and_service() {
        let name = |path: &str| log_name(Path::new(path));
        assert_eq!(name("x/a@b.log").as_deref(), Some("targets/b/a.log"));
        assert_eq!(name("x/run.log").as_deref(), Some("run.log"));
        assert_eq!(name("x/.run.log.swp"), None);
    }
}
