//! `match` of a canary: which requests ask for the new release by themselves.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Requests that go to the new release whatever its part is: those that carry a header, or a cookie; exactly one of the two is
/// named. Who asks has the same release with each request, and people can test it before anybody else sees it: with `"0%"` as
/// the first of `steps`.
///
/// Istio, Flagger and Argo Rollouts call it `match` as well, ingress-nginx `canary-by-header`, `canary-by-header-value` and
/// `canary-by-cookie`; its values `always` and `never` have no meaning of their own here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CanaryMatch {
    /// The name of a header, in capitals or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"X-Canary")]
    pub header: Option<MatchName>,
    /// The name of a cookie, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"canary")]
    pub cookie: Option<MatchName>,
    /// What it must say, exactly; anything if absent. Of a header that lists several values one is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"always")]
    pub value: Option<MatchValue>,
}

/// The name of a header or cookie that is matched: letters, digits, `-`, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MatchName(String);

/// What a header or cookie that is matched says: letters, digits and `-_.:/+=@~`. Not what a proxy or a list of values could read
/// as something else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MatchValue(String);

/// Why a text is neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// No name.
    #[error("`{0}` is not the name of a header or cookie: letters, digits, `-`, `_` and `.`, at most {LONGEST}")]
    Name(String),
    /// No value.
    #[error("`{0}` is not a value that can be matched: letters, digits and `{SIGNS}`, at most {LONGEST}")]
    Value(String),
}

const LONGEST: usize = 100;
const SIGNS: &str = "-_.:/+=@~";

impl MatchName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl MatchValue {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_of(text: &str, signs: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || signs.as_bytes().contains(&byte);
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_good)
}

impl FromStr for MatchName {
    type Err = MatchError;

    fn from_str(text: &str) -> Result<Self, MatchError> {
        text.to_owned().try_into()
    }
}

impl FromStr for MatchValue {
    type Err = MatchError;

    fn from_str(text: &str) -> Result<Self, MatchError> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for MatchName {
    type Error = MatchError;

    fn try_from(text: String) -> Result<Self, MatchError> {
        if is_of(&text, "-_.") { Ok(Self(text)) } else { Err(MatchError::Name(text)) }
    }
}

impl TryFrom<String> for MatchValue {
    type Error = MatchError;

    fn try_from(text: String) -> Result<Self, MatchError> {
        if is_of(&text, SIGNS) { Ok(Self(text)) } else { Err(MatchError::Value(text)) }
    }
}

impl From<MatchName> for String {
    fn from(name: MatchName) -> Self {
        name.0
    }
}

impl From<MatchValue> for String {
    fn from(value: MatchValue) -> Self {
        value.0
    }
}

impl fmt::Display for MatchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for MatchValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for MatchName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MatchName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "match-name",
            "description": "The name of a header or cookie: letters, digits, `-`, `_` and `.`.",
            "examples": ["X-Canary", "canary"],
        })
    }
}

impl JsonSchema for MatchValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MatchValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "match-value",
            "description": "What a header or cookie says: letters, digits and `-_.:/+=@~`.",
            "examples": ["always", "insider"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_proxy_would_read_as_something_else_is_neither_name_nor_value() {
        for bad in ["", "a b", "a,b", "a}", "a\"", "a'", "$HOME", "a\\", "a#b", "a\nb", "ä", "a(b)", "%[x]", "a;b"] {
            assert!(bad.parse::<MatchName>().is_err(), "{bad:?}");
            assert!(bad.parse::<MatchValue>().is_err(), "{bad:?}");
        }
        assert!("X-Canary".parse::<MatchName>().is_ok() && "a:b".parse::<MatchName>().is_err());
        for good in ["always", "-i", "a:b/c=d", "me@example.com", &"x".repeat(LONGEST)] {
            assert_eq!(good.parse::<MatchValue>().expect("a value").as_str(), good);
        }
        assert!("x".repeat(LONGEST + 1).parse::<MatchValue>().is_err());
    }
}
