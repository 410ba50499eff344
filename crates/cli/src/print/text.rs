//! Text as a terminal shows it: its width in columns, cut and filled to fit, without anything that moves the cursor.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text in at most `columns`, its end replaced by `…` where it had to be cut.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else { return String::new() };
    let mut taken = 0;
    let mut kept: String = text
        .chars()
        .take_while(|character| {
            taken += character.width().unwrap_or(0);
            taken <= room
        })
        .collect();
    kept.push('…');
    kept
}

/// The text in lines of at most `columns`, broken between words, and within those that are longer.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.extend(pieces(word, columns)),
        }
    }
    lines
}

fn pieces(word: &str, columns: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for character in word.chars() {
        // What is wider than the whole line is left out, and it is shown that it was.
        let character = if character.width().unwrap_or(0) > columns { '…' } else { character };
        match pieces.last_mut() {
            Some(piece) if width(piece) + character.width().unwrap_or(0) <= columns => piece.push(character),
            _ => pieces.push(character.to_string()),
        }
    }
    pieces
}

/// The text in exactly `columns`, cut or filled with spaces.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let mut fitted = cut(text, columns);
    fitted.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&fitted))));
    fitted
}

/// A line that some program printed, without escape sequences and control characters: what it wrote for a terminal of
/// its own must not move ours.
pub(crate) fn clean(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => skip_escape(&mut characters),
            '\t' => clean.push_str("    "),
            // A progress bar returns to the line's start: only what it wrote last counts.
            '\r' if characters.peek().is_some() => clean.clear(),
            character if character.is_control() => {}
            character => clean.push(character),
        }
    }
    clean
}

fn skip_escape(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match characters.next() {
        // CSI: parameters, then one final byte (ECMA-48, 5.4).
        Some('[') => while characters.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {},
        // OSC: up to BEL or ST.
        Some(']') => {
            while let Some(c) = characters.next() {
                if c == '\u{7}' || (c == '\u{1b}' && characters.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_never_takes_more_columns_than_it_may() {
        for text in ["", "plain", "日本語のサービス", "e\u{301}e\u{301}", "🚀🚀🚀"] {
            for columns in 0..12 {
                assert!(width(&cut(text, columns)) <= columns, "{text:?} in {columns}");
                assert_eq!(width(&fit(text, columns)), columns, "{text:?} in {columns}");
            }
        }
        assert_eq!(cut("pr-review", 5), "pr-r…");
    }

    #[test]
    fn a_wrapped_text_is_whole_and_never_wider_than_it_may_be() {
        for text in ["", "plain", "a path/that/is/long and more", "日本語のサービス", "e\u{301}e\u{301} x"] {
            for columns in 2..40 {
                let lines = wrap(text, columns);
                assert!(lines.iter().all(|line| width(line) <= columns), "{lines:?} in {columns}");
                assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""), "in {columns}");
            }
        }
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    }

    #[test]
    fn nothing_that_moves_the_cursor_is_left() {
        assert_eq!(clean("\u{1b}[1;32mok\u{1b}[0m\tdone\u{7}"), "ok    done");
        assert_eq!(clean("10%\r50%\r100%"), "100%");
        assert_eq!(clean("100%\r"), "100%");
        assert_eq!(clean("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{7}"), "link");
        assert_eq!(clean("\u{1b}[2J\u{1b}[H"), "");
    }
}
