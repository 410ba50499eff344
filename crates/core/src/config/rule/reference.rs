//! Each name that is used is the name of something.

use std::collections::BTreeSet;

use super::Finding;
use crate::config::{Config, KeyPath, nearest};

pub(super) fn names_exist(config: &Config, found: &mut Vec<Finding>) {
    let services: Vec<&str> = config.services.keys().map(|name| name.as_str()).collect();
    let targets: BTreeSet<&str> = config
        .environments
        .values()
        .flat_map(|environment| environment.targets.keys())
        .map(|name| name.as_str())
        .collect();
    for (name, service) in &config.services {
        let key = KeyPath::of(["services", name.as_str()]);
        for (at, other) in service.after.iter().enumerate() {
            let key = key.at("after").at(at);
            if other == name {
                found.push(
                    Finding::new(key, format!("service `{name}` waits for itself"))
                        .expected("expected another service"),
                );
            } else {
                found.extend(unknown(key, "service", other.as_str(), services.iter().copied()));
            }
        }
        for (at, target) in service.targets.iter().enumerate() {
            found.extend(unknown(key.at("targets").at(at), "target", target.as_str(), targets.iter().copied()));
        }
    }
    for (name, environment) in &config.environments {
        for (at, service) in environment.services.iter().enumerate() {
            let key = KeyPath::of(["environments", name.as_str(), "services"]).at(at);
            found.extend(unknown(key, "service", service.as_str(), services.iter().copied()));
        }
        if let Some(from) = &environment.promote_from {
            let key = KeyPath::of(["environments", name.as_str(), "promote-from"]);
            if from == name {
                let finding = Finding::new(key, format!("nothing would ever come to environment `{name}`"));
                found.push(finding.expected("expected another environment"));
            } else {
                let all = config.environments.keys().map(|name| name.as_str());
                found.extend(unknown(key, "environment", from.as_str(), all));
            }
        }
        if let Some(gatekeeper) = &environment.gatekeeper {
            let key = KeyPath::of(["environments", name.as_str(), "gatekeeper"]);
            let own = environment.targets.keys().map(|name| name.as_str());
            found.extend(unknown(key, "target", gatekeeper.as_str(), own));
        }
    }
}

fn unknown<'a>(key: KeyPath, what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Option<Finding> {
    let known: Vec<&str> = known.collect();
    if known.contains(&name) {
        return None;
    }
    let near = nearest(name, known.iter().copied());
    let finding = Finding::new(key, format!("unknown {what} `{name}`")).nearest(near);
    Some(match (near, known.as_slice()) {
        (Some(_), _) => finding,
        (None, []) => finding.expected(format!("there is no {what} yet")),
        (None, known) => {
            let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            finding.expected(format!("expected one of {}", known.join(", ")))
        }
    })
}
