//! No two services listen on one port.

use std::collections::BTreeMap;

use super::Finding;
use crate::config::{Config, KeyPath};

pub(super) fn ports_are_free(config: &Config, found: &mut Vec<Finding>) {
    for (name, environment) in &config.environments {
        // Targets on one machine with the same address share its ports.
        let mut taken: BTreeMap<(Option<&str>, &str, u32), (String, KeyPath)> = BTreeMap::new();
        for (service, targets) in config.destinations(environment) {
            let Some(port) = config.services[service].port else { continue };
            let port_key = KeyPath::of(["services", service.as_str(), "port"]);
            for target in targets {
                let settings = &environment.targets[target];
                let offset_key =
                    KeyPath::of(["environments", name.as_str(), "targets", target.as_str(), "port-offset"]);
                let listens = u32::from(port) + u32::from(settings.port_offset());
                if listens > u32::from(u16::MAX) {
                    let what = format!("service `{service}` would listen on port {listens} on target `{target}`");
                    let finding = Finding::new(offset_key, what).because_of(port_key.clone());
                    found.push(finding.expected(format!("expected at most {}", u16::MAX - port)));
                    continue;
                }
                let here = format!("`{service}` on `{target}`");
                let address = (settings.machine(), settings.listen(), listens);
                match taken.get(&address) {
                    None => {
                        taken.insert(address, (here, port_key.clone()));
                    }
                    Some((other, other_key)) => {
                        let what =
                            format!("{here} and {other} would both listen on port {listens} in environment `{name}`");
                        // The port of one service is meant, or the offset if a service meets itself.
                        let key = if *other_key == port_key { offset_key.clone() } else { port_key.clone() };
                        let mut finding = Finding::new(key, what).because_of(other_key.clone()).because_of(offset_key);
                        // Where these are wrong, it is not known who goes where.
                        finding.because_of.push(KeyPath::of(["services", service.as_str(), "targets"]));
                        finding.because_of.push(other_key.sibling("targets"));
                        finding.because_of.push(KeyPath::of(["environments", name.as_str(), "services"]));
                        found.push(finding.expected("expected a port of its own"));
                    }
                }
            }
        }
    }
}

pub(super) fn worktree_ports_suffice(config: &Config, found: &mut Vec<Finding>) {
    let last = usize::from(config.project.worktree_ports) + config.services.len().saturating_sub(1);
    let most = usize::from(u16::MAX);
    if last > most {
        let what = format!("{} services need ports up to {last}", config.services.len());
        let finding = Finding::new(KeyPath::of(["project", "worktree-ports"]), what);
        found.push(finding.expected(format!("expected at most {}", most - (config.services.len() - 1))));
    }
}
