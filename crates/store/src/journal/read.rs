//! Reading a journal as a whole.
//!
//! | what is found | what it is |
//! |---|---|
//! | a last line that is not as it was written, or has no end | torn: its write was interrupted |
//! | zeros behind the last line | torn: blocks that were never written |
//! | zeros inside, and behind them only lines of the same flush | torn: a power cut let a part of one flush through |
//! | any other line that is not as it was written | damaged |
//! | a line as it was written, out of order | damaged |
//! | a line as it was written, of an unknown kind | a newer Pleach's |

use std::path::Path;

use pleach_core::journal::{FORMAT, Record};
use pleach_core::port::TornTail;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::error::{Damage, JournalError};
use super::line::{BEFORE, Journaled, format_of, is_intact, is_torn_header};
use crate::FileError;

/// So many zeros in a row are a part of a block that was never written: no writer makes them, no single fault either.
const UNWRITTEN: [u8; 8] = [0; 8];

/// A journal as it was found.
pub(super) struct Found {
    pub(super) records: Vec<Record>,
    /// The bytes up to and with the last intact line.
    pub(super) intact: u64,
    /// What lies behind.
    pub(super) torn: Option<TornTail>,
    pub(super) last_seq: u64,
}

/// Reads all records and cuts nothing: a torn end is told and left. Needs no lock, so it works while another process
/// appends; what that one is writing at the moment looks torn.
///
/// # Errors
/// Damage before the end, a foreign file, or one of a newer Pleach.
pub fn read_records(path: &Path) -> Result<(Vec<Record>, Option<TornTail>), JournalError> {
    let bytes = std::fs::read(path).map_err(FileError::of("read", path))?;
    parse(path, &bytes).map(|found| (found.records, found.torn))
}

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Found, JournalError> {
    let mut found = Found { records: Vec::new(), intact: 0, torn: None, last_seq: 0 };
    let mut lines = Lines { bytes, at: 0 };
    if is_torn_header(bytes) {
        // Killed while the file was made: there is nothing yet.
        found.torn = torn(bytes, 0);
        return Ok(found);
    }
    let first = lines.next().filter(|line| line.is_whole).map_or(&[][..], |line| line.text);
    require_format(path, first, bytes)?;
    found.intact = lines.at as u64;
    let mut number = 1;
    while let Some(Line { offset, text, is_whole }) = lines.next() {
        number += 1;
        let place = Place { path, offset: offset as u64, line: number };
        if is_whole && is_intact(text) {
            found.records.push(place.require_next(text, found.last_seq + 1)?.record);
            found.last_seq += 1;
            found.intact = lines.at as u64;
        } else if is_torn(&bytes[offset..], lines.at - offset, found.last_seq + 1) {
            found.torn = torn(bytes, offset);
            break;
        } else {
            return Err(place.damaged(Damage::Check));
        }
    }
    Ok(found)
}

/// Checks the first line of a journal, of which `bytes` are known.
pub(super) fn require_format(path: &Path, first: &[u8], bytes: &[u8]) -> Result<(), JournalError> {
    match format_of(first) {
        None if intact_lines(bytes).next().is_some() => Err(Place { path, offset: 0, line: 1 }.damaged(Damage::Check)),
        None => Err(JournalError::Foreign(path.to_owned())),
        Some(found) if found > FORMAT => Err(JournalError::Newer { path: path.to_owned(), found }),
        Some(_) => Ok(()),
    }
}

/// Where a line stands, for errors about it.
pub(super) struct Place<'a> {
    pub(super) path: &'a Path,
    pub(super) offset: u64,
    /// From 1.
    pub(super) line: u64,
}

impl Place<'_> {
    pub(super) fn damaged(&self, source: Damage) -> JournalError {
        JournalError::Damaged { path: self.path.to_owned(), offset: self.offset, line: self.line, source }
    }

    /// Reads an intact line.
    pub(super) fn require<R: DeserializeOwned>(&self, text: &[u8]) -> Result<Journaled<R>, JournalError> {
        let unread = |source| {
            let path = self.path.to_owned();
            JournalError::Unread { path, offset: self.offset, line: self.line, source }
        };
        serde_json::from_slice(text).map_err(unread)
    }

    /// Reads an intact line that is the next in order.
    pub(super) fn require_next(&self, text: &[u8], expected: u64) -> Result<Journaled<Record>, JournalError> {
        let journaled: Journaled<Record> = self.require(text)?;
        match journaled.seq {
            seq if seq == expected => Ok(journaled),
            found => Err(self.damaged(Damage::Order { expected, found })),
        }
    }
}

/// Whether an interrupted flush explains `rest`, which begins with a bad line of `length` bytes where number `expected`
/// belongs.
fn is_torn(rest: &[u8], length: usize, expected: u64) -> bool {
    let mut behind = intact_lines(&rest[1..]).peekable();
    let gap = behind.peek().map_or(rest, |(start, _)| &rest[..1 + start]);
    let is_last = gap.len() == rest.len() && rest[length..].iter().all(|byte| *byte == 0);
    let is_unwritten = || gap.windows(UNWRITTEN.len()).any(|part| part == UNWRITTEN);
    is_last || (is_unwritten() && behind.all(|(_, line)| line.flush() <= expected))
}

/// The intact lines in `bytes` and where each begins, also of those whose predecessor lost its end.
fn intact_lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Journaled<IgnoredAny>)> {
    let starts = bytes.windows(BEFORE.len()).enumerate().filter(|(_, part)| *part == BEFORE);
    starts.filter_map(|(start, _)| {
        let rest = &bytes[start..];
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or(rest);
        let journaled = is_intact(line).then(|| serde_json::from_slice(line).ok()).flatten();
        journaled.map(|journaled| (start, journaled))
    })
}

fn torn(bytes: &[u8], offset: usize) -> Option<TornTail> {
    let cut = bytes.len() - offset;
    (cut > 0).then_some(TornTail { offset: offset as u64, bytes: cut as u64 })
}

/// A line without its end.
pub(super) struct Line<'a> {
    pub(super) offset: usize,
    pub(super) text: &'a [u8],
    /// Whether it has an end.
    pub(super) is_whole: bool,
}

pub(super) struct Lines<'a> {
    pub(super) bytes: &'a [u8],
    /// Behind the end of the last line that was given.
    pub(super) at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let offset = self.at;
        let rest = self.bytes.get(offset..).filter(|rest| !rest.is_empty())?;
        let end = rest.iter().position(|byte| *byte == b'\n');
        self.at += end.map_or(rest.len(), |end| end + 1);
        Some(Line { offset, text: &rest[..end.unwrap_or(rest.len())], is_whole: end.is_some() })
    }
}
