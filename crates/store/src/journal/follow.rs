//! Following a journal that may still grow.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use pleach_core::journal::Record;

use super::error::{Damage, JournalError};
use super::line::is_intact;
use super::read::{Line, Lines, Place, require_format};
use crate::FileError;

/// Follows a journal that may still grow. Takes no lock and changes nothing.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    file: File,
    /// Behind the last line that was read.
    offset: u64,
    /// How many lines were read.
    lines: u64,
}

impl JournalReader {
    /// Opens a journal for reading from its begin.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let file = File::open(path).map_err(FileError::of("read", path))?;
        Ok(Self { path: path.to_owned(), file, offset: 0, lines: 0 })
    }

    /// The records that have become whole since the last call. One may be told before it is durable.
    ///
    /// # Errors
    /// Those of [`read_records`](super::read_records), and [`JournalError::Cut`] if records that were told here were
    /// taken back, because their flush failed.
    pub fn read_new(&mut self) -> Result<Vec<Record>, JournalError> {
        let mut bytes = Vec::new();
        let length = self.file.seek(SeekFrom::End(0)).map_err(FileError::of("read", &self.path))?;
        if length < self.offset {
            return Err(JournalError::Cut { path: self.path.clone(), offset: self.offset });
        }
        let read = self.file.seek(SeekFrom::Start(self.offset)).and_then(|_| self.file.read_to_end(&mut bytes));
        read.map_err(FileError::of("read", &self.path))?;
        let mut records = Vec::new();
        let begin = self.offset;
        let mut lines = Lines { bytes: &bytes, at: 0 };
        while let Some(Line { offset, text, is_whole: true }) = lines.next() {
            let place = Place { path: &self.path, offset: begin + offset as u64, line: self.lines + 1 };
            if self.lines == 0 {
                require_format(&self.path, text, &bytes)?;
            } else if is_intact(text) {
                records.push(place.require_next(text, self.lines)?.record);
            } else if lines.at == bytes.len() {
                // It may still be on its way; the next call sees it whole or followed by others.
                break;
            } else {
                return Err(place.damaged(Damage::Check));
            }
            self.lines += 1;
            self.offset = begin + lines.at as u64;
        }
        Ok(records)
    }
}
