//! Checks: what is asked of a service, and how often it must be right.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::service::CommandLine;
use super::written::Written;
use crate::period::Period;
use crate::port::Method;

/// How often a check is made and how often it must succeed. A check that succeeds and fails by turns never reaches
/// `success` successes in a row, so a service that flaps is not healthy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Thresholds {
    /// The wait before the first try.
    #[schemars(example = &"0s")]
    pub initial_delay: Period,
    /// The wait between two tries.
    #[schemars(example = &"1s")]
    pub period: Period,
    /// The longest that one try may take.
    #[schemars(example = &"5s")]
    pub timeout: Period,
    /// Successes in a row that make it healthy.
    #[schemars(range(min = 1), example = 2)]
    pub success: u32,
    /// Failures in a row, after the first success, that make it unhealthy.
    #[schemars(range(min = 1), example = 3)]
    pub failure: u32,
    /// The longest that all tries together may take.
    #[schemars(example = &"60s")]
    pub within: Period,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            initial_delay: Period::ZERO,
            period: Period::millis(500),
            timeout: Period::seconds(5),
            success: 2,
            failure: 3,
            within: Period::seconds(60),
        }
    }
}

/// One check: exactly one of `http` and `command`, with thresholds.
///
/// In the file `"/health"` stands for `{ http = { path = "/health" } }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct CheckConfig {
    /// The check's name in reports.
    pub name: Option<String>,
    /// What is asked.
    pub kind: CheckKind,
    /// How often.
    pub thresholds: Thresholds,
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckKind {
    /// A request to the service.
    Http(HttpCheck),
    /// A command in the release's directory that must exit with 0; `URL`, `HOST` and `PORT` lead to the service.
    Command(CommandLine),
}

/// A request and what its answer must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpCheck {
    /// The path, or a whole URL.
    #[schemars(extend("format" = "http-path"), example = &"/health")]
    pub path: String,
    /// The method.
    #[serde(default = "default_method")]
    #[schemars(example = &"GET")]
    pub method: Method,
    /// The status that is wanted.
    #[serde(default = "default_status")]
    #[schemars(range(min = 100, max = 599), example = 200)]
    pub status: u16,
    /// The longest that the answer may take; the check fails if it takes longer, also with the right status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"2s")]
    pub max_response: Option<Period>,
    /// A text that the body must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"ok")]
    pub contains: Option<String>,
    /// Keys that the body, a JSON object, must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["name", "version"])]
    pub keys: Vec<String>,
}

fn default_method() -> Method {
    Method::Get
}

fn default_status() -> u16 {
    200
}

/// The five-stage service test. Each stage is one check; a stage is left out by setting it to `""` or `0s`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct ServiceTest {
    /// Stage 1: this path answers 200.
    #[schemars(example = &"/health")]
    pub health: String,
    /// Stage 2: the health path answers within this time.
    #[schemars(example = &"5s")]
    pub max_response: Period,
    /// Stage 3: this path answers 200 with a JSON object.
    #[schemars(example = &"/metadata")]
    pub metadata: String,
    /// Stage 3: keys that the object must have.
    #[schemars(example = ["name", "version"])]
    pub metadata_keys: Vec<String>,
    /// Stage 4: this path answers 404.
    #[schemars(example = &"/no-such-path")]
    pub not_found: String,
    /// Stage 4: this path answers 405 to `method-not-allowed-method`.
    #[schemars(example = &"/health")]
    pub method_not_allowed: String,
    /// Stage 4: the method that must be refused.
    #[schemars(example = &"DELETE")]
    pub method_not_allowed_method: Method,
    /// Stage 5: this path answers 200 with a body that is not empty.
    #[schemars(example = &"/docs")]
    pub documentation: String,
    /// Stage 5: instead of a path, a file in the service's directory that must be there and not be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"README.md")]
    pub documentation_file: Option<PathBuf>,
}

impl Default for ServiceTest {
    fn default() -> Self {
        Self {
            health: "/health".into(),
            max_response: Period::seconds(5),
            metadata: "/metadata".into(),
            metadata_keys: vec!["name".into(), "version".into()],
            not_found: "/no-such-path".into(),
            method_not_allowed: "/health".into(),
            method_not_allowed_method: Method::Delete,
            documentation: "/docs".into(),
            documentation_file: None,
        }
    }
}
