//! The two streams: answers to standard output, narration to standard error.
//!
//! `println!` panics when the reader has gone (`pleach status | head -1`); these do not.

use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;

use pleach_core::error::{Failure, Kind};

/// More columns than a line of a plan has.
const UNCUT: usize = 10_000;

/// Why an answer did not get to whoever asked for it, once one did not. It is known at the place that writes, and told where
/// the command ends: what is under way must not end because nobody could be told of it.
static LOST: OnceLock<String> = OnceLock::new();

/// Writes an answer to standard output.
pub(crate) fn answer(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
        // A reader that went has read all that it wanted.
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        LOST.get_or_init(|| error.to_string());
    }
}

/// The failure that an answer was lost, if one was.
pub(crate) fn lost_answer() -> Option<Failure> {
    let why = LOST.get()?;
    Some(
        Failure::new(Kind::Rejected, "could not write the answer to standard output")
            .because(why)
            .state("what the command did is done; only its answer is lost")
            .next("make room there, then read it again with `pleach status` or `pleach report`"),
    )
}

/// Writes a line of narration to standard error.
pub(crate) fn narrate(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes problems that have a layout of their own to standard error.
pub(crate) fn complain(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The columns to lay problems out for.
pub(crate) fn stderr_columns() -> usize {
    known_columns(std::io::stderr().is_terminal()).unwrap_or(100)
}

/// The columns to lay a plan out for on standard error; without a terminal no line of it is cut.
pub(crate) fn stderr_plan_columns() -> usize {
    known_columns(std::io::stderr().is_terminal()).unwrap_or(UNCUT)
}

/// The columns to lay a plan out for on standard output; without a terminal no line of it is cut.
pub(crate) fn stdout_plan_columns() -> usize {
    stdout_columns().unwrap_or(UNCUT)
}

/// The columns of the terminal behind standard output; `None` where there is none, so that nothing is cut in a pipe.
pub(crate) fn stdout_columns() -> Option<usize> {
    known_columns(std::io::stdout().is_terminal())
}

fn known_columns(is_terminal: bool) -> Option<usize> {
    let size = crossterm::terminal::size().ok().filter(|_| is_terminal);
    // A terminal that nobody told its size says that it has none.
    size.map(|(columns, _)| usize::from(columns)).filter(|columns| *columns > 0)
}
