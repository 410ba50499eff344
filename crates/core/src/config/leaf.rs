//! Texts and numbers against the schema.

use serde_json::{Number, Value};

use super::matching::{MatchName, MatchValue};
use super::tree::Content;
use crate::percent::Percent;
use crate::period::Period;
use crate::plan::BatchSize;
use crate::port::SecretName;
use crate::size::Size;
use crate::word::{NAME_PATTERN, ServiceName};

/// What kind of value it is, for "… is a list".
pub(super) fn kind(content: &Content) -> &'static str {
    match content {
        Content::Text(_) => "a text",
        Content::Whole(_) => "a whole number",
        Content::Fraction(_) => "a number",
        Content::Truth(_) => "`true` or `false`",
        Content::Moment => "a date or time",
        Content::List(_) => "a list",
        Content::Table(_) => "a table",
    }
}

/// The same value, written as the type that `schema` wants, if it is plain what was meant.
pub(super) fn retyped(content: &Content, schema: &Value) -> Option<String> {
    match (content, schema["type"].as_str(), schema["format"].as_str()) {
        (Content::Text(text), Some("integer"), _) => text.parse::<u32>().ok().map(|number| number.to_string()),
        (Content::Text(text), Some("boolean"), _) => text.parse::<bool>().ok().map(|truth| truth.to_string()),
        (Content::Whole(Some(number @ 0..)), _, Some("period")) => Some(format!("\"{number}s\"")),
        _ => None,
    }
}

/// The value, if it fits; else what is wrong with it.
pub(super) fn check(content: &Content, schema: &Value) -> Result<Value, String> {
    match content {
        Content::Text(text) => check_text(text, schema).map(|()| Value::String(text.clone())),
        Content::Whole(None) => Err("this number is too large".to_owned()),
        Content::Whole(Some(number)) => {
            let least = schema["minimum"].as_i64().unwrap_or(i64::MIN);
            // Widths come as formats; all of ours are without sign.
            let width = match schema["format"].as_str() {
                Some("uint8") => i64::from(u8::MAX),
                Some("uint16") => i64::from(u16::MAX),
                Some("uint32") => i64::from(u32::MAX),
                _ => i64::MAX,
            };
            let most = schema["maximum"].as_i64().unwrap_or(i64::MAX).min(width);
            let above = schema["exclusiveMinimum"].as_f64();
            #[expect(clippy::cast_precision_loss, reason = "only its sign and rough size matter")]
            let low = *number < least || above.is_some_and(|above| *number as f64 <= above);
            match (low, *number > most) {
                (true, _) => Err(format!("{number} is too small")),
                (_, true) => Err(format!("{number} is too large")),
                _ => Ok(Value::Number((*number).into())),
            }
        }
        Content::Fraction(number) => {
            let above = schema["exclusiveMinimum"].as_f64();
            match Number::from_f64(*number) {
                Some(_) if above.is_some_and(|above| *number <= above) => Err(format!("{number} is too small")),
                Some(finite) => Ok(Value::Number(finite)),
                None => Err(format!("{number} is not a finite number")),
            }
        }
        Content::Truth(truth) => Ok(Value::Bool(*truth)),
        Content::Moment | Content::List(_) | Content::Table(_) => Err(format!("this is {}", kind(content))),
    }
}

fn check_text(text: &str, schema: &Value) -> Result<(), String> {
    if (text.chars().count() as u64) < schema["minLength"].as_u64().unwrap_or_default() {
        return Err("this text is empty".to_owned());
    }
    if text.contains('\0') {
        return Err("this text has a NUL character".to_owned());
    }
    if let Some(format) = schema["format"].as_str() {
        fits_format(format, text)?;
    }
    schema["pattern"].as_str().map_or(Ok(()), |pattern| fits_pattern(pattern, text))
}

fn fits_format(format: &str, text: &str) -> Result<(), String> {
    match format {
        "period" => text.parse::<Period>().map(drop).map_err(|_| format!("`{text}` is not a length of time")),
        "percent" => text.parse::<Percent>().map(drop).map_err(|_| format!("`{text}` is not a percentage")),
        "size" => text.parse::<Size>().map(drop).map_err(|_| format!("`{text}` is not a size")),
        "secret" => text.parse::<SecretName>().map(drop).map_err(|_| "this does not name a secret".to_owned()),
        "batch-size" => text.parse::<BatchSize>().map(drop).map_err(|_| format!("`{text}` is not the size of a batch")),
        "match-name" => text.parse::<MatchName>().map(drop).map_err(|error| error.to_string()),
        "match-value" => text.parse::<MatchValue>().map(drop).map_err(|error| error.to_string()),
        "branch" => check_branch(text),
        "http-path" => check_http_path(text),
        _ => Ok(()),
    }
}

/// The only patterns are those of the words; each is checked by the word's own constructor, so both say the same.
pub(super) fn fits_pattern(pattern: &str, text: &str) -> Result<(), String> {
    if pattern == NAME_PATTERN { ServiceName::new(text).map(drop).map_err(|error| error.to_string()) } else { Ok(()) }
}

/// The rules of git-check-ref-format(1) for `refs/heads/NAME`, and no `-` in front.
fn check_branch(name: &str) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("`{name}` is not the name of a branch: {why}"));
    if name.is_empty() {
        return Err("the name of the branch is empty".to_owned());
    }
    let foreign = |c: &char| c.is_ascii_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    if let Some(c) = name.chars().find(foreign) {
        return refuse(&format!("it has {c:?}"));
    }
    if let Some(part) = ["..", "@{", "//"].iter().find(|part| name.contains(**part)) {
        return refuse(&format!("it has `{part}`"));
    }
    if name.starts_with(['-', '/']) || name.ends_with(['/', '.']) || name == "@" || name == "HEAD" {
        return refuse("of its start or end");
    }
    match name.split('/').find(|part| part.starts_with('.') || part.ends_with(".lock")) {
        Some(part) => refuse(&format!("no part may be like `{part}`")),
        None => Ok(()),
    }
}

fn check_http_path(path: &str) -> Result<(), String> {
    let whole = ["http://", "https://"].iter().any(|scheme| path.len() > scheme.len() && path.starts_with(scheme));
    if path.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Err(format!("{path:?} has white space"))
    } else if whole || path.starts_with('/') {
        Ok(())
    } else {
        Err(format!("`{path}` is neither a path nor a URL"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_named_as_git_names_them() {
        for good in ["main", "skill/pr-review", "a.b", "ä", "feature/@x", "release-1.2"] {
            assert_eq!(check_branch(good), Ok(()), "{good}");
        }
        for bad in [
            "", "a b", "-x", "/a", "a/", "a//b", "a..b", "a.lock", "x/.y", "a.", "@", "a@{1", "a~1", "a\nb", "HEAD",
            "x.lock/y",
        ] {
            assert!(check_branch(bad).is_err(), "{bad:?}");
        }
    }
}
