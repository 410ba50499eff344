//! Services do not wait for each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::config::{Config, KeyPath};
use crate::plan::levels;
use crate::word::ServiceName;

pub(super) fn no_circle(config: &Config, found: &mut Vec<Finding>) {
    // A service that waits for itself is told elsewhere, in simpler words.
    let mut after: BTreeMap<ServiceName, BTreeSet<ServiceName>> = config
        .services
        .iter()
        .map(|(name, service)| (name.clone(), service.after.iter().filter(|other| *other != name).cloned().collect()))
        .collect();
    while let Err(circle) = levels(&after) {
        let (Some(first), Some(next)) = (circle.0.first(), circle.0.get(1)) else { return };
        let list = config.services.get(first).map(|service| service.after.as_slice()).unwrap_or_default();
        let at = list.iter().position(|name| name == next).unwrap_or_default();
        let key = |name: &ServiceName| KeyPath::of(["services", name.as_str(), "after"]);
        let mut finding = Finding::new(key(first).at(at), circle.to_string());
        finding.because_of = circle.0.iter().map(key).collect();
        found.push(finding.expected("expected an order in which one of them comes first"));
        // Further circles that share none of these links are told as well.
        if let Some(links) = after.get_mut(first) {
            links.remove(next);
        }
    }
}
