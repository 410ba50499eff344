//! One line of a journal.
//!
//! ```text
//! {"pleach-journal":1}
//! {"crc":"0a1b2c3d","seq":1,"record":{"at":"…","entry":"run-started",…}}
//! ```
//!
//! The CRC-32 covers all bytes of the line behind the comma that follows it, so checking needs no JSON.

use pleach_core::journal::{FORMAT, Record};
use serde::{Deserialize, Serialize};

/// How every line behind the first begins.
pub(crate) const BEFORE: &[u8] = b"{\"crc\":\"";
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
    /// What happened.
    pub(crate) record: R,
}

/// The first line of a journal of this version, with its end.
pub(crate) fn header() -> Vec<u8> {
    format!("{{\"pleach-journal\":{FORMAT}}}\n").into_bytes()
}

/// The format that a first line names; `None` if it is none.
pub(crate) fn format_of(line: &[u8]) -> Option<u32> {
    serde_json::from_slice::<Header>(line).ok().map(|header| header.format)
}

/// Adds a line with its end.
pub(crate) fn write_line(out: &mut Vec<u8>, seq: u64, record: &Record) -> Result<(), serde_json::Error> {
    let covered = serde_json::to_vec(&Journaled { seq, record })?;
    // Without the opening brace, which stands before the check.
    let covered = &covered[1..];
    out.extend_from_slice(BEFORE);
    out.extend_from_slice(format!("{:08x}", crc32fast::hash(covered)).as_bytes());
    out.extend_from_slice(BETWEEN);
    out.extend_from_slice(covered);
    out.push(b'\n');
    Ok(())
}

/// Checks a line without its end, and gives its JSON object without the check.
pub(crate) fn check_line(line: &[u8]) -> Option<Vec<u8>> {
    let check = line.strip_prefix(BEFORE)?.get(..8)?;
    let covered = line.get(COVERED_FROM..)?;
    let intact = &line[BEFORE.len() + 8..COVERED_FROM] == BETWEEN
        && format!("{:08x}", crc32fast::hash(covered)).as_bytes() == check;
    intact.then(|| [b"{", covered].concat())
}

/// Checks and reads a line.
pub(crate) fn read_line(line: &[u8]) -> Option<Journaled<Record>> {
    serde_json::from_slice(&check_line(line)?).ok()
}
