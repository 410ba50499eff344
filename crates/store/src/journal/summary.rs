//! What a list tells of a journal, from its first record and its last lines alone.
//!
//! It never says more than a full reading would: a first record that cannot be read is an error, and an end that is not
//! proven is no end.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use pleach_core::journal::Outcome;
use pleach_core::word::{EnvironmentName, PlanId};
use serde::Deserialize;

use super::error::JournalError;
use super::line::{Journaled, is_intact};
use super::read::{Place, parse, require_format};
use crate::FileError;

/// How much is read from a journal's end at first: some dozen records.
const TAIL: u64 = 16 * 1024;

/// A journal in short.
pub(crate) struct Summary {
    pub(crate) begin: Begin,
    /// How it ended; `None` while it has not.
    pub(crate) outcome: Option<Outcome>,
}

/// What its first record says.
pub(crate) struct Begin {
    pub(crate) started: Timestamp,
    pub(crate) plan: PlanId,
    pub(crate) environment: EnvironmentName,
}

/// The journal in short; `None` if there is none, or while it has no first record.
///
/// # Errors
/// The first record cannot be read, or the file system refuses.
pub(crate) fn load_summary(path: &Path) -> Result<Option<Summary>, JournalError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        // A file in the place of a run's directory is nobody's run.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(FileError::of("read", path)(error).into()),
    };
    let Some(begin) = load_begin(path, &file)? else { return Ok(None) };
    let outcome = match load_end(&mut file).map_err(FileError::of("read", path))? {
        End::Open => None,
        End::Finished(outcome) => Some(outcome),
        End::Unproven => {
            let bytes = std::fs::read(path).map_err(FileError::of("read", path))?;
            let found = parse(path, &bytes)?;
            let intact = usize::try_from(found.intact).unwrap_or(usize::MAX).min(bytes.len());
            last_line(&bytes[..intact]).and_then(|last| last.outcome())
        }
    };
    Ok(Some(Summary { begin, outcome }))
}

fn load_begin(path: &Path, file: &File) -> Result<Option<Begin>, JournalError> {
    let mut reader = BufReader::new(file);
    let mut read_line = || -> Result<Option<Vec<u8>>, JournalError> {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).map_err(FileError::of("read", path))?;
        Ok((line.pop() == Some(b'\n')).then_some(line))
    };
    let Some(header) = read_line()? else { return Ok(None) };
    require_format(path, &header, &header)?;
    let offset = header.len() as u64 + 1;
    let Some(line) = read_line()? else { return Ok(None) };
    if !is_intact(&line) {
        let bytes = std::fs::read(path).map_err(FileError::of("read", path))?;
        // Torn: nothing of the run was acknowledged. Else the error.
        return parse(path, &bytes).map(|_| None);
    }
    let First { at, plan } = Place { path, offset, line: 2 }.require::<First>(&line)?.record;
    Ok(Some(Begin { started: at, plan: plan.consent.plan, environment: plan.plan.environment }))
}

enum End {
    /// The last whole record is not an end.
    Open,
    Finished(Outcome),
    /// The last whole record is an end, and was flushed together with others, which may be torn; or no record is seen.
    Unproven,
}

fn load_end(file: &mut File) -> io::Result<End> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut back = TAIL;
    loop {
        let from = length.saturating_sub(back);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut tail)?;
        match last_line(&tail) {
            Some(last) if last.record.entry != "run-finished" => return Ok(End::Open),
            Some(last) if last.flush() == last.seq => return Ok(last.outcome().map_or(End::Unproven, End::Finished)),
            Some(_) => return Ok(End::Unproven),
            None if from == 0 => return Ok(End::Unproven),
            None => back *= 8,
        }
    }
}

/// The last intact line, if it is the last whole one or the one before that.
fn last_line(tail: &[u8]) -> Option<Journaled<Last>> {
    let end = tail.iter().rposition(|byte| *byte == b'\n')?;
    let whole = tail[..end].rsplit(|byte| *byte == b'\n').take(2);
    let intact = whole.into_iter().find(|line| is_intact(line))?;
    serde_json::from_slice(intact).ok()
}

/// What a list needs of the first record; the rest of a plan is passed over.
#[derive(Deserialize)]
struct First {
    at: Timestamp,
    plan: Approved,
}

#[derive(Deserialize)]
struct Approved {
    plan: Plan,
    consent: Consent,
}

#[derive(Deserialize)]
struct Plan {
    environment: EnvironmentName,
}

#[derive(Deserialize)]
struct Consent {
    plan: PlanId,
}

#[derive(Deserialize)]
struct Last {
    entry: String,
    /// Another meaning in other entries.
    #[serde(default)]
    outcome: Option<serde_json::Value>,
}

impl Journaled<Last> {
    fn outcome(&self) -> Option<Outcome> {
        let finished = self.record.entry == "run-finished";
        let outcome = self.record.outcome.as_ref().filter(|_| finished)?;
        serde_json::from_value(outcome.clone()).ok()
    }
}
