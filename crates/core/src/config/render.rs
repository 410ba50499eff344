//! Problems as text that people read.

use std::fmt::Write;

use super::problem::{ConfigErrors, Problem};
use crate::error::Explain;

/// Whether the text goes to a terminal that shows colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Letters only.
    Plain,
    /// With ANSI colours.
    Color,
}

#[derive(Clone, Copy)]
enum Paint {
    Error,
    Place,
    Caret,
    Hint,
}

impl Style {
    fn paint(self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Error => "1;31",
            Paint::Place => "1",
            Paint::Caret => "31",
            Paint::Hint => "32",
        };
        match self {
            Self::Plain => text.to_owned(),
            Self::Color => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

/// The least width that a text is laid out for.
const NARROWEST: usize = 40;

impl ConfigErrors {
    /// All problems as text: each with its line, a caret, what was expected and the nearest valid name; then the state and
    /// what to do next. Laid out for `width` columns, at least 40. Ends with a line end.
    pub fn render(&self, width: usize, style: Style) -> String {
        let width = width.max(NARROWEST);
        let mut out = format!("{}: {self}\n", style.paint(Paint::Error, "error"));
        let gutter = self.problems.iter().map(|problem| problem.line.to_string().len()).max().unwrap_or(1);
        for problem in &self.problems {
            let place = format!("{}:{}:{}", self.file, problem.line, problem.column);
            let what: Vec<(String, String)> = problem.what.split(' ').map(|word| (word.into(), word.into())).collect();
            let used = place.chars().count() + 4;
            let _ = writeln!(out, "  {}: {}", style.paint(Paint::Place, &place), wrap(&what, used, width, "      "));
            excerpt(&mut out, problem, gutter, width, style);
        }
        for (name, text) in [("state", self.state()), ("next", self.next())] {
            let _ = text.map(|text| writeln!(out, "  {}: {text}", style.paint(Paint::Place, name)));
        }
        out
    }
}

fn excerpt(out: &mut String, problem: &Problem, gutter: usize, width: usize, style: Style) {
    let indent = gutter + 4;
    let (source, caret) = window(&problem.source, problem.caret, width.saturating_sub(indent + 3));
    let _ = writeln!(out, "{:>indent$} | {source}", problem.line);
    let room = source.chars().count().saturating_sub(caret).max(1);
    let carets = "^".repeat(problem.width.min(room));
    let label = label(problem, style);
    let before = indent + 3 + caret + carets.len() + 1;
    let margin = format!("{:indent$} | {:caret$}", "", "");
    let painted = style.paint(Paint::Caret, &carets);
    if label.is_empty() {
        let _ = writeln!(out, "{margin}{painted}");
        return;
    }
    // Beside the carets if it fits there in one line, else below them over the whole width.
    let whole: usize = label.iter().map(|word| word.0.chars().count() + 1).sum();
    if before + whole <= width + 1 {
        let words: Vec<&str> = label.iter().map(|word| word.1.as_str()).collect();
        let _ = writeln!(out, "{margin}{painted} {}", words.join(" "));
        return;
    }
    let _ = writeln!(out, "{margin}{painted}");
    let margin = format!("{:indent$} | ", "");
    let _ = writeln!(out, "{margin}{}", wrap(&label, indent + 3, width, &margin));
}

/// The words in lines of at most `width` columns; the first has `used` of them already, the others start with `margin`.
fn wrap(words: &[(String, String)], used: usize, width: usize, margin: &str) -> String {
    let (mut out, mut at, mut fresh) = (String::new(), used, true);
    for (plain, painted) in words {
        let length = plain.chars().count();
        if !fresh && at + 1 + length > width {
            out.push('\n');
            out.push_str(margin);
            at = margin.chars().count();
            fresh = true;
        }
        if !fresh {
            out.push(' ');
            at += 1;
        }
        out.push_str(painted);
        at += length;
        fresh = false;
    }
    out
}

/// The words of the label, plain and painted.
fn label(problem: &Problem, style: Style) -> Vec<(String, String)> {
    let mut words: Vec<(String, String)> = Vec::new();
    if let Some(expected) = &problem.expected {
        words.extend(expected.split(' ').map(|word| (word.to_owned(), word.to_owned())));
    }
    if let Some(nearest) = &problem.nearest {
        if let Some((plain, painted)) = words.last_mut() {
            plain.push(';');
            painted.push(';');
        }
        let hint = format!("did you mean `{nearest}`?");
        words.extend(hint.split(' ').map(|word| (word.to_owned(), style.paint(Paint::Hint, word))));
    }
    words
}

/// The part of a long line around the caret, `room` characters at most, and the caret's place in it.
fn window(source: &str, caret: usize, room: usize) -> (String, usize) {
    let chars: Vec<char> = source.trim_end().chars().collect();
    if chars.len() <= room {
        return (chars.into_iter().collect(), caret);
    }
    let start = caret.saturating_sub(room / 2).min(chars.len().saturating_sub(room));
    let end = (start + room).min(chars.len());
    let mut shown: Vec<char> = chars[start..end].to_vec();
    if let Some(first) = shown.first_mut().filter(|_| start > 0) {
        *first = '…';
    }
    if let Some(last) = shown.last_mut().filter(|_| end < chars.len()) {
        *last = '…';
    }
    (shown.into_iter().collect(), caret - start)
}
