//! Checks have somewhere to ask, and enough time to succeed.

use super::Finding;
use crate::config::{CheckConfig, CheckKind, Config, KeyPath, ServiceConfig, ServiceTest};
use crate::period::Period;

pub(super) fn checks_can_succeed(config: &Config, found: &mut Vec<Finding>) {
    for (name, service) in &config.services {
        let key = KeyPath::of(["services", name.as_str()]);
        if let Some(health) = &service.health {
            check(service, &key, &key.at("health"), health, found);
        }
        for (at, further) in service.checks.iter().enumerate() {
            check(service, &key, &key.at("checks").at(at), further, found);
        }
        if let Some(test) = &service.test {
            service_test(service, &key, test, found);
        }
    }
}

fn check(service: &ServiceConfig, owner: &KeyPath, key: &KeyPath, check: &CheckConfig, found: &mut Vec<Finding>) {
    if let CheckKind::Http(http) = &check.kind {
        if http.path.starts_with('/') {
            needs_port(service, owner, key.at("http").at("path"), found);
        }
        if http.max_response == Some(Period::ZERO) {
            found.push(no_time(key.at("http").at("max-response")));
        }
    }
    let times = &check.thresholds;
    let positive = [("period", times.period), ("timeout", times.timeout), ("within", times.within)];
    let zero: Vec<Finding> =
        positive.iter().filter(|(_, period)| *period == Period::ZERO).map(|(name, _)| no_time(key.at(*name))).collect();
    let least = times
        .period
        .0
        .checked_mul(times.success.saturating_sub(1))
        .and_then(|all| all.checked_add(times.initial_delay.0));
    if zero.is_empty() && least.is_none_or(|least| least >= times.within.0) {
        let what = format!(
            "the check cannot succeed {} times, {} apart, after {}, within {}",
            times.success, times.period, times.initial_delay, times.within
        );
        let mut finding = Finding::new(key.at("within"), what).expected("expected a longer `within`");
        finding.because_of = ["period", "success", "initial-delay"].iter().map(|name| key.at(*name)).collect();
        found.push(finding);
    }
    found.extend(zero);
}

fn service_test(service: &ServiceConfig, owner: &KeyPath, test: &ServiceTest, found: &mut Vec<Finding>) {
    let key = owner.at("test");
    let paths = [
        ("health", &test.health),
        ("metadata", &test.metadata),
        ("not-found", &test.not_found),
        ("method-not-allowed", &test.method_not_allowed),
        ("documentation", &test.documentation),
    ];
    for (name, path) in paths {
        if !path.is_empty() && !path.starts_with('/') {
            let what = format!("`{path}` is not a path of the service");
            found.push(
                Finding::new(key.at(name), what)
                    .expected("expected a path that starts with `/`, or `\"\"` to leave the stage out"),
            );
        }
    }
    if paths.iter().any(|(_, path)| !path.is_empty()) {
        needs_port(service, owner, key, found);
    }
}

fn needs_port(service: &ServiceConfig, owner: &KeyPath, key: KeyPath, found: &mut Vec<Finding>) {
    if service.port.is_none() {
        let finding = Finding::new(key, "there is no port to ask at").because_of(owner.at("port"));
        found.push(finding.expected(format!("expected `port` in `[{owner}]`")));
    }
}

fn no_time(key: KeyPath) -> Finding {
    let what = format!("`{}` is no time at all", key.tail());
    Finding::new(key, what).expected("expected a length of time such as `5s`")
}
