//! Volumes that are kept are volumes of the service's containers.

use std::collections::BTreeMap;

use super::Finding;
use crate::config::{Config, KeyPath, ServiceConfig, nearest};

pub(super) fn volumes_can_be_kept(config: &Config, found: &mut Vec<Finding>) {
    for (name, service) in &config.services {
        let key = KeyPath::of(["services", name.as_str(), "snapshot"]);
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, volume) in service.snapshot.iter().enumerate().filter_map(|(at, one)| Some((at, one.volume()?))) {
            let key = key.at(at);
            if let Some(finding) = wrong(&key, service, volume) {
                found.push(finding);
            } else if seen.insert(volume, at).is_some() {
                let what = format!("volume `{volume}` is named twice");
                found.push(Finding::new(key, what).expected("expected each volume once"));
            }
        }
    }
}

fn wrong(key: &KeyPath, service: &ServiceConfig, volume: &str) -> Option<Finding> {
    if !is_volume_name(volume) {
        let what = format!("`{volume}` is no name of a volume");
        let finding = Finding::new(key.clone(), what);
        return Some(finding.expected("expected `volume:` and letters, digits, `.`, `_` and `-`; a folder as it is"));
    }
    let Some(image) = &service.image else {
        let what = format!("volume `{volume}` belongs to no container of this service");
        let finding = Finding::new(key.clone(), what);
        return service.compose.is_none().then(|| finding.expected("expected `image` or `compose` in the service"));
    };
    let named = image.volumes.iter().filter_map(|volume| volume.split(':').next());
    let names: Vec<&str> = named.filter(|name| is_volume_name(name)).collect();
    if names.contains(&volume) {
        return None;
    }
    let near = nearest(volume, names.iter().copied());
    let finding = Finding::new(key.clone(), format!("no container of this service has volume `{volume}`"));
    Some(finding.expected("expected a name in `volumes` of `image`").nearest(near))
}

/// As the engine takes it.
pub(super) fn is_volume_name(name: &str) -> bool {
    name.len() > 1 && is_plain(name)
}

/// A letter or digit, and behind that also `.`, `_` and `-`.
pub(super) fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}
