//! People's words on one line.
//!
//! A backslash and every control character become `\0ooo`, three octal digits for each byte: what `printf %b` of a POSIX
//! shell turns back, so that the scripts can, and what keeps a line a line and a terminal calm.

use std::fmt::Write;

/// Makes one line of any text.
pub(crate) fn escape(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\\' || c.is_control() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                // Writing to a string does not fail.
                let _ = write!(line, "\\0{byte:03o}");
            }
        } else {
            line.push(c);
        }
    }
    line
}

/// The text of a line that [`escape`] made; what it did not make stays as it is.
pub(crate) fn unescape(line: &str) -> String {
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = |digits: &[u8]| digits.iter().all(|digit| (b'0'..=b'7').contains(digit));
        match tail {
            [b'0', a @ b'0'..=b'3', b, c, after @ ..] if first == b'\\' && octal(&[*b, *c]) => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_becomes_one_line_and_itself_again(text in any::<String>()) {
            let line = escape(&text);
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert_eq!(unescape(&line), text);
        }
    }
}
