//! Whatever the text, `parse` answers, and what it answers can be shown.

use pleach_core::config::{Style, parse};
use proptest::prelude::*;

const GOOD: &str = include_str!("config/good.toml");

/// What every answer to `text` keeps.
fn keeps_its_promises(text: &str) -> Result<(), TestCaseError> {
    let Err(errors) = parse("pleach.toml", text) else { return Ok(()) };
    prop_assert!(!errors.problems.is_empty());
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in &errors.problems {
        prop_assert!(problem.line >= 1 && problem.line <= lines.len(), "{problem:?}");
        let line = lines[problem.line - 1].trim_end_matches('\r');
        prop_assert!(problem.column >= 1 && problem.column <= line.chars().count() + 1, "{problem:?}");
        prop_assert!(problem.width >= 1);
        prop_assert!(problem.caret <= problem.source.chars().count(), "{problem:?}");
        prop_assert!(!problem.what.is_empty() && !problem.what.contains("a defect in Pleach"), "{problem:?}\n{text}");
    }
    for width in [0, 40, 80, 200] {
        let plain = errors.render(width, Style::Plain);
        prop_assert!(plain.contains("pleach.toml:") && plain.ends_with('\n'));
        let escaped = plain.contains('\u{1b}');
        prop_assert!(!escaped, "{plain}");
        for line in plain.lines().filter(|line| line.contains(" | ")) {
            // A word can be longer than the line; an excerpt cannot.
            let numbered = line.trim_start().starts_with(|c: char| c.is_ascii_digit());
            prop_assert!(!numbered || line.chars().count() <= width.max(40), "{line}");
        }
        let colored = errors.render(width, Style::Color);
        prop_assert_eq!(without_colors(&colored), plain);
    }
    Ok(())
}

fn without_colors(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + part.split_once('m').map_or("", |(_, rest)| rest))
}

#[derive(Clone, Debug)]
enum Edit {
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, String),
    DropLine(prop::sample::Index),
    RepeatLine(prop::sample::Index),
    SwapLines(prop::sample::Index, prop::sample::Index),
}

fn pieces() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\"'\\[\\]{}=.,#\n\t a-z0-9]{1,4}",
        "\\PC{1,3}",
        prop::sample::select(vec![
            "\"\"\"",
            "'''",
            " = 5",
            " = true",
            " = []",
            " = {}",
            "[services.x]\n",
            "[[services]]\n",
            "nan",
            "-1",
            "1e400",
            "99999999999999999999",
            "1979-05-27",
            "\r\n",
            "\0",
            "\u{feff}",
            "x = 1\n",
            "after = [\"nl-sql\"]\n",
            "\"\"",
        ])
        .prop_map(str::to_owned),
    ]
}

fn edits() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), 1usize..12).prop_map(|(at, count)| Edit::Remove(at, count)),
        (at(), pieces()).prop_map(|(at, text)| Edit::Insert(at, text)),
        at().prop_map(Edit::DropLine),
        at().prop_map(Edit::RepeatLine),
        (at(), at()).prop_map(|(one, other)| Edit::SwapLines(one, other)),
    ]
}

fn apply(text: &str, edit: &Edit) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let mut lines: Vec<&str> = text.split('\n').collect();
    match edit {
        Edit::Remove(at, count) if !chars.is_empty() => {
            let at = at.index(chars.len());
            chars.drain(at..(at + count).min(chars.len()));
            chars.into_iter().collect()
        }
        Edit::Insert(at, piece) => {
            let at = at.index(chars.len() + 1);
            chars.splice(at..at, piece.chars());
            chars.into_iter().collect()
        }
        Edit::DropLine(at) => {
            lines.remove(at.index(lines.len()));
            lines.join("\n")
        }
        Edit::RepeatLine(at) => {
            let at = at.index(lines.len());
            lines.insert(at, lines[at]);
            lines.join("\n")
        }
        Edit::SwapLines(one, other) => {
            let (one, other) = (one.index(lines.len()), other.index(lines.len()));
            lines.swap(one, other);
            lines.join("\n")
        }
        Edit::Remove(..) => String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,200}|[\\[\\]{}=.\"'#\n a-z0-9,-]{0,120}") {
        keeps_its_promises(&text)?;
    }

    #[test]
    fn any_slip_in_a_good_config_gets_an_answer(edits in prop::collection::vec(edits(), 1..5)) {
        let text = edits.iter().fold(GOOD.to_owned(), |text, edit| apply(&text, edit));
        keeps_its_promises(&text)?;
    }

    #[test]
    fn a_secret_that_was_written_into_the_file_is_never_shown(
        edits in prop::collection::vec(edits(), 0..4),
        entry in prop::sample::select(vec![
            "API_TOKEN = { secret = \"hunter2hunter2\" }",
            "API_TOKEN = { secrt = \"hunter2hunter2\" }",
            "API_TOKEN = { secret = \"\"\"\nhunter2hunter2\n\"\"\" }",
            "API_TOKEN.secret = 'hunter2hunter2'",
            "API_TOKEN = [\"hunter2hunter2\"]",
            "API_TOKEN = { secret = { value = \"hunter2hunter2\" } }",
            "API_TOKEN = { secret = \"hunter2hunter2",
        ]),
    ) {
        let start = "[project]\nname = \"x\"\n[services.a]\nbranch = \"a\"\n";
        let other = edits.iter().fold(start.to_owned(), |text, edit| apply(&text, edit));
        let text = format!("{other}\n[services.a.environment]\n{entry}\n");
        if let Err(errors) = parse("pleach.toml", &text) {
            let all = format!("{errors:?} {errors} {}", errors.render(80, Style::Plain));
            prop_assert!(!all.contains("hunter2"), "{all}");
        }
    }
}

#[test]
fn a_quote_that_was_not_closed_takes_no_secret_into_the_message() {
    let text =
        "[services.a]\nbranch = \"\"\" \"a\"\n[services.a.environment]\nTOKEN = { secret = \"hunter2hunter2\" }\n";
    let errors = parse("pleach.toml", text).expect_err("it is not closed");
    let all = format!("{errors:?} {errors} {}", errors.render(80, Style::Plain));
    assert!(all.contains("is not the name of a branch") && !all.contains("hunter2"), "{all}");
}
