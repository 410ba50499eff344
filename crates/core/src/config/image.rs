//! `image` of a service: what it runs is a container.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::port::SecretName;
use crate::size::Size;
use crate::word::ServiceName;

/// An image that is built from the service's directory, once, by the Docker engine where Pleach runs (`DOCKER_HOST`), and
/// brought to each target, without a registry unless one is named: only the layers that a target lacks travel. On the target it runs as a
/// container that comes back with its engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ImageConfig {
    /// What its images are called on a channel, `NAME` of `NAME:uat-v1.2.3`; the service's name in small letters if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), example = &"odoo-mta")]
    pub name: Option<String>,
    /// A registry that its images go through: pushed there once by the engine that builds, and pulled from there by each target,
    /// by digest. Without it, layers are sent over the target's own connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), example = &"registry.example.com/team")]
    pub registry: Option<String>,
    /// The port that it listens on in the container; needed where the service has a `port`. It is told in `PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), example = 8080)]
    pub port: Option<u16>,
    /// The Dockerfile, relative to the service's directory.
    #[serde(default = "default_file")]
    #[schemars(example = &"docker/Dockerfile")]
    pub file: PathBuf,
    /// The stage of the Dockerfile to build; the last one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), example = &"production")]
    pub stage: Option<String>,
    /// What its `ARG`s get. They can be read from the image, so nothing secret belongs here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = serde_json::json!({ "PYTHON": "3.12" }))]
    pub arguments: BTreeMap<String, String>,
    /// The platforms that it can be built for. Each target gets an image for the platform of its own engine; one whose platform
    /// is not among these is refused before anything is touched. Any platform if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["linux/amd64", "linux/arm64"])]
    pub platforms: Vec<String>,
    /// What its steps can mount, by id: where each secret lies. `RUN --mount=type=secret,id=pip` finds it in
    /// `/run/secrets/pip`; nothing of it stays in the image. A secret that changes is no reason to build again. Needs an engine
    /// with BuildKit: Docker 18.09 or newer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = serde_json::json!({ "pip": "env:PIP_TOKEN" }))]
    pub secrets: BTreeMap<String, SecretName>,
    /// What the container runs, instead of what the image says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["odoo", "--workers=2"])]
    pub command: Vec<String>,
    /// The most memory that the container may have; it is ended when it asks for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"512MiB")]
    pub memory: Option<Size>,
    /// The most processors that the container may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0), example = 1.5)]
    pub cpus: Option<f64>,
    /// Named volumes and folders of the target, as `docker run --volume` takes them. They are never removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["odoo-data:/var/lib/odoo", "/etc/odoo:/etc/odoo:ro"])]
    pub volumes: Vec<String>,
}

impl ImageConfig {
    /// What its images are called on a channel.
    pub fn called(&self, service: &ServiceName) -> String {
        self.name.clone().unwrap_or_else(|| service.as_str().to_lowercase())
    }
}

fn default_file() -> PathBuf {
    "Dockerfile".into()
}
