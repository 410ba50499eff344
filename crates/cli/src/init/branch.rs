//! What the name of a branch says it is for.

use pleach_core::word::{NAME_LIMIT, ServiceName};

/// What a branch is for, by its name alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Holds a service by the team's own rule: `skill/pr-review`.
    Service,
    /// Holds a change that may be one of a service: `feature/pr-review`.
    Change,
    /// Stands for a place or a moment: `staging`, `production`, `release/2.1`.
    Stage,
    /// Stands for a version that lives on: `18.0`, `v2.x`, `release-1.4`.
    Version,
    /// Made by a program: `dependabot/…`.
    Machine,
    /// Says nothing.
    Unknown,
}

/// First parts of names that hold one service each.
const SERVICES: [&str; 14] = [
    "skill",
    "skills",
    "service",
    "services",
    "svc",
    "app",
    "apps",
    "agent",
    "agents",
    "module",
    "modules",
    "addon",
    "addons",
    "component",
];

/// First parts of names that hold a change.
const CHANGES: [&str; 10] =
    ["feature", "features", "feat", "fix", "bugfix", "bug", "topic", "chore", "refactor", "task"];

/// Whole names, or first parts, that stand for a place or a moment.
const STAGES: [&str; 18] = [
    "deploy",
    "deployment",
    "staging",
    "stage",
    "production",
    "prod",
    "live",
    "uat",
    "test",
    "qa",
    "release",
    "releases",
    "hotfix",
    "hotfixes",
    "develop",
    "development",
    "dev",
    "preview",
];

/// First parts of names that programs make.
const MACHINES: [&str; 12] = [
    "dependabot",
    "renovate",
    "gh-pages",
    "pre-commit-ci-update-config",
    "snyk",
    "imgbot",
    "weblate",
    "l10n",
    "revert",
    "gh-readonly-queue",
    "transifex",
    "bot",
];

impl Purpose {
    /// The purpose that `branch` names.
    pub(crate) fn of(branch: &str) -> Self {
        let first = branch.split('/').next().unwrap_or_default();
        let lower = first.to_lowercase();
        let has_rest = first.len() < branch.len();
        let is = |names: &[&str]| names.contains(&lower.as_str());
        if is(&MACHINES) || lower.starts_with("revert-") || lower.contains("weblate") {
            Self::Machine
        } else if is_version(branch) {
            Self::Version
        } else if is(&STAGES) {
            Self::Stage
        } else if has_rest && is(&SERVICES) {
            Self::Service
        } else if has_rest && is(&CHANGES) {
            Self::Change
        } else {
            Self::Unknown
        }
    }
}

/// `18.0`, `v2`, `v1.2.x`, `release-1.4`, `stable/2024.1`, `saas-17.4`, `1.2-stable`.
fn is_version(branch: &str) -> bool {
    let prefixes =
        ["release-v", "release/v", "release-", "release/", "releases/", "stable/", "stable-", "saas-", "v", ""];
    prefixes.into_iter().filter_map(|prefix| branch.strip_prefix(prefix)).any(|rest| {
        let rest = rest.strip_suffix("-stable").unwrap_or(rest);
        let mut parts = rest.split('.');
        let number = |part: &str| !part.is_empty() && part.len() < 6 && part.bytes().all(|b| b.is_ascii_digit());
        let first = parts.next().is_some_and(number);
        let others: Vec<&str> = parts.collect();
        let dotted = !others.is_empty() || rest.len() < branch.len();
        first && dotted && others.iter().all(|part| number(part) || *part == "x")
    })
}

/// Sorts versions by number and puts the newest first.
pub(crate) fn version_key(branch: &str) -> Vec<u64> {
    let number = |part: &str| part.parse().unwrap_or(0);
    branch.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).map(number).collect()
}

/// The name of the directory that says what a service is: not `src` of `cart/src`.
pub(crate) fn telling_name(directory: &str) -> Option<ServiceName> {
    const EMPTY: [&str; 8] = ["src", "app", "server", "service", "code", "main", "docker", "backend"];
    let mut parts: Vec<&str> = directory.split('/').collect();
    while parts.len() > 1 && parts.last().is_some_and(|last| EMPTY.contains(last)) {
        parts.pop();
    }
    service_name(&parts.join("/"))
}

/// The name that a service gets from a branch or a directory: its last part, in the alphabet of names.
pub(crate) fn service_name(text: &str) -> Option<ServiceName> {
    let last = text.trim_end_matches('/').rsplit('/').next()?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let words: Vec<&str> =
        last.split(|c| !allowed(c)).map(|word| word.trim_matches('-')).filter(|word| !word.is_empty()).collect();
    let plain: String = words.join("-").chars().skip_while(|c| !c.is_ascii_alphanumeric()).take(NAME_LIMIT).collect();
    ServiceName::new(plain.trim_end_matches(['-', '.', '_'])).ok()
}

/// The first part of a name with `/*`, or the name.
pub(crate) fn group(branch: &str) -> String {
    branch.split_once('/').map_or_else(|| branch.to_owned(), |(first, _)| format!("{first}/*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_branches_are_for() {
        for (name, purpose) in [
            ("skill/pr-review", Purpose::Service),
            ("Feature/pr-review", Purpose::Change),
            ("staging", Purpose::Stage),
            ("hotfix/urgent", Purpose::Stage),
            ("release/next", Purpose::Stage),
            ("release/2.1", Purpose::Version),
            ("release/v0.10.0", Purpose::Version),
            ("18.0", Purpose::Version),
            ("v2.x", Purpose::Version),
            ("saas-17.4", Purpose::Version),
            ("stable/2024.1", Purpose::Version),
            ("dependabot/npm/x", Purpose::Machine),
            ("18.0-mig-stock", Purpose::Unknown),
            ("skill", Purpose::Unknown),
            ("42", Purpose::Unknown),
            ("pr-review", Purpose::Unknown),
        ] {
            assert_eq!(Purpose::of(name), purpose, "{name}");
        }
    }

    #[test]
    fn service_names_keep_to_the_alphabet() {
        let named = |text| service_name(text).map(|name| name.to_string());
        assert_eq!(named("skill/pr-review").as_deref(), Some("pr-review"));
        assert_eq!(named("services/über app/").as_deref(), Some("ber-app"));
        assert_eq!(named("18.0").as_deref(), Some("18.0"));
        assert_eq!(named("---"), None);
        assert!(named(&"x".repeat(100)).is_some());
    }

    #[test]
    fn the_newest_version_has_the_largest_key() {
        let mut versions = vec!["9.0", "18.0", "17.0", "10.0"];
        versions.sort_by_key(|version| std::cmp::Reverse(version_key(version)));
        assert_eq!(versions, ["18.0", "17.0", "10.0", "9.0"]);
    }
}
