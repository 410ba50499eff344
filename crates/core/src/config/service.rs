//! `[services.NAME]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{CheckConfig, ServiceTest, Thresholds};
use super::compose::ComposeConfig;
use super::image::ImageConfig;
use super::script::ScriptConfig;
use super::snapshot::SnapshotSource;
use crate::period::Period;
use crate::port::SecretName;
use crate::word::{ServiceName, TargetName};

/// What is deployed: a branch, a path in it, how to build it, how to run it, how to tell that it is healthy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServiceConfig {
    /// The branch it lives on.
    #[schemars(extend("format" = "branch"), example = &"skill/pr-review")]
    pub branch: String,
    /// Its directory in the repository; all of the repository if absent.
    #[serde(default)]
    #[schemars(example = &"services/pr-review")]
    pub path: PathBuf,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"Reviews pull requests")]
    pub description: Option<String>,
    /// Services that must be done before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["odoo-rpc"])]
    pub after: Vec<ServiceName>,
    /// The targets it goes to; all of the environment's if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["here"])]
    pub targets: Vec<TargetName>,
    /// Run in the new release's directory before it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"pip install --target vendor -r requirements.txt")]
    pub build: Option<CommandLine>,
    /// Where `build` is run: on each target, or once where Pleach runs, in a copy of the commit's tree whose result then goes
    /// to all targets of the environment. There is no `PLEACH_RELEASE` then, and what `build` leaves as an empty directory
    /// does not arrive.
    #[serde(default, skip_serializing_if = "BuildPlace::is_target")]
    #[schemars(example = &"here")]
    pub build_on: BuildPlace,
    /// A process that is started in the release's directory, kept running, and given the port to listen on in `PORT`
    /// (and the address in `HOST`). Not together with `start` and `stop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"uvicorn main:app --host $HOST --port $PORT")]
    pub run: Option<CommandLine>,
    /// What runs is a container, made from an image that is built from the service's directory. Not together with `build`,
    /// `run`, `start`, `stop` and `shared`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "port": 8080, "memory": "512MiB" }))]
    pub image: Option<ImageConfig>,
    /// What runs is a Compose project of the target's own `docker compose`. Not together with `run`, `image`, `start` and `stop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "files": ["compose.yml", "compose.prod.yml"] }))]
    pub compose: Option<ComposeConfig>,
    /// Starts or restarts the service from `current`, for a service that something else keeps running. It is also how the
    /// old release comes back: a unit of systemd that ended too often starts again only after `reset-failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"systemctl reset-failed pr-review; systemctl restart pr-review")]
    pub start: Option<CommandLine>,
    /// Stops what `start` started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"systemctl stop pr-review")]
    pub stop: Option<CommandLine>,
    /// The user that `start` and `stop` run as, by `sudo`, which must allow that user `/bin/sh`. What it asks for is the
    /// target's `sudo-password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), example = &"root")]
    pub sudo: Option<String>,
    /// The port that the service is reached on. With `run` or `image`, each release listens on a port of its own and this one
    /// leads to the current release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), example = 8101)]
    pub port: Option<u16>,
    /// Scripts of the project that are run on the target while a commit is deployed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = serde_json::json!([{ "name": "migrate", "file": "scripts/migrate.sh", "reversal": "nothing" }]))]
    pub scripts: Vec<ScriptConfig>,
    /// Variables for `build`, `run`, `start`, `stop` and `scripts`, and for the Compose files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = serde_json::json!({ "LOG_LEVEL": "info", "API_TOKEN": { "secret": "env:API_TOKEN" } }))]
    pub environment: BTreeMap<String, EnvironmentValue>,
    /// Files and directories, relative to the release, that all releases share: data, uploads, local settings. A path
    /// that ends in `/` is made as an empty directory if it is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["data/"])]
    pub shared: Vec<PathBuf>,
    /// What is kept of the target before a deployment and put back as it was if that is taken back: paths in `shared`, or
    /// absolute ones such as a unit file or a folder that containers see, that whoever deploys may write; and `volume:NAME`,
    /// a named volume of the Docker engine, as `volumes` of `image` or the Compose file calls it. What runs on them is
    /// started anew then. What was written in between lies beside, as `NAME.pleach-replaced.0`; of a volume, in an archive
    /// that the report names. The copies stay until the next deployment has succeeded; `pleach backup` makes some that stay
    /// until they are removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["data/", "/etc/pr-review.conf", "volume:odoo-data"])]
    pub snapshot: Vec<SnapshotSource>,
    /// How to tell that a new release is healthy before it is switched to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "http": { "path": "/health" }, "period": "1s", "success": 2 }))]
    pub health: Option<CheckConfig>,
    /// The five-stage service test of `pleach verify`: health, response time, metadata, error handling, documentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "health": "/health", "max-response": "2s" }))]
    pub test: Option<ServiceTest>,
    /// Further checks of `pleach verify`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = serde_json::json!([{ "name": "search", "http": { "path": "/search?q=x", "contains": "hits" } }]))]
    pub checks: Vec<CheckConfig>,
    /// The longest that `build` may take.
    #[serde(default = "default_build_limit")]
    #[schemars(example = &"10m")]
    pub build_limit: Period,
    /// How long a process may take to end after SIGTERM before it gets SIGKILL.
    #[serde(default = "default_stop_grace")]
    #[schemars(example = &"10s")]
    pub stop_grace: Period,
    /// How long requests in flight may take to end once no new ones go to their release, before its process is told to end.
    #[serde(default = "default_drain")]
    #[schemars(example = &"30s")]
    pub drain: Period,
}

impl ServiceConfig {
    /// Whether Pleach itself has it run and leads its port to the current release.
    pub fn is_kept_running(&self) -> bool {
        self.run.is_some() || self.image.is_some()
    }

    /// Whether anything of it is run by `sudo`.
    pub fn uses_sudo(&self) -> bool {
        self.sudo.is_some() || self.scripts.iter().any(|script| script.sudo.is_some())
    }

    /// The thresholds of the health check, or the usual ones.
    pub fn health_thresholds(&self) -> Thresholds {
        self.health.as_ref().map(|check| check.thresholds).unwrap_or_default()
    }
}

fn default_build_limit() -> Period {
    Period::seconds(600)
}

fn default_stop_grace() -> Period {
    Period::seconds(10)
}

fn default_drain() -> Period {
    Period::seconds(10)
}

/// Where a service is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BuildPlace {
    /// On each target.
    #[default]
    Target,
    /// Where Pleach runs, for all targets of an environment together.
    Here,
}

impl BuildPlace {
    /// Whether it is the usual one.
    pub fn is_target(&self) -> bool {
        *self == Self::Target
    }
}

/// A command: a line for the target's POSIX shell, or a program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CommandLine {
    /// A line for `sh -c`.
    Line(#[schemars(length(min = 1), example = &"make build")] String),
    /// A program and its arguments; no shell reads them.
    Words(#[schemars(length(min = 1), example = ["make", "build"])] Vec<String>),
}

impl CommandLine {
    /// The program and arguments to start.
    pub fn argv(&self) -> Vec<String> {
        match self {
            Self::Line(line) => vec!["sh".into(), "-c".into(), line.clone()],
            Self::Words(words) => words.clone(),
        }
    }
}

impl std::fmt::Display for CommandLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(line) => f.write_str(line),
            Self::Words(words) => f.write_str(&words.join(" ")),
        }
    }
}

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EnvironmentValue {
    /// Stands here and may be shown.
    Plain(#[schemars(example = &"info")] String),
    /// Lies elsewhere and is never shown.
    #[schemars(extend("additionalProperties" = false))]
    Secret {
        /// `env:NAME`, `file:PATH` or `command:LINE`.
        #[schemars(example = &"env:API_TOKEN")]
        secret: SecretName,
    },
}
