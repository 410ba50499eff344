//! An environment has somewhere to deploy to, and time to hold it.

use super::Finding;
use crate::config::{Config, KeyPath};
use crate::period::Period;
use crate::plan::OnFailure;

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
        let lenient = environment.on_failure(name) == OnFailure::UnwindLane;
        if environment.gatekeeper.is_some() && (lenient || environment.failure_budget.is_some_and(|budget| budget > 0))
        {
            let (because, expected) = if lenient {
                ("on-failure", "expected `on-failure` to be `unwind-run` or `hold`")
            } else {
                ("failure-budget", "expected no `failure-budget`")
            };
            let what = "the others would go on though the gatekeeper failed";
            found.push(Finding::new(key.at("gatekeeper"), what).because_of(key.at(because)).expected(expected));
        }
        if let Some(watchdog) = environment.watchdog(name)
            && watchdog < environment.lease
        {
            let what = format!("a watchdog of {watchdog} would bite before a lease of {} is lost", environment.lease);
            let expected = format!("expected at least `{}`, or `0s` for none", environment.lease);
            let because = key.at("lease");
            found.push(Finding::new(key.at("watchdog"), what).because_of(because).expected(expected));
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
