//! Registries are named as engines do.

use super::Finding;
use crate::config::{Config, KeyPath};

pub(super) fn registries_have_names(config: &Config, found: &mut Vec<Finding>) {
    for (name, service) in &config.services {
        let Some(registry) = service.image.as_ref().and_then(|image| image.registry.as_ref()) else { continue };
        let key = KeyPath::of(["services", name.as_str()]).at("image").at("registry");
        if let Some(why) = wrong_registry(registry) {
            let finding = Finding::new(key, format!("`{registry}` is no registry: {why}"));
            found.push(finding.expected("expected one such as `registry.example.com/team`"));
        }
    }
    for host in config.registries.keys() {
        if host.contains('/') || wrong_registry(host).is_some() {
            let key = KeyPath::of(["registries", host.as_str()]);
            let finding = Finding::new(key, format!("`{host}` is no host of a registry")).at_key();
            found.push(finding.expected("expected one such as `registry.example.com` or `localhost:5000`"));
        }
    }
}

/// Without a `.` or a port in its first part, engines take a name for one of Docker's own registry.
fn wrong_registry(text: &str) -> Option<&'static str> {
    let (host, path) = text.split_once('/').unwrap_or((text, "a"));
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let (name, port) = host.split_once(':').unwrap_or((host, "1"));
    if !(host.contains('.') || host.contains(':') || host == "localhost") {
        return Some("its host has neither a `.` nor a port");
    }
    if name.is_empty() || !name.chars().all(|c| is_plain(c) || ".-".contains(c)) || port.parse::<u16>().is_err() {
        return Some("its host is no name with a port");
    }
    let good = |part: &str| {
        part.starts_with(is_plain) && part.ends_with(is_plain) && part.chars().all(|c| is_plain(c) || "._-".contains(c))
    };
    (!path.split('/').all(good)).then_some("parts of its path have small letters, digits, `.`, `_` and `-` alone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_a_host_that_engines_do_not_take_for_a_name_of_docker_s_own() {
        for good in ["registry.example.com", "registry.example.com:5000/team/a", "localhost/x", "localhost:5000"] {
            assert_eq!(wrong_registry(good), None, "{good}");
        }
        for bad in ["", "team", "team/x", "https://x.y/z", "x.y/", "x.y/Team", "x.y:port/a", ".:1/-", "x.y/a:b"] {
            assert!(wrong_registry(bad).is_some(), "{bad}");
        }
    }
}
