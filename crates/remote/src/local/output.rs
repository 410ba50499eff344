//! What a command prints: lines for people as they come, the end of it for later.

use pleach_core::port::{LineSink, Stream};

/// How much of each stream is kept: its end. As much as is kept of an HTTP answer, so that a fact read by a command may be as
/// large as one that is asked for.
pub(crate) const KEPT_BYTES: usize = 1024 * 1024;

/// The longest line that is handed on in one piece.
const LINE_BYTES: usize = 16 * 1024;

/// Takes one stream apart.
#[derive(Debug)]
pub(crate) struct Output {
    stream: Stream,
    kept: Vec<u8>,
    line: Vec<u8>,
}

impl Output {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, kept: Vec::new(), line: Vec::new() }
    }

    pub(crate) fn take(&mut self, chunk: &[u8], lines: &dyn LineSink) {
        self.kept.extend_from_slice(chunk);
        // Cut in large steps: cutting at every chunk would move the kept bytes each time.
        if self.kept.len() > 2 * KEPT_BYTES {
            self.kept.drain(..self.kept.len() - KEPT_BYTES);
        }
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= LINE_BYTES {
                self.end_line(lines);
            }
        }
    }

    fn end_line(&mut self, lines: &dyn LineSink) {
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        lines.line(self.stream, &String::from_utf8_lossy(line));
        self.line.clear();
    }

    /// The end of the stream.
    pub(crate) fn finish(mut self, lines: &dyn LineSink) -> Vec<u8> {
        if !self.line.is_empty() {
            self.end_line(lines);
        }
        self.kept.drain(..self.kept.len().saturating_sub(KEPT_BYTES));
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);

    impl LineSink for Seen {
        fn line(&self, _: Stream, line: &str) {
            self.0.lock().expect("not poisoned").push(line.to_owned());
        }
    }

    #[test]
    fn lines_come_whole_however_the_bytes_are_cut() {
        let seen = Seen::default();
        let mut output = Output::new(Stream::Stdout);
        for chunk in [b"on".as_slice(), b"e\r\ntw\xff", b"o\n", b"three"] {
            output.take(chunk, &seen);
        }
        assert_eq!(output.finish(&seen), b"one\r\ntw\xffo\nthree");
        assert_eq!(*seen.0.lock().expect("not poisoned"), ["one", "tw\u{fffd}o", "three"]);
    }

    #[test]
    fn of_endless_output_the_end_is_kept_and_a_line_without_end_is_handed_on() {
        let seen = Seen::default();
        let mut output = Output::new(Stream::Stderr);
        for _ in 0..4 * KEPT_BYTES / 8192 {
            output.take(&[b'x'; 8192], &seen);
        }
        output.take(b"end", &seen);
        let kept = output.finish(&seen);
        assert_eq!(kept.len(), KEPT_BYTES);
        assert!(kept.ends_with(b"xend"));
        assert!(seen.0.lock().expect("not poisoned").len() > 100);
    }
}
