//! Lines and columns of bytes.

use std::ops::Range;

use super::tree::Span;

/// Where each line of a text starts and ends, without its line end.
pub(super) struct Lines<'t> {
    text: &'t str,
    lines: Vec<Range<usize>>,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let mut lines = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let content = line.strip_suffix('\n').unwrap_or(line);
            let content = content.strip_suffix('\r').unwrap_or(content);
            lines.push(start..start + content.len());
            start += line.len();
        }
        if lines.is_empty() {
            lines.push(0..0);
        }
        Self { text, lines }
    }

    /// The number of the line that `byte` is in, from 0. A byte behind the end is in the last line.
    pub(super) fn number(&self, byte: usize) -> usize {
        self.lines.partition_point(|line| line.start <= byte).saturating_sub(1)
    }

    pub(super) fn range(&self, number: usize) -> Range<usize> {
        self.lines.get(number).cloned().unwrap_or_default()
    }

    pub(super) fn line(&self, number: usize) -> &'t str {
        &self.text[self.range(number)]
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (Range<usize>, &'t str)> {
        self.lines.iter().map(|line| (line.clone(), &self.text[line.clone()]))
    }

    /// The part of `span` in its first line, moved to where a caret can stand: inside the line or right behind its end.
    pub(super) fn clip(&self, span: &Span) -> Span {
        let line = self.range(self.number(span.start));
        let start = self.floor(span.start.clamp(line.start, line.end));
        let end = self.floor(span.end.clamp(start, line.end));
        start..end
    }

    /// A parser may point into the middle of a character.
    fn floor(&self, byte: usize) -> usize {
        (0..=byte).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or_default()
    }
}
