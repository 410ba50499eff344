//! A canary has parts that can be given, time to be watched in, and a proxy that gives them.

use super::Finding;
use crate::config::{Config, KeyPath, TargetConfig};
use crate::period::Period;

/// Less than a few looks at what the proxy counts shows nothing.
const SHORTEST_WAIT: Period = Period::seconds(1);

pub(super) fn canaries_can_be_shared(config: &Config, found: &mut Vec<Finding>) {
    for (name, environment) in &config.environments {
        let Some(canary) = &environment.canary else { continue };
        let key = KeyPath::of(["environments", name.as_str(), "canary"]);
        if let Some((at, what)) = canary.wrong_step() {
            let finding = Finding::new(key.at("steps").at(at), what);
            found.push(
                finding.expected(
                    "expected whole percentages from `1%` to `99%`, each larger than the one before; `0%` comes first, with `match`",
                ),
            );
        }
        if let Some(matching) = &canary.matching {
            let of = key.at("match");
            match (&matching.header, &matching.cookie) {
                (Some(_), Some(_)) => {
                    let finding = Finding::new(of.at("cookie"), "a header is named already");
                    found.push(finding.because_of(of.at("header")).expected("expected `header` or `cookie`"));
                }
                (None, None) => {
                    let finding = Finding::new(of, "this matches no request");
                    found.push(finding.expected("expected `header` or `cookie`"));
                }
                _ => {}
            }
        }
        if canary.wait < SHORTEST_WAIT {
            let finding = Finding::new(key.at("wait"), format!("{} shows nothing of a release", canary.wait));
            found.push(finding.expected(format!("expected at least `{SHORTEST_WAIT}`")));
        }
        if canary.pause.is_some_and(|pause| pause < SHORTEST_WAIT) {
            let finding = Finding::new(key.at("pause"), "nobody could answer in time");
            found.push(finding.expected(format!("expected at least `{SHORTEST_WAIT}`, or no `pause`")));
        }
        let targets = &environment.targets;
        if !targets.is_empty() && targets.values().all(|target: &TargetConfig| target.proxy().is_none()) {
            let because = KeyPath::of(["environments", name.as_str(), "targets"]);
            let finding = Finding::new(key, format!("nothing can share requests in environment `{name}`"));
            found.push(finding.because_of(because).expected("expected a target with `proxy`"));
        }
    }
}
