//! A service with a Compose project runs nothing else, and its files lie within it.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::location::{leads_outside, outside};
use crate::config::{Config, KeyPath};
use crate::word::{ServiceName, TargetName};

pub(super) fn projects_can_run(config: &Config, found: &mut Vec<Finding>) {
    for (name, service) in &config.services {
        let Some(compose) = &service.compose else { continue };
        let key = KeyPath::of(["services", name.as_str()]);
        let others = [
            ("run", service.run.is_some()),
            ("image", service.image.is_some()),
            ("start", service.start.is_some()),
            ("stop", service.stop.is_some()),
        ];
        for (other, _) in others.into_iter().filter(|(_, present)| *present) {
            let what = format!("`compose` and `{other}` exclude each other");
            let finding = Finding::new(key.at(other), what).at_key().because_of(key.at("compose"));
            found.push(finding.expected("expected what it does in the Compose file"));
        }
        if let Some(project) = compose.project.as_ref().filter(|project| !is_project_name(project)) {
            let what = format!("`{project}` is no name of a Compose project");
            let finding = Finding::new(key.at("compose").at("project"), what);
            found.push(finding.expected("expected small letters, digits, `-` and `_`, a letter or a digit first"));
        }
        for (at, file) in compose.files.iter().enumerate() {
            if let Some(why) = leads_outside(file) {
                found.push(outside(key.at("compose").at("files").at(at), file, why, "the service's directory"));
            }
        }
    }
}

/// Two services of one project on one target would remove each other's containers.
pub(super) fn projects_are_apart(config: &Config, found: &mut Vec<Finding>) {
    let mut told: BTreeSet<KeyPath> = BTreeSet::new();
    for (name, environment) in &config.environments {
        let mut owners: BTreeMap<(&TargetName, String), &ServiceName> = BTreeMap::new();
        for (service, targets) in config.destinations(environment) {
            let Some(compose) = &config.services[service].compose else { continue };
            let key = |service: &ServiceName| KeyPath::of(["services", service.as_str()]);
            for target in targets {
                let Some(other) = owners.insert((target, compose.called(service)), service) else { continue };
                let here = key(service).at("compose").at("project");
                if !told.insert(here.clone()) {
                    continue;
                }
                let what = format!(
                    "`{other}` and `{service}` are both Compose project `{}` on `{target}`",
                    compose.called(service)
                );
                let mut finding = Finding::new(here, what).because_of(key(other).at("compose").at("project"));
                // Where these are wrong, it is not known who goes where.
                finding.because_of.extend([key(service).at("targets"), key(other).at("targets")]);
                finding.because_of.push(KeyPath::of(["environments", name.as_str(), "services"]));
                found.push(finding.expected("expected a `project` of its own"));
            }
        }
    }
}

/// As `docker compose` takes it.
fn is_project_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.bytes().next().is_some_and(plain) && name.bytes().all(|byte| plain(byte) || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_projects_are_those_that_compose_takes() {
        for good in ["shop", "1", "a-b_c"] {
            assert!(is_project_name(good), "{good}");
        }
        for bad in ["", "Shop", "-a", "_a", "a.b", "ä"] {
            assert!(!is_project_name(bad), "{bad}");
        }
    }

    #[test]
    fn two_services_of_one_target_are_two_projects() {
        let told = |b: &str, targets: &str| {
            let text = format!(
                "[project]\nname = \"x\"\n[services.\"a.b\"]\nbranch = \"a\"\ncompose = {{}}\n{targets}\n[services.{b}]\nbranch = \"b\"\n\
                 compose = {{}}\n[environments.uat.targets.one]\nkind = \"directory\"\npath = \"../one\"\n\
                 [environments.uat.targets.two]\nkind = \"directory\"\npath = \"../two\"\n"
            );
            crate::config::parse("pleach.toml", &text).map(drop).map_err(|errors| format!("{errors:?}"))
        };
        let errors = told("a-b", "").expect_err("the same name");
        assert!(errors.contains("`a-b` and `a.b` are both Compose project `a-b` on `one`"), "{errors}");
        assert_eq!(errors.matches("are both").count(), 1, "told once: {errors}");
        told("a-c", "").expect("two names");
        told("a-b", "targets = [\"one\"]").expect_err("`a-b` goes there as well");
    }

    #[test]
    fn a_project_runs_nothing_else_and_its_files_lie_within_the_service() {
        let text = "[project]\nname = \"x\"\n[services.a]\nbranch = \"a\"\nrun = \"true\"\n\
                    compose = { project = \"A b\", files = [\"../x.yml\"] }\n";
        let errors = crate::config::parse("pleach.toml", text).expect_err("wrong");
        let errors = format!("{errors:?}");
        for wanted in ["`compose` and `run` exclude each other", "`A b` is no name", "`../x.yml`"] {
            assert!(errors.contains(wanted), "{wanted}: {errors}");
        }
    }
}
