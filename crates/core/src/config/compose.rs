//! `compose` of a service: what it runs is a Compose project.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::word::ServiceName;

/// A Compose project that the `docker compose` of the target runs. Its files are resolved on the target, with the service's
/// `environment`, `HOST` and `PORT` as variables; images are pinned by their digests, and kept as long as the release is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ComposeConfig {
    /// The name of the project; the service's name in lower case if absent. Volumes are named after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), example = &"shop")]
    pub project: Option<String>,
    /// The Compose files, relative to the service's directory; later ones override earlier ones. What `docker compose` finds by
    /// itself if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["compose.yml", "compose.prod.yml"])]
    pub files: Vec<PathBuf>,
    /// The profiles whose services run as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1)), example = ["worker"])]
    pub profiles: Vec<String>,
    /// Names for services of the project, for `pleach restart --part`. Without them `web` is what is called `web` or `odoo`, and
    /// `database` what is called `db`, `postgres` or `database`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = serde_json::json!({ "web": ["odoo", "longpolling"] }))]
    pub parts: BTreeMap<String, Vec<String>>,
    /// When images are pulled that are not built.
    #[serde(default, skip_serializing_if = "PullRule::is_missing")]
    #[schemars(example = &"always")]
    pub pull: PullRule,
}

impl ComposeConfig {
    /// The name of the project of a service.
    pub fn called(&self, service: &ServiceName) -> String {
        self.project.clone().unwrap_or_else(|| service.as_str().to_lowercase().replace('.', "-"))
    }

    /// Which of these services are meant by a name.
    pub fn part<'a>(&self, name: &str, services: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
        let words = |service: &str| service.split(['-', '_', '.']).map(str::to_lowercase).collect::<Vec<_>>();
        let usual: &[&str] = match name {
            "web" => &["web", "odoo"],
            "database" => &["database", "db", "postgres", "postgresql"],
            _ => &[],
        };
        services
            .filter(|service| match self.parts.get(name) {
                Some(named) => named.contains(service),
                None => *service == name || words(service).iter().any(|word| usual.contains(&word.as_str())),
            })
            .collect()
    }
}

/// When images are pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PullRule {
    /// Where the target has none of that name.
    #[default]
    Missing,
    /// In each deployment, so that a name that moved is followed.
    Always,
}

impl PullRule {
    /// Whether it is the usual one.
    pub fn is_missing(&self) -> bool {
        *self == Self::Missing
    }

    /// As `docker compose pull` calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Always => "always",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_their_usual_names_or_by_those_of_the_config() {
        let services = ["odoo", "odoo-cron", "db", "mailhog", "Web_2"].map(str::to_owned);
        let part = |compose: &ComposeConfig, name: &str| -> Vec<String> {
            compose.part(name, services.iter()).into_iter().cloned().collect()
        };
        let usual = ComposeConfig::default();
        assert_eq!(part(&usual, "web"), ["odoo", "odoo-cron", "Web_2"]);
        assert_eq!(part(&usual, "database"), ["db"]);
        assert_eq!(part(&usual, "mailhog"), ["mailhog"]);
        assert!(part(&usual, "redis").is_empty());
        let named = ComposeConfig { parts: BTreeMap::from([("web".into(), vec!["odoo".into()])]), ..usual };
        assert_eq!(part(&named, "web"), ["odoo"]);
    }
}
