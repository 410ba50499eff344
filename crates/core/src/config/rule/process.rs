//! A service has one way to run, and its variables can be set.

use super::Finding;
use crate::config::{Config, KeyPath};

pub(super) fn one_way_to_run(config: &Config, found: &mut Vec<Finding>) {
    for (name, service) in &config.services {
        let key = KeyPath::of(["services", name.as_str()]);
        for (other, present) in [("start", service.start.is_some()), ("stop", service.stop.is_some())] {
            if present && service.run.is_some() {
                let what = format!("`run` and `{other}` exclude each other");
                let finding = Finding::new(key.at(other), what).at_key().because_of(key.at("run"));
                found.push(finding.expected("expected `run` alone, or `start` and `stop`"));
            }
        }
        if let Some(user) = &service.sudo {
            found.extend(user_name(key.at("sudo"), user));
            if service.start.is_none() && service.compose.is_none() {
                let finding = Finding::new(key.at("sudo"), "`sudo` without `start`").at_key();
                found.push(finding.because_of(key.at("start")).expected("expected `start` beside it"));
            }
        }
        if service.build.is_none() && !service.build_on.is_target() {
            let finding = Finding::new(key.at("build-on"), "`build-on` without `build`").at_key();
            found.push(finding.because_of(key.at("build")).expected("expected `build` beside it"));
        }
        if service.is_kept_running() {
            continue;
        }
        if service.start.is_some() && service.health.is_none() {
            let what = format!("nothing tells whether `start` of service `{name}` has worked");
            let finding = Finding::new(key.at("start"), what).at_key().because_of(key.at("health"));
            found.push(finding.expected("expected `health` beside it"));
        }
        if service.stop.is_some() && service.start.is_none() {
            let finding = Finding::new(key.at("stop"), "`stop` without `start`").at_key().because_of(key.at("start"));
            found.push(finding.expected("expected `start` beside it"));
        }
    }
}

pub(super) fn variables_have_names(config: &Config, found: &mut Vec<Finding>) {
    for (name, service) in &config.services {
        for variable in service.environment.keys() {
            let key = KeyPath::of(["services", name.as_str(), "environment"]);
            if let Some(finding) = variable_name(&key, variable) {
                found.push(finding);
            } else if service.is_kept_running() && matches!(variable.as_str(), "PORT" | "HOST") {
                let (run, why) = match service.image {
                    Some(_) => ("image", "what runs in the container listens on `image.port`"),
                    None => ("run", "each release listens on a port of its own"),
                };
                let what = format!("`{variable}` is given to `{run}` by Pleach: {why}");
                let given = KeyPath::of(["services", name.as_str(), run]);
                found.push(Finding::new(key.at(variable.as_str()), what).at_key().because_of(given));
            }
        }
    }
}

/// What is wrong with the name of a user.
pub(super) fn user_name(key: KeyPath, user: &str) -> Option<Finding> {
    let is_name = user.chars().all(|c| c.is_ascii_alphanumeric() || "._-@".contains(c)) && !user.starts_with('-');
    (!is_name).then(|| {
        Finding::new(key, format!("{user:?} is not the name of a user")).expected("expected a name such as `root`")
    })
}

/// What is wrong with the name of a variable in the table `key`.
pub(super) fn variable_name(key: &KeyPath, variable: &str) -> Option<Finding> {
    let letters = variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let is_name = letters && !variable.is_empty() && !variable.starts_with(|c: char| c.is_ascii_digit());
    let finding = || Finding::new(key.at(variable), format!("{variable:?} is not the name of a variable")).at_key();
    (!is_name).then(|| finding().expected("expected letters, digits and `_`, no digit in front"))
}
