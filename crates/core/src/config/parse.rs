//! From text to a config, or to all that is wrong with it.

use super::mask::Mask;
use super::path::KeyPath;
use super::place::Lines;
use super::problem::{ConfigErrors, Problem};
use super::project::Config;
use super::rule::Finding;
use super::schema::schema;
use super::tree::{self, Node, Span, SyntaxError};
use super::validate::{Fault, validate};

/// Reads a config. `file_name` is used in messages only.
///
/// Either the config keeps every promise of its types and rules, or all problems are told at once, each with its place.
/// Messages and excerpts never contain a value that may be a secret.
pub fn parse(file_name: &str, text: &str) -> Result<Config, ConfigErrors> {
    let (root, syntax) = tree::read(text);
    let (value, mut faults) = validate(&root, &schema());
    let broken = syntax.iter().any(|error| !error.is_duplicate());
    let lines = Lines::of(text);
    if broken {
        // What the parser could not read is not missing, and what stands in such a line is not what was meant.
        let bad: Vec<usize> = syntax.iter().map(|error| lines.number(error.span.start)).collect();
        faults.retain(|fault| !fault.missing && !bad.contains(&lines.number(fault.span.start)));
    }
    let mask = Mask::of(&root, &lines, &syntax);
    let mut problems: Vec<Problem> =
        syntax.iter().map(|error| problem(&lines, &mask, told(&root, &lines, text, error))).collect();
    let config: Result<Config, _> = serde_json::from_value(value);
    match &config {
        Ok(config) if !broken => faults.extend(ruled(config, &root, &faults)),
        Err(_) if faults.is_empty() && syntax.is_empty() => faults.push(Fault {
            path: KeyPath::top(),
            span: 0..0,
            // The cause may quote a value, and this is the one place that does not know which.
            what: "this file fits the schema and is not a config: a defect in Pleach".into(),
            expected: None,
            nearest: None,
            missing: false,
        }),
        _ => {}
    }
    problems.extend(faults.into_iter().map(|fault| problem(&lines, &mask, fault)));
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems.dedup();
    match config {
        Ok(config) if problems.is_empty() => Ok(config),
        _ => Err(ConfigErrors { file: file_name.to_owned(), problems }),
    }
}

/// What the rules find, except behind a fault: there the config has an example instead of what was written.
fn ruled(config: &Config, root: &Node, faults: &[Fault]) -> Vec<Fault> {
    let untrue = |finding: &Finding| faults.iter().any(|fault| finding.rests_on(&fault.path));
    let found = config.findings().into_iter().filter(|finding| !untrue(finding));
    found
        .map(|finding| Fault {
            span: root.place(&finding.key, finding.aim),
            path: finding.key,
            what: finding.what,
            expected: finding.expected,
            nearest: finding.nearest,
            missing: false,
        })
        .collect()
}

fn problem(lines: &Lines<'_>, mask: &Mask<'_>, fault: Fault) -> Problem {
    let number = lines.number(fault.span.start);
    let line = mask.line(lines, number, &lines.clip(&fault.span));
    Problem {
        line: number + 1,
        column: line.column,
        width: line.width,
        key: fault.path,
        what: harmless(&fault.what),
        expected: fault.expected.as_deref().map(harmless),
        nearest: fault.nearest.as_deref().map(harmless),
        source: line.text,
        caret: line.caret,
    }
}

/// A value that is quoted may hold what steers a terminal; that does not pass. One of several lines is shown as its first: a
/// quote that was not closed takes in what follows, secrets included.
fn harmless(text: &str) -> String {
    let text = match text.find(['\n', '\r']) {
        Some(end) => {
            let rest = text[end..].rfind('`').map_or("", |close| &text[end + close..]);
            format!("{}…{rest}", &text[..end])
        }
        None => text.to_owned(),
    };
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn told(root: &Node, lines: &Lines<'_>, text: &str, error: &SyntaxError) -> Fault {
    let (what, expected) = if error.is_duplicate() {
        let key = text.get(error.span.clone()).unwrap_or_default();
        let first = first_place(root, key.trim_matches(['"', '\'']), &error.span);
        let number = lines.number(error.span.start);
        // Of two headers the parser keeps the second one.
        let header = || lines.all().position(|(_, line)| line.trim() == lines.line(number).trim());
        let first = first.map(|span| lines.number(span.start)).or_else(header).filter(|first| *first < number);
        let first = first.map(|first| format!("it is set in line {}", first + 1));
        (format!("key `{key}` is set twice"), first)
    } else {
        match error.message.split_once(", expected ") {
            // The parser takes all that is no value for a text without quotes.
            Some(("string values must be quoted", _)) => (
                "not TOML: there is no value here".to_owned(),
                Some("expected a text in quotes, a number, `true` or `false`, a list or a table".to_owned()),
            ),
            Some((what, expected)) => (format!("not TOML: {what}"), Some(format!("expected {expected}"))),
            None => (format!("not TOML: {}", error.message), None),
        }
    };
    Fault { path: KeyPath::top(), span: error.span.clone(), what, expected, nearest: None, missing: false }
}

/// The last key of that name before `span`: the parser keeps the first one of two.
fn first_place(root: &Node, key: &str, span: &Span) -> Option<Span> {
    let mut found: Option<Span> = None;
    root.visit(&KeyPath::top(), &mut |_, member| {
        let before = member.key == key && member.key_span.start < span.start;
        if before && found.as_ref().is_none_or(|other| other.start < member.key_span.start) {
            found = Some(member.key_span.clone());
        }
    });
    found
}
