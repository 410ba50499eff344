//! Keeping secrets out of what is shown and kept of a program's output.
//!
//! A build that fails prints its variables, a service prints its connection string before it dies. Whatever a command or a
//! service says is searched for the secrets that it was given, as they are and in the forms that programs commonly print:
//! JSON, percent-encoding, hexadecimal, base64, and as shells quote what they trace. One shorter than [`SHORTEST`] is not searched for: it would be found in
//! words that have nothing to do with it.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use pleach_core::port::{Command, LineSink, Stream, Value};

use crate::local::hex;

/// The shortest text that is searched for, in bytes.
pub const SHORTEST: usize = 4;

/// What stands in a secret's place.
const MASK: &str = "[secret]";

/// The secrets of one command or service.
#[derive(Clone, Default)]
pub struct Mask {
    /// The longest first: one secret may be the beginning of another.
    forms: Arc<[String]>,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mask").field("forms", &self.forms.len()).finish()
    }
}

impl Mask {
    /// Of these secrets.
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let secrets = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST);
        let mut forms: Vec<String> = secrets.flat_map(forms).collect();
        forms.retain(|form| form.len() >= SHORTEST);
        forms.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
        forms.dedup();
        Self { forms: forms.into() }
    }

    /// Of what a command is given.
    pub(crate) fn of_command(command: &Command) -> Self {
        Self::of(secrets(command.environment.values()))
    }

    /// The text without the secrets.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut masked = Cow::Borrowed(text);
        for form in self.forms.iter() {
            if masked.contains(form.as_str()) {
                masked = Cow::Owned(masked.replace(form.as_str(), MASK));
            }
        }
        masked
    }

    /// The bytes without the secrets.
    pub(crate) fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        if !self.forms.iter().any(|form| find(&bytes, form.as_bytes()).is_some()) {
            return bytes;
        }
        let mut masked = bytes;
        for form in self.forms.iter() {
            let mut rest = masked.as_slice();
            let mut out = Vec::with_capacity(masked.len());
            while let Some(at) = find(rest, form.as_bytes()) {
                out.extend_from_slice(&rest[..at]);
                out.extend_from_slice(MASK.as_bytes());
                rest = &rest[at + form.len()..];
            }
            out.extend_from_slice(rest);
            masked = out;
        }
        masked
    }
}

/// The secrets among values.
pub(crate) fn secrets<'a>(values: impl Iterator<Item = &'a Value>) -> impl Iterator<Item = &'a str> {
    values.filter_map(|value| match value {
        Value::Plain(_) => None,
        Value::Secret(secret) => Some(secret.expose()),
    })
}

fn find(bytes: &[u8], form: &[u8]) -> Option<usize> {
    bytes.windows(form.len()).position(|window| window == form)
}

/// A secret as programs print it; one of several lines also line by line, because that is how output is read.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    if secret.contains('\n') {
        forms.extend(secret.lines().map(|line| line.trim().to_owned()));
    }
    let json = serde_json::Value::from(secret).to_string();
    forms.push(json.trim_matches('"').to_owned());
    let percent = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    forms.push(secret.bytes().map(percent).collect());
    let hex = hex(secret.as_bytes());
    forms.push(hex.to_uppercase());
    forms.push(hex);
    forms.push(STANDARD_NO_PAD.encode(secret));
    forms.push(URL_SAFE_NO_PAD.encode(secret));
    forms.extend(shell_forms(secret));
    forms
}

/// A secret as `set -x` and `printf %q` write it: between single quotes, where each shell writes a single quote in its own
/// way; with backslashes; and, where something in it is not printable, as bash's `$'…'`.
fn shell_forms(secret: &str) -> [String; 5] {
    let backslashed = |c: char| match c {
        ' ' | '\'' | '"' | '\\' | '|' | '&' | ';' | '(' | ')' | '<' | '>' | '!' | '{' | '}' | '*' | '[' | ']' | '?'
        | '^' | '$' | '`' | ',' => format!("\\{c}"),
        c => c.to_string(),
    };
    let byte = |byte: u8| match byte {
        b'\\' | b'\'' => format!("\\{}", char::from(byte)),
        0x07 => "\\a".into(),
        0x08 => "\\b".into(),
        b'\t' => "\\t".into(),
        b'\n' => "\\n".into(),
        0x0b => "\\v".into(),
        0x0c => "\\f".into(),
        b'\r' => "\\r".into(),
        0x1b => "\\E".into(),
        b' '..=b'~' => char::from(byte).to_string(),
        byte => format!("\\{byte:03o}"),
    };
    // In a locale without UTF-8 what is not ASCII is not printable.
    let character = |c: char| if c.is_ascii() { byte(c as u8) } else { c.to_string() };
    [
        secret.replace('\'', "'\\''"),
        secret.replace('\'', "'\"'\"'"),
        secret.chars().map(backslashed).collect(),
        secret.bytes().map(byte).collect(),
        secret.chars().map(character).collect(),
    ]
}

/// Hands lines on without the secrets.
pub(crate) struct MaskedLines<'a> {
    pub(crate) mask: &'a Mask,
    pub(crate) lines: &'a dyn LineSink,
}

impl LineSink for MaskedLines<'_> {
    fn line(&self, stream: Stream, line: &str) {
        self.lines.line(stream, &self.mask.text(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_in_every_form_that_programs_print() {
        let secret = "p/a\"ss wörd";
        let mask = Mask::of([secret]);
        for printed in [
            "p/a\"ss wörd",
            r#"{"password":"p/a\"ss wörd"}"#,
            "postgres://odoo:p%2Fa%22ss%20w%C3%B6rd@db",
            "702f61227373207761",
            &STANDARD_NO_PAD.encode(secret),
            "x p/a\"ss wördp/a\"ss wörd y",
        ] {
            let masked = mask.text(printed);
            let is_cut = printed == "702f61227373207761";
            assert_eq!(masked.contains(MASK), !is_cut, "{printed}: {masked}");
            assert_eq!(mask.bytes(printed.as_bytes().to_vec()), masked.as_bytes());
        }
    }

    #[test]
    fn a_secret_is_taken_out_of_what_shells_trace() {
        let secrets = ["it's 100%", "tab\tand\nline", "wörd 'and' more", "a{b,c}$d\\e", "\u{1b}[31mred"];
        for (shell, locale) in [("sh", "C"), ("bash", "C"), ("bash", "C.UTF-8")] {
            for secret in secrets {
                let mut command = std::process::Command::new(shell);
                command.args(["-c", "set -x; true \"$S\" \"p=$S\"; X=$S; printf '%q\\n' \"$S\""]);
                let output = command.env("S", secret).env("LC_ALL", locale).output().expect("it runs");
                let said = String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned();
                let mask = Mask::of([secret]);
                let masked: Vec<String> = said.lines().map(|line| mask.text(line).into_owned()).collect();
                let (masked, words) =
                    (masked.join("\n"), ["it", "100%", "tab", "and", "line", "rd", "more", "b,c", "red"]);
                let left = words.iter().find(|word| masked.contains(*word));
                assert!(masked.contains(MASK) && left.is_none(), "{shell} {locale} {left:?}: {said}{masked}");
            }
        }
    }

    #[test]
    fn lines_of_a_key_are_taken_out_one_by_one_and_short_texts_are_left() {
        let mask = Mask::of(["-----BEGIN KEY-----\nMIIEvQ\n-----END KEY-----\n", "no"]);
        assert_eq!(mask.text("MIIEvQ"), MASK);
        assert_eq!(mask.text("nothing"), "nothing");
        assert_eq!(mask.text("6e6f"), "6e6f");
        assert!(!format!("{mask:?}").contains("MIIE"), "and it does not show them itself");
    }
}
