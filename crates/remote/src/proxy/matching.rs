//! Requests that ask for a release by themselves, and the rules of HAProxy that lead them there.
//!
//! Rules cannot be changed while HAProxy runs, servers can. So the rules stand in the backend for good, one for each of the two
//! servers, and each has a *flag*: a server of weight 0 that no request ever goes to, and whose state says whether its rule counts.
//! The flags bear a digest of the rule in their names: so it can be read back which rule a worker has loaded.
//!
//! ```text
//! # match header X-Canary always
//! use-server green if { req.hdr(X-Canary) -m str -- always } { srv_is_up(match-8c1d2e3f-green) }
//! server match-8c1d2e3f-green 127.0.0.1:1 weight 0 disabled
//! ```
//!
//! A reload is needed once for each new rule; the flags are set like all servers, in the file as at run time.

use std::fmt;

use pleach_core::config::{CanaryMatch, MatchName, MatchValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::backend::Slot;
use crate::local::hex;

/// Which requests ask by themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Matching {
    /// Where it is looked for.
    pub place: MatchPlace,
    /// The name of the header or cookie.
    pub name: MatchName,
    /// What it says; anything if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<MatchValue>,
}

/// What part of a request is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatchPlace {
    /// A header.
    Header,
    /// A cookie.
    Cookie,
}

/// The rules of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Matched {
    /// Which requests.
    pub matching: Matching,
    /// Where they go, also with weight 0; by the weights, as all others, if nowhere.
    pub to: Option<Slot>,
}

/// What the names of flags begin with.
pub(super) const FLAG: &str = "match-";

impl MatchPlace {
    fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Cookie => "cookie",
        }
    }
}

impl Matching {
    /// What the config names; nothing where it names neither or both.
    pub fn of(config: &CanaryMatch) -> Option<Self> {
        let CanaryMatch { header, cookie, value } = config;
        let (place, name) = match (header, cookie) {
            (Some(header), None) => (MatchPlace::Header, header),
            (None, Some(cookie)) => (MatchPlace::Cookie, cookie),
            _ => return None,
        };
        Some(Self { place, name: name.clone(), value: value.clone() })
    }

    /// The name of the server that says whether the rule for `slot` counts.
    pub(super) fn flag(&self, slot: Slot) -> String {
        format!("{FLAG}{}-{slot}", &hex(&Sha256::digest(self.words()))[..8])
    }

    /// The same as a comment of the file has it.
    pub(super) fn words(&self) -> String {
        let Self { place, name, value } = self;
        let value = value.as_ref().map(|value| format!(" {value}")).unwrap_or_default();
        format!("{} {name}{value}", place.as_str())
    }

    /// Reads [`words`](Self::words).
    pub(super) fn parse(words: &[&str]) -> Option<Self> {
        let (place, name, value) = match *words {
            [place, name] => (place, name, None),
            [place, name, value] => (place, name, Some(value)),
            _ => return None,
        };
        let place = [MatchPlace::Header, MatchPlace::Cookie].into_iter().find(|known| known.as_str() == place)?;
        let value = value.map(str::parse).transpose().ok()?;
        Some(Self { place, name: name.parse().ok()?, value })
    }

    /// What HAProxy asks of a request. A header that lists several values is asked for each of them.
    pub(super) fn condition(&self) -> String {
        let Self { place, name, value } = self;
        let sample = match place {
            MatchPlace::Header => format!("req.hdr({name})"),
            MatchPlace::Cookie => format!("req.cook({name})"),
        };
        match value {
            Some(value) => format!("{{ {sample} -m str -- {value} }}"),
            None => format!("{{ {sample} -m found }}"),
        }
    }
}

impl fmt::Display for Matching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, name, value } = self;
        match (place, value) {
            (_, None) => write!(f, "{} `{name}`", place.as_str()),
            (MatchPlace::Header, Some(value)) => write!(f, "header `{name}: {value}`"),
            (MatchPlace::Cookie, Some(value)) => write!(f, "cookie `{name}={value}`"),
        }
    }
}

impl Matched {
    /// The same rules, of which none counts.
    #[must_use]
    pub fn by_weight(self) -> Self {
        Self { to: None, ..self }
    }

    /// Each flag, and whether its rule counts; those first that do not.
    pub(super) fn flags(&self) -> Vec<(String, bool)> {
        let mut flags: Vec<_> = Slot::ALL.map(|slot| (self.matching.flag(slot), self.to == Some(slot))).to_vec();
        flags.sort_by_key(|(_, counts)| *counts);
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_flags_of_its_own_and_what_the_config_names_is_what_is_asked() {
        let of = |json: &str| Matching::of(&serde_json::from_str(json).expect("a match"));
        let header = of(r#"{ "header": "X-Canary" }"#).expect("one");
        let value = of(r#"{ "header": "X-Canary", "value": "always" }"#).expect("one");
        let cookie = of(r#"{ "cookie": "X-Canary", "value": "always" }"#).expect("one");
        assert_eq!(header.condition(), "{ req.hdr(X-Canary) -m found }");
        assert_eq!(value.condition(), "{ req.hdr(X-Canary) -m str -- always }");
        assert_eq!(cookie.condition(), "{ req.cook(X-Canary) -m str -- always }");
        assert_eq!(
            [&header, &value, &cookie].map(ToString::to_string),
            ["header `X-Canary`", "header `X-Canary: always`", "cookie `X-Canary=always`"]
        );
        let flags = [&header, &value, &cookie].map(|matching| matching.flag(Slot::Blue));
        assert!(flags[0] != flags[1] && flags[1] != flags[2] && flags[0] != flags[2], "{flags:?}");
        assert_eq!(of("{}"), None);
        assert_eq!(of(r#"{ "header": "a", "cookie": "b" }"#), None);
        let both = r#"{ "place": "header", "name": "a }", "value": null }"#;
        assert!(serde_json::from_str::<Matching>(both).is_err(), "nothing gets into the file that is no name");
    }
}
