//! Keeps what may be a secret out of excerpts.
//!
//! Masked are all values below `environment`, below keys that look like a slip of `environment` or `secret`, and of keys
//! whose names smell of a secret. Where the file is not TOML there are no values to go by: then lines are judged by
//! their words, and rather too much is masked than too little.

use super::nearest::nearest;
use super::path::{KeyPath, Segment};
use super::place::Lines;
use super::tree::{Content, Node, Span, SyntaxError};

const STARS: &str = "***";
const SMELLS: [&str; 9] =
    ["secret", "password", "passwd", "token", "credential", "api-key", "api_key", "apikey", "private-key"];

pub(super) struct Mask<'t> {
    values: Vec<Span>,
    /// Starts of lines that are masked from their first `=`.
    lines: Vec<usize>,
    text: Vec<&'t str>,
}

/// A line as it may be shown, and what is meant in it.
pub(super) struct MaskedLine {
    pub(super) text: String,
    /// In the file's own line, from 1.
    pub(super) column: usize,
    /// In `text`, from 0.
    pub(super) caret: usize,
    pub(super) width: usize,
}

/// Whether nothing at `path` may be shown.
pub(super) fn is_sensitive(path: &KeyPath) -> bool {
    // The second key is always a name that the user chose: a service may be called `design-tokens`.
    let keys = path.0.iter().enumerate().filter(|(at, _)| *at != 1).filter_map(|(_, segment)| match segment {
        Segment::Key(key) => Some(key.as_str()),
        Segment::Index(_) => None,
    });
    let slip = |key: &str| key != "environments" && nearest(key, ["environment", "secret"]).is_some();
    let smells = |key: &str| SMELLS.iter().any(|smell| key.to_lowercase().contains(smell));
    let mut keys = keys.peekable();
    while let Some(key) = keys.next() {
        let last = keys.peek().is_none();
        if key == "environment" || key == "secret" || slip(key) || (last && smells(key)) {
            return true;
        }
    }
    false
}

impl<'t> Mask<'t> {
    pub(super) fn of(root: &Node, lines: &Lines<'t>, syntax: &[SyntaxError]) -> Self {
        let mut values = Vec::new();
        root.visit(&KeyPath::top(), &mut |path, member| {
            if is_sensitive(path) {
                leaves(&member.value, &mut values);
            }
        });
        let broken = syntax.iter().any(|error| !error.is_duplicate());
        let lines_masked = if broken { suspect(lines) } else { Vec::new() };
        Self { values, lines: lines_masked, text: lines.all().map(|(_, text)| text).collect() }
    }

    pub(super) fn line(&self, lines: &Lines<'_>, number: usize, span: &Span) -> MaskedLine {
        let range = lines.range(number);
        let line = self.text.get(number).copied().unwrap_or_default();
        let (from, to) = (span.start - range.start, span.end - range.start);
        let mut hidden: Vec<Span> = self
            .values
            .iter()
            .filter(|value| value.start < range.end && value.end > range.start)
            .map(|value| value.start.max(range.start) - range.start..value.end.min(range.end) - range.start)
            .collect();
        if self.lines.contains(&range.start) {
            hidden.clear();
            let value = line.find('=').map_or(line, |at| line[at + 1..].trim_start());
            hidden.push(line.len() - value.len()..line.len());
        }
        let mut text = String::new();
        let (mut start, mut end) = (None, None);
        let mut stars = 0..0;
        for (at, c) in line.char_indices() {
            let masked = hidden.iter().any(|range| range.contains(&at));
            if masked && stars.end != at {
                stars.start = text.chars().count();
                text.push_str(STARS);
            }
            let shown = if masked { stars.start } else { text.chars().count() };
            if at >= from && start.is_none() {
                start = Some(shown);
            }
            if at >= to && end.is_none() {
                end = Some(shown);
            }
            if masked {
                stars.end = at + c.len_utf8();
            } else {
                // One column each, so that carets stand right below; control characters must not reach a terminal.
                text.push(if c.is_control() { ' ' } else { c });
            }
        }
        let length = text.chars().count();
        let caret = start.unwrap_or(length);
        MaskedLine {
            column: line[..from].chars().count() + 1,
            caret,
            width: end.unwrap_or(length).saturating_sub(caret).max(1),
            text,
        }
    }
}

fn leaves(node: &Node, out: &mut Vec<Span>) {
    match &node.content {
        Content::Table(members) => members.iter().for_each(|member| leaves(&member.value, out)),
        Content::List(items) => items.iter().for_each(|item| leaves(item, out)),
        _ => out.push(node.span.clone()),
    }
}

/// The starts of lines that may hold a secret, judged by their words.
fn suspect(lines: &Lines<'_>) -> Vec<usize> {
    let mut found = Vec::new();
    let (mut in_section, mut unclosed) = (false, false);
    for (range, line) in lines.all() {
        let plain = line.trim().to_lowercase();
        let mentions = plain.replace("environments", "").contains("environment")
            || SMELLS.iter().any(|smell| plain.contains(smell));
        if plain.starts_with('[') && !unclosed {
            in_section = mentions;
            continue;
        }
        if in_section || unclosed || mentions {
            found.push(range.start);
            let count = |what: &str| plain.matches(what).count();
            let open = count("{") + count("[") > count("}") + count("]");
            let quoted = count("\"\"\"") % 2 == 1 || count("'''") % 2 == 1;
            let closes = count("}") + count("]") > count("{") + count("[") || quoted;
            unclosed = if unclosed { !closes } else { open || quoted };
        }
    }
    found
}
