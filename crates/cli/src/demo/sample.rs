//! The files of the sample project: what a user would have written.

use std::fmt::Write as _;

/// One service: name, what it does, and what it knows.
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    rules: [&'static str; 2],
}

/// The services, in the order of their ports.
pub(super) const SERVICES: [Sample; 5] = [
    Sample { name: "pr-review", description: "Reviews pull requests", rules: ["no-todo", "tests-present"] },
    Sample { name: "odoo-rpc", description: "Speaks to Odoo", rules: ["read-only", "one-database"] },
    Sample { name: "nl-sql", description: "Turns questions into SQL", rules: ["select-only", "row-limit"] },
    Sample { name: "visual-diff", description: "Compares screenshots", rules: ["same-size", "two-percent"] },
    Sample { name: "design-tokens", description: "Serves colours and sizes", rules: ["named-colours", "even-sizes"] },
];

/// The service that gets a broken version.
pub(super) const BROKEN: &str = "nl-sql";

/// The service that gets a good new version at the same time.
pub(super) const IMPROVED: &str = "pr-review";

pub(super) const MAIN_RS: &str = include_str!("sample/main.rs");
pub(super) const BUILD_SH: &str = include_str!("sample/build.sh");

impl Sample {
    /// Its branch.
    pub(super) fn branch(&self) -> String {
        format!("skill/{}", self.name)
    }

    /// Its directory in the repository.
    pub(super) fn directory(&self) -> String {
        format!("services/{}", self.name)
    }

    /// `service.json` of a version.
    pub(super) fn metadata(&self, version: &str) -> String {
        let Self { name, description, rules: [one, two] } = self;
        format!(
            "{{\n  \"name\": \"{name}\",\n  \"version\": \"{version}\",\n  \"description\": \"{description}\",\n  \
             \"rules\": [\"{one}\", \"{two}\"]\n}}\n"
        )
    }

    /// `service.json` with a slip of the pen: the service starts, and cannot work.
    pub(super) fn broken_metadata(&self, version: &str) -> String {
        self.metadata(version).replace("\"rules\"", "\"rulez\"")
    }

    /// `README.md` in its directory, which it serves as its documentation.
    pub(super) fn readme(&self) -> String {
        let Self { name, description, .. } = self;
        format!(
            "# {name}\n\n{description}. `GET /health` says whether it can work, `GET /metadata` what it is.\n\n\
             Build it with `sh build.sh`, run it with `PORT=8080 ./service`.\n"
        )
    }
}

/// `pleach.toml`, with the public ports of the services in their order.
pub(super) fn config(ports: &[u16]) -> String {
    let mut text = String::from(
        "# What is deployed, and where to.\n\n[project]\nname = \"skills\"\nworktrees = \"../worktrees\"\n",
    );
    for (sample, port) in SERVICES.iter().zip(ports) {
        let (name, branch, directory, description) =
            (sample.name, sample.branch(), sample.directory(), sample.description);
        let _ = write!(
            text,
            "\n[services.{name}]\nbranch = \"{branch}\"\npath = \"{directory}\"\ndescription = \"{description}\"\n\
             build = \"sh build.sh\"\nrun = \"./service\"\nport = {port}\n\n[services.{name}.health]\n\
             http = {{ path = \"/health\" }}\nperiod = \"100ms\"\nwithin = \"5s\"\n\n[services.{name}.test]\n"
        );
    }
    text.push_str(
        "\n[environments.local]\ndescription = \"This machine\"\n# A service that fails goes back alone; the others go on.\n\
         on-failure = \"unwind-lane\"\n\n[environments.local.targets.here]\nkind = \"directory\"\npath = \"../deployed\"\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_of_the_sample_has_no_problem() {
        let text = config(&[8101, 8102, 8103, 8104, 8105]);
        let config = pleach_core::config::parse("pleach.toml", &text).expect("a good config");
        assert_eq!(config.services.len(), SERVICES.len());
    }

    #[test]
    fn the_broken_version_differs_in_one_key() {
        let sample = &SERVICES[2];
        assert_eq!(sample.name, BROKEN);
        let (good, broken) = (sample.metadata("1.1.0"), sample.broken_metadata("1.1.0"));
        assert_eq!(good.lines().zip(broken.lines()).filter(|(a, b)| a != b).count(), 1);
        assert!(serde_json::from_str::<serde_json::Value>(&broken).is_ok(), "still JSON");
    }
}
