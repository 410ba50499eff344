//! A block of lines that is redrawn in place.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::print::width;

/// The shortest time between two frames.
const PACE: Duration = Duration::from_millis(100);

/// What stands on the terminal now.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The columns of each line that was drawn, without colours.
    drawn: Vec<usize>,
    last: Option<Instant>,
}

impl Block {
    /// Whether the next frame may be drawn yet.
    pub(crate) fn is_due(&self) -> bool {
        self.last.is_none_or(|last| last.elapsed() >= PACE)
    }

    /// Replaces the block with these lines, each narrower than `columns`.
    pub(crate) fn draw(&mut self, lines: &[String], columns: usize) {
        let mut bytes = String::from("\u{1b}[?2026h");
        bytes.push_str(&self.back(columns));
        for line in lines {
            bytes.push_str(line);
            bytes.push_str("\u{1b}[K\n");
        }
        bytes.push_str("\u{1b}[J\u{1b}[?2026l");
        write(&bytes);
        self.drawn = lines.iter().map(|line| width(&crate::print::clean(line))).collect();
        self.last = Some(Instant::now());
    }

    /// Takes the block away and leaves the cursor where it began.
    pub(crate) fn erase(&mut self, columns: usize) {
        if self.drawn.is_empty() {
            return;
        }
        write(&format!("{}\u{1b}[J", self.back(columns)));
        self.drawn.clear();
        self.last = None;
    }

    /// To the block's first line. A terminal that became narrower since has wrapped what was drawn.
    fn back(&self, columns: usize) -> String {
        let lines: usize = self.drawn.iter().map(|width| width.saturating_sub(1) / columns.max(1) + 1).sum();
        if lines == 0 { String::new() } else { format!("\r\u{1b}[{lines}A") }
    }
}

fn write(bytes: &str) {
    // A terminal that has gone away must not end the run: its answer is in the journal.
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(bytes.as_bytes()).and_then(|()| stderr.flush());
}
