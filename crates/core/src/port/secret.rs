//! Secrets: named in the config, fetched when a step needs one, never shown.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Failure;

/// Where a secret lies: `env:NAME`, `file:PATH` or `command:LINE`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "secret", "examples" = ["env:TOKEN"]))]
pub enum SecretName {
    /// A variable of the environment that Pleach was started in.
    Env(String),
    /// A file; one line end at its end is not part of the secret.
    File(PathBuf),
    /// What a command line prints; one line end at its end is not part of the secret.
    Command(String),
}

/// Why a text does not name a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret is named `env:NAME`, `file:PATH` or `command:LINE`; the value itself never stands here")]
pub struct SecretNameError;

impl FromStr for SecretName {
    type Err = SecretNameError;
    // The text is left out of the error: someone may have written the secret itself.
    fn from_str(text: &str) -> Result<Self, SecretNameError> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("command", line)) if !line.trim().is_empty() => Ok(Self::Command(line.to_owned())),
            _ => Err(SecretNameError),
        }
    }
}

impl TryFrom<String> for SecretName {
    type Error = SecretNameError;
    fn try_from(text: String) -> Result<Self, SecretNameError> {
        text.parse()
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> String {
        name.to_string()
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Command(line) => write!(f, "command:{line}"),
        }
    }
}

/// A secret in memory. It cannot be printed or serialized.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the value in.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that hands it to what needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Fetches secrets by name.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The secret of that name; an absent one is a failure that names it.
    async fn fetch(&self, name: &SecretName) -> Result<Secret, Failure>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_and_never_shown() {
        assert_eq!("env:TOKEN".parse(), Ok(SecretName::Env("TOKEN".into())));
        let error = "hunter2".parse::<SecretName>().expect_err("no scheme");
        assert!(!error.to_string().contains("hunter2"));
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }
}
