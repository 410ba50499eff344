//! `[registries."HOST"]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::port::SecretName;

/// How one logs in to a registry of images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RegistryConfig {
    /// Who logs in.
    #[schemars(length(min = 1), example = &"deployer")]
    pub user: String,
    /// Where the password or token lies. It goes to engines over their sockets and to hosts over standard input, and is stored
    /// nowhere.
    #[schemars(example = &"env:REGISTRY_PASSWORD")]
    pub password: SecretName,
}
