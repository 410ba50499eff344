//! One line of a journal.
//!
//! ```text
//! {"pleach-journal":1}
//! {"crc":"0a1b2c3d","seq":1,"record":{"at":"…","entry":"run-started",…}}
//! {"crc":"4e5f6a7b","seq":2,"record":{…}}
//! {"crc":"8c9d0e1f","seq":3,"flush":2,"record":{…}}
//! ```
//!
//! The CRC-32 covers all bytes of the line behind the comma that follows it, so checking needs no JSON. `flush` is the
//! `seq` of the first record that was flushed together with this one; left out where that is the record itself. A flush
//! begins when the one before it has ended, so a line that begins a flush proves that all before it was durable: that
//! tells what an interrupted flush left from what was damaged later.

use pleach_core::journal::{FORMAT, Record};
use serde::{Deserialize, Serialize};

/// How every line behind the first begins.
pub(super) const BEFORE: &[u8] = b"{\"crc\":\"";
const BETWEEN: &[u8] = b"\",";
const COVERED_FROM: usize = BEFORE.len() + 8 + BETWEEN.len();

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(rename = "pleach-journal")]
    format: u32,
}

/// A line behind the first.
#[derive(Serialize, Deserialize)]
pub(crate) struct Journaled<R> {
    /// 1 for the first.
    pub(crate) seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flush: Option<u64>,
    /// What happened.
    pub(crate) record: R,
}

impl<R> Journaled<R> {
    /// The `seq` of the first record that was flushed together with this one.
    pub(crate) fn flush(&self) -> u64 {
        self.flush.unwrap_or(self.seq)
    }
}

/// The first line of a journal of this version, with its end.
pub(super) fn header() -> Vec<u8> {
    format!("{{\"pleach-journal\":{FORMAT}}}\n").into_bytes()
}

/// The format that a first line names; `None` if it is none.
pub(super) fn format_of(line: &[u8]) -> Option<u32> {
    serde_json::from_slice::<Header>(line).ok().map(|header| header.format).filter(|format| *format > 0)
}

/// Whether `bytes` may be the begin of a first line whose write was interrupted.
pub(super) fn is_torn_header(bytes: &[u8]) -> bool {
    let bytes = &bytes[..bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)];
    let header = header();
    header[..header.len() - 1].starts_with(bytes)
}

/// Adds a line with its end.
pub(super) fn write_line(out: &mut Vec<u8>, seq: u64, flush: u64, record: &Record) -> Result<(), serde_json::Error> {
    let flush = (flush != seq).then_some(flush);
    let covered = serde_json::to_vec(&Journaled { seq, flush, record })?;
    // Without the opening brace, which stands before the check.
    let covered = &covered[1..];
    out.extend_from_slice(BEFORE);
    out.extend_from_slice(format!("{:08x}", crc32fast::hash(covered)).as_bytes());
    out.extend_from_slice(BETWEEN);
    out.extend_from_slice(covered);
    out.push(b'\n');
    Ok(())
}

/// Whether a line without its end is as it was written.
pub(crate) fn is_intact(line: &[u8]) -> bool {
    let Some((head, covered)) = line.split_at_checked(COVERED_FROM) else { return false };
    let check = format!("{:08x}", crc32fast::hash(covered));
    head.starts_with(BEFORE) && head.ends_with(BETWEEN) && &head[BEFORE.len()..BEFORE.len() + 8] == check.as_bytes()
}
