//! Reading a journal, also while another process appends to it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use pleach_core::journal::{FORMAT, Record};
use pleach_core::port::TornTail;

use super::error::JournalError;
use super::line::{BEFORE, check_line, format_of, read_line};
use crate::FileError;

/// A journal as it was found.
pub(crate) struct Found {
    pub(crate) records: Vec<Record>,
    /// The bytes up to and with the last intact line.
    pub(crate) intact: u64,
    /// What lies behind.
    pub(crate) torn: Option<TornTail>,
    pub(crate) last_seq: u64,
}

/// Reads all records and cuts nothing: a torn end is told and left.
///
/// # Errors
/// Damage before the last record, a foreign file, or one of a newer format.
pub fn read_records(path: &Path) -> Result<(Vec<Record>, Option<TornTail>), JournalError> {
    let bytes = std::fs::read(path).map_err(FileError::of("read", path))?;
    parse(path, &bytes).map(|found| (found.records, found.torn))
}

pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Found, JournalError> {
    let mut found = Found { records: Vec::new(), intact: 0, torn: None, last_seq: 0 };
    let mut lines = Lines { bytes, at: 0 };
    let Some((_, first, End::Whole)) = lines.next() else {
        // Killed while the file was made: there is nothing yet.
        found.torn = torn(bytes, 0);
        return Ok(found);
    };
    match format_of(first) {
        None if lines.at == bytes.len() => {
            found.torn = torn(bytes, 0);
            return Ok(found);
        }
        None => return Err(JournalError::Foreign(path.to_owned())),
        Some(newer) if newer > FORMAT => return Err(JournalError::Newer { path: path.to_owned(), found: newer }),
        Some(_) => found.intact = lines.at as u64,
    }
    let mut number = 1;
    while let Some((offset, line, end)) = lines.next() {
        number += 1;
        let read = (end == End::Whole).then(|| read_line(line)).flatten();
        match read.filter(|journaled| journaled.seq == found.last_seq + 1) {
            Some(journaled) => {
                found.records.push(journaled.record);
                found.last_seq = journaled.seq;
                found.intact = lines.at as u64;
            }
            None if is_last(&bytes[lines.at..]) && !holds_a_line(line) => {
                found.torn = torn(bytes, offset);
                break;
            }
            None => return Err(JournalError::Damaged { path: path.to_owned(), offset: offset as u64, line: number }),
        }
    }
    Ok(found)
}

/// Whether nothing but the zeros of unwritten blocks follows.
fn is_last(rest: &[u8]) -> bool {
    rest.iter().all(|byte| *byte == 0)
}

/// Whether an intact line stands inside: then this is not the end of an interrupted write, but a damaged line end.
fn holds_a_line(line: &[u8]) -> bool {
    let starts = line.windows(BEFORE.len()).enumerate().skip(1).filter(|(_, part)| *part == BEFORE);
    starts.into_iter().any(|(start, _)| check_line(&line[start..]).is_some())
}

fn torn(bytes: &[u8], offset: usize) -> Option<TornTail> {
    let cut = bytes.len() - offset;
    (cut > 0).then_some(TornTail { offset: offset as u64, bytes: cut as u64 })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Missing,
}

struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a [u8], End);

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.at;
        let rest = self.bytes.get(offset..).filter(|rest| !rest.is_empty())?;
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(length) => {
                self.at += length + 1;
                Some((offset, &rest[..length], End::Whole))
            }
            None => {
                self.at = self.bytes.len();
                Some((offset, rest, End::Missing))
            }
        }
    }
}

/// Follows a journal that may still grow.
pub struct JournalReader {
    path: PathBuf,
    file: File,
    /// Behind the last whole line that was read.
    offset: u64,
    line: u64,
}

impl JournalReader {
    /// Opens a journal for reading from its begin. Takes no lock.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let file = File::open(path).map_err(FileError::of("read", path))?;
        Ok(Self { path: path.to_owned(), file, offset: 0, line: 0 })
    }

    /// The records that have become whole since the last call.
    pub fn read_new(&mut self) -> Result<Vec<Record>, JournalError> {
        let mut bytes = Vec::new();
        let read = self.file.seek(SeekFrom::Start(self.offset)).and_then(|_| self.file.read_to_end(&mut bytes));
        read.map_err(FileError::of("read", &self.path))?;
        let mut records = Vec::new();
        let mut lines = Lines { bytes: &bytes, at: 0 };
        let begin = self.offset;
        while let Some((offset, line, End::Whole)) = lines.next() {
            let number = self.line + 1;
            if number > 1 {
                match read_line(line) {
                    Some(journaled) => records.push(journaled.record),
                    // The last line may still be on its way; the next call sees it whole or followed by others.
                    None if lines.at == bytes.len() => break,
                    None => {
                        let offset = begin + offset as u64;
                        return Err(JournalError::Damaged { path: self.path.clone(), offset, line: number });
                    }
                }
            } else if let Some(newer) = format_of(line).filter(|format| *format > FORMAT) {
                return Err(JournalError::Newer { path: self.path.clone(), found: newer });
            }
            self.line = number;
            self.offset = begin + lines.at as u64;
        }
        Ok(records)
    }
}

/// The first record's line and the last whole one, without their ends.
pub(crate) struct Summary {
    pub(crate) first: Vec<u8>,
    pub(crate) last: Vec<u8>,
}

/// Enough to list a run without reading all of it; `None` while there is no first record.
pub(crate) fn summary_lines(path: &Path) -> Result<Option<Summary>, FileError> {
    const STEP: u64 = 64 * 1024;
    let read = || -> std::io::Result<Option<Summary>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut head = Vec::new();
        let mut reader = std::io::BufReader::new(&mut file);
        for _ in 0..2 {
            head.clear();
            if std::io::BufRead::read_until(&mut reader, b'\n', &mut head)? == 0 || head.last() != Some(&b'\n') {
                return Ok(None);
            }
        }
        head.pop();
        let mut back = STEP;
        loop {
            let from = length.saturating_sub(back);
            let mut tail = Vec::new();
            file.seek(SeekFrom::Start(from))?;
            file.read_to_end(&mut tail)?;
            let whole = tail.iter().rposition(|byte| *byte == b'\n').unwrap_or_default();
            let begin = tail[..whole].iter().rposition(|byte| *byte == b'\n');
            match begin {
                Some(begin) => return Ok(Some(Summary { first: head, last: tail[begin + 1..whole].to_vec() })),
                None if from == 0 => return Ok(Some(Summary { last: head.clone(), first: head })),
                None => back *= 4,
            }
        }
    };
    read().map_err(FileError::of("read", path))
}
