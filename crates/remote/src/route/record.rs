//! What a router is asked for and writes down.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pleach_core::period::Period;
use pleach_core::word::{RunId, ServiceName};
use serde::{Deserialize, Serialize};

use crate::process::Identity;

/// Asks for a router.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RouteRequest {
    /// The service's directory on the target.
    pub directory: PathBuf,
    /// What it serves.
    pub service: ServiceName,
    /// The run that asks.
    pub run: RunId,
    /// The public address.
    pub host: String,
    /// The public port.
    pub port: u16,
}

/// Asks for the end of a router.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RouteStop {
    /// The service's directory on the target.
    pub directory: PathBuf,
    /// The public port.
    pub port: u16,
    /// How long connections may take to end by themselves.
    pub drain: Period,
}

/// The record of a router: `run/router-PORT.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RouterRecord {
    /// What it serves.
    pub service: ServiceName,
    /// The run that asked for it.
    pub run: RunId,
    /// The router.
    pub router: Identity,
    /// The public address.
    pub host: String,
    /// The public port.
    pub port: u16,
    /// Since when.
    pub since: Timestamp,
    /// Connections that were closed because no release took them; counted at most a second late.
    #[serde(default)]
    pub refused: u64,
    /// Whether it was asked to end: it takes nobody new, and lives until the connections that it has are closed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
}

impl RouterRecord {
    pub(crate) fn load(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    pub(crate) fn save(&self, path: &Path) -> std::io::Result<()> {
        crate::local::replace_file(path, &serde_json::to_vec_pretty(self)?)
    }
}
