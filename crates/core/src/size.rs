//! Amounts of memory as people write them: `512MiB`, `2GiB`.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The units, largest first.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);

/// Why a text is not an amount of memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size such as `512MiB` or `2GiB`")]
pub struct SizeError(String);

impl FromStr for Size {
    type Err = SizeError;
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let refuse = || SizeError(text.to_owned());
        let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = UNITS.iter().find(|(unit, _)| *unit == &text[number.len()..]).ok_or_else(refuse)?;
        let number: u64 = number.trim_end().parse().map_err(|_| refuse())?;
        number.checked_mul(unit.1).map(Self).ok_or_else(refuse)
    }
}

impl TryFrom<String> for Size {
    type Error = SizeError;
    fn try_from(text: String) -> Result<Self, SizeError> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> String {
        size.to_string()
    }
}

/// In the largest unit that leaves no remainder.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, bytes)| self.0 >= *bytes && self.0.is_multiple_of(*bytes));
        let (unit, bytes) = whole.copied().unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "size",
            "description": "A number of bytes: `512MiB`, `2GiB`.",
            "examples": ["512MiB", "2GiB"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for (text, bytes) in [("0B", 0), ("512MiB", 512 << 20), ("2GiB", 2 << 30), ("1025KiB", 1025 << 10), ("7B", 7)] {
            let size: Size = text.parse().expect(text);
            assert_eq!((size.0, size.to_string()), (bytes, text.to_owned()));
        }
        assert_eq!("1024 MiB".parse(), Ok(Size(1 << 30)));
        for bad in ["", "512", "MiB", "1.5GiB", "-1MiB", "1MB", "99999999999GiB", "1mib"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }
}
