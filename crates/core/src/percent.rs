//! Shares of a hundred as people write them: `10%`, `0.5%`.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A share, `0%` to `100%`, as precise as a hundredth of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(u16);

/// Why a text is not a share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a percentage such as `10%` or `0.5%`")]
pub struct PercentError(String);

impl Percent {
    /// So many whole percent; more than a hundred are a hundred.
    pub const fn whole(percent: u8) -> Self {
        Self(if percent < 100 { percent as u16 * 100 } else { 10_000 })
    }

    /// The whole percent; `None` if there is a fraction.
    pub fn as_whole(self) -> Option<u8> {
        u8::try_from(self.0 / 100).ok().filter(|_| self.0.is_multiple_of(100))
    }

    /// Whether `part` is more than this share of `all`.
    pub fn is_exceeded(self, part: u64, all: u64) -> bool {
        u128::from(part) * 10_000 > u128::from(all) * u128::from(self.0)
    }
}

impl FromStr for Percent {
    type Err = PercentError;

    fn from_str(text: &str) -> Result<Self, PercentError> {
        let refuse = || PercentError(text.to_owned());
        let number = text.strip_suffix('%').ok_or_else(refuse)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || whole.len() > 3 || fraction.len() > 2 {
            return Err(refuse());
        }
        let whole: u16 = whole.parse().map_err(|_| refuse())?;
        let hundredths: u16 = format!("{fraction:0<2}").parse().map_err(|_| refuse())?;
        Some(whole * 100 + hundredths).filter(|all| *all <= 10_000).map(Self).ok_or_else(refuse)
    }
}

impl TryFrom<String> for Percent {
    type Error = PercentError;

    fn try_from(text: String) -> Result<Self, PercentError> {
        text.parse()
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> String {
        percent.to_string()
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        match (hundredths, hundredths % 10) {
            (0, _) => write!(f, "{whole}%"),
            (_, 0) => write!(f, "{whole}.{}%", hundredths / 10),
            _ => write!(f, "{whole}.{hundredths:02}%"),
        }
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "percent",
            "description": "A share of a hundred: `10%`, `0.5%`.",
            "examples": ["10%", "0.5%"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in ["0%", "1%", "10%", "0.5%", "12.34%", "0.05%", "100%"] {
            assert_eq!(text.parse::<Percent>().expect(text).to_string(), text);
        }
        assert_eq!("10.50%".parse::<Percent>().expect("a share").to_string(), "10.5%");
        for bad in ["", "%", "10", "10 %", "-1%", "100.01%", "101%", "1.234%", "1.%", ".5%", "9999999%"] {
            assert!(bad.parse::<Percent>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_share_is_exceeded_by_more_than_it_and_not_by_as_much() {
        let one: Percent = "1%".parse().expect("a share");
        assert!(!one.is_exceeded(1, 100));
        assert!(one.is_exceeded(2, 100));
        assert!(one.is_exceeded(1, 99));
        assert!(!one.is_exceeded(0, 0));
        assert_eq!(
            (Percent::whole(10).as_whole(), "0.5%".parse::<Percent>().expect("a share").as_whole()),
            (Some(10), None)
        );
    }
}
