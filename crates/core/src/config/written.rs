//! A check as it stands in the file: flat, or a path alone.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::check::{CheckConfig, CheckKind, HttpCheck, Thresholds};
use super::service::CommandLine;
use crate::port::Method;

/// One check: a path that must answer 200, or a table with exactly one of `http` and `command`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Written {
    /// A path that must answer 200.
    Path(#[schemars(extend("format" = "http-path"), example = &"/health")] String),
    /// What is asked, and how often.
    Table(Box<CheckTable>),
}

/// What is asked, and how often: exactly one of `http` and `command`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend(
    "additionalProperties" = false,
    "oneOf" = [{ "required": ["http"] }, { "required": ["command"] }],
))]
pub(super) struct CheckTable {
    /// The check's name in reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), example = &"answers")]
    name: Option<String>,
    /// A request to the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "path": "/health" }))]
    http: Option<HttpCheck>,
    /// A command in the release's directory that must exit with 0; `URL`, `HOST` and `PORT` lead to the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"./check.sh")]
    command: Option<CommandLine>,
    #[serde(flatten)]
    thresholds: Thresholds,
}

/// Why a check was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a check has exactly one of `http` and `command`")]
pub(super) struct NotOneKind;

impl TryFrom<Written> for CheckConfig {
    type Error = NotOneKind;

    fn try_from(written: Written) -> Result<Self, NotOneKind> {
        let path = |path| HttpCheck {
            path,
            method: Method::Get,
            status: 200,
            max_response: None,
            contains: None,
            keys: Vec::new(),
        };
        match written {
            Written::Path(text) => {
                Ok(Self { name: None, kind: CheckKind::Http(path(text)), thresholds: Thresholds::default() })
            }
            Written::Table(table) => {
                let kind = match (table.http, table.command) {
                    (Some(http), None) => CheckKind::Http(http),
                    (None, Some(command)) => CheckKind::Command(command),
                    _ => return Err(NotOneKind),
                };
                Ok(Self { name: table.name, kind, thresholds: table.thresholds })
            }
        }
    }
}

impl From<CheckConfig> for Written {
    fn from(check: CheckConfig) -> Self {
        let (http, command) = match check.kind {
            CheckKind::Http(http) => (Some(http), None),
            CheckKind::Command(command) => (None, Some(command)),
        };
        Self::Table(Box::new(CheckTable { name: check.name, http, command, thresholds: check.thresholds }))
    }
}

impl JsonSchema for CheckConfig {
    fn schema_name() -> Cow<'static, str> {
        "CheckConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Written::json_schema(generator)
    }
}
