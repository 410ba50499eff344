//! A place to deploy to, and what it can do.

use std::collections::BTreeMap;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::port::{Containers, FencingToken, Files, Http, Shell};
use crate::word::{EnvironmentName, TargetName};

/// One thing that a target can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Facet {
    /// Runs commands.
    Shell,
    /// Keeps files.
    Files,
    /// Runs containers.
    Containers,
    /// Keeps databases.
    Database,
    /// Installs modules.
    Modules,
    /// Answers over HTTP.
    Http,
}

/// What was read from a target, by name. Plans are made from facts and name those that they rely on.
pub type Facts = BTreeMap<String, serde_json::Value>;

/// A place to deploy to.
#[async_trait]
pub trait Target: Send + Sync {
    /// Its name, unique in its environment.
    fn id(&self) -> &TargetName;

    /// The environment that it belongs to.
    fn environment(&self) -> &EnvironmentName;

    /// Looks at the target and changes nothing.
    async fn probe(&self) -> Result<Facts, Failure>;

    /// Tells the target that writes with a token older than `token` are to be refused from now on, however late they
    /// arrive, and ends what was begun with one and still runs. Fails with
    /// [`Kind::Conflict`](crate::error::Kind::Conflict) if it has seen a newer one.
    async fn fence(&self, token: FencingToken) -> Result<(), Failure>;

    /// Runs commands, if it can.
    fn shell(&self) -> Option<&dyn Shell> {
        None
    }

    /// Keeps files, if it can.
    fn files(&self) -> Option<&dyn Files> {
        None
    }

    /// Sends requests from where the target is, if it can.
    fn http(&self) -> Option<&dyn Http> {
        None
    }

    /// Takes images and runs containers, if it can.
    fn containers(&self) -> Option<&dyn Containers> {
        None
    }

    /// What it can do.
    fn facets(&self) -> Vec<Facet> {
        let shell = self.shell().map(|_| Facet::Shell);
        let files = self.files().map(|_| Facet::Files);
        let http = self.http().map(|_| Facet::Http);
        let containers = self.containers().map(|_| Facet::Containers);
        [shell, files, http, containers].into_iter().flatten().collect()
    }
}
