//! An environment has somewhere to deploy to, and time to hold it.

use super::Finding;
use crate::config::{Config, KeyPath};
use crate::period::Period;

/// A lease is renewed several times before it expires; below this the renewals themselves would be late.
const SHORTEST_LEASE: Period = Period::seconds(5);

pub(super) fn environments_can_work(config: &Config, found: &mut Vec<Finding>) {
    for (name, environment) in &config.environments {
        let key = KeyPath::of(["environments", name.as_str()]);
        if environment.targets.is_empty() {
            let what = format!("environment `{name}` has no target");
            let expected = format!("expected `[{key}.targets.NAME]`");
            found.push(Finding::new(key.clone(), what).because_of(key.at("targets")).expected(expected));
        }
        let destinations = config.destinations(environment);
        for (at, service) in environment.services.iter().enumerate() {
            let goes = destinations.contains_key(service);
            if config.services.contains_key(service) && !environment.targets.is_empty() && !goes {
                let what = format!("service `{service}` goes to no target of environment `{name}`");
                let targets = KeyPath::of(["services", service.as_str(), "targets"]);
                let expected = format!("expected one of its targets in `{targets}`");
                found.push(Finding::new(key.at("services").at(at), what).because_of(targets).expected(expected));
            }
        }
        if environment.lease < SHORTEST_LEASE {
            let what = format!("a lease of {} would expire between two renewals", environment.lease);
            found.push(Finding::new(key.at("lease"), what).expected(format!("expected at least `{SHORTEST_LEASE}`")));
        }
    }
    for (name, service) in &config.services {
        if service.build_limit == Period::ZERO {
            let key = KeyPath::of(["services", name.as_str(), "build-limit"]);
            found.push(
                Finding::new(key, "the build would have no time at all")
                    .expected("expected a length of time such as `10m`"),
            );
        }
    }
}
