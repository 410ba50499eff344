//! `canary` of an environment: a new release proves itself with a part of the requests first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matching::CanaryMatch;
use super::service::CommandLine;
use crate::percent::Percent;
use crate::period::Period;

/// A new release is given a part of the requests first, and is watched with each: where it is worse than this allows, it is
/// taken back. For services that the target's `proxy` leads to, and that have a release to share requests with; others go
/// live at once, and the plan says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CanaryConfig {
    /// The parts of the requests, one after the other, each larger than the one before; then all of them. With `match` the first may
    /// be `0%`: only those who ask for the new release get it.
    #[schemars(length(min = 1), example = ["10%", "50%"])]
    pub steps: Vec<Percent>,
    /// Requests that go to the new release whatever its part is, from the first step to the last.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    #[schemars(example = serde_json::json!({ "header": "X-Canary", "value": "always" }))]
    pub matching: Option<CanaryMatch>,
    /// How long the release is watched with each part.
    #[serde(default = "default_wait")]
    #[schemars(example = &"2m")]
    pub wait: Period,
    /// The largest part of its requests that may fail: it answers with 500 or above, or not at all.
    #[serde(default = "default_errors")]
    #[schemars(example = &"0.5%")]
    pub errors: Percent,
    /// The longest that it may take on average until its answers begin, as HAProxy tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"500ms")]
    pub latency: Option<Period>,
    /// A command on the target, in the release's directory, that is run at the end of each part and must exit with 0 within five
    /// minutes. It sees what the service sees, and `PLEACH_PERCENT` and `PLEACH_PREVIOUS`: the part, and the release before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"./compare-metrics.sh")]
    pub command: Option<CommandLine>,
    /// How long it waits at the end of each part, watched as before, for a person who says `pleach confirm ENVIRONMENT`. If nobody
    /// does, it is taken back. Nobody is asked if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"1h")]
    pub pause: Option<Period>,
    /// The fewest requests to judge `errors` and `latency` by. While there were fewer, the others are counted as answered well;
    /// where there are fewer at the end, it goes on and says so.
    #[serde(default = "default_requests")]
    #[schemars(range(min = 1), example = 100)]
    pub requests: u32,
    /// Whether a service that can share no requests is refused instead; `--canary` on the command line does so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(example = true)]
    pub required: bool,
}

impl CanaryConfig {
    /// With these parts, and all else as it is where nothing is said.
    pub fn of(steps: Vec<Percent>) -> Self {
        Self {
            steps,
            matching: None,
            wait: default_wait(),
            errors: default_errors(),
            latency: None,
            command: None,
            pause: None,
            requests: default_requests(),
            required: false,
        }
    }

    /// The first part that cannot be given, by its place, and why.
    pub fn wrong_step(&self) -> Option<(usize, String)> {
        let mut before = None;
        self.steps.iter().enumerate().find_map(|(at, step)| {
            let last = before.replace(*step);
            match step.as_whole() {
                None => Some((at, format!("`{step}` is no whole percentage"))),
                Some(0) if at == 0 && self.matching.is_some() => None,
                Some(0) if at == 0 => {
                    Some((at, format!("`{step}` is for those who ask for it, and no `match` says who does")))
                }
                Some(0 | 100..) => Some((at, format!("`{step}` of the requests is no part of them"))),
                Some(_) => {
                    last.filter(|last| last >= step).map(|last| (at, format!("`{step}` is not more than `{last}`")))
                }
            }
        })
    }
}

fn default_wait() -> Period {
    Period::seconds(60)
}

fn default_errors() -> Percent {
    Percent::whole(1)
}

fn default_requests() -> u32 {
    20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_and_are_whole() {
        let wrong = |texts: &[&str]| {
            let steps = texts.iter().map(|text| text.parse().expect("a share")).collect();
            CanaryConfig::of(steps).wrong_step().map(|(at, _)| at)
        };
        assert_eq!(wrong(&["1%", "10%", "99%"]), None);
        assert_eq!(wrong(&["0%"]), Some(0));
        let mut asked = CanaryConfig::of(vec![Percent::whole(0), Percent::whole(10)]);
        assert_eq!(asked.wrong_step().map(|(at, _)| at), Some(0), "nobody would get it");
        asked.matching = serde_json::from_str(r#"{ "header": "X-Canary" }"#).expect("a match");
        assert_eq!(asked.wrong_step(), None);
        asked.steps = vec![Percent::whole(10), Percent::whole(0)];
        assert_eq!(asked.wrong_step().map(|(at, _)| at), Some(1));
        assert_eq!(wrong(&["10%", "100%"]), Some(1));
        assert_eq!(wrong(&["10%", "10%"]), Some(1));
        assert_eq!(wrong(&["50%", "10%"]), Some(1));
        assert_eq!(wrong(&["10%", "12.5%"]), Some(1));
    }
}
