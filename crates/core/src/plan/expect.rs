//! What a plan expects to find on a target, compared with what is there.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::PlannedTarget;
use crate::target::Facts;

/// A fact that is no longer as the plan relies on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// Its name.
    pub fact: String,
    /// What the plan was made from; null if the target did not have it.
    pub expected: Value,
    /// What was read now; null if the target does not have it.
    pub found: Value,
}

/// `` `current` was `"0006-ab12cd34"` and is now `"0007-cd34ab12"` ``
impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |value: &Value| match value {
            Value::Null => "absent".to_owned(),
            value => format!("`{value}`"),
        };
        write!(f, "`{}` was {} and is now {}", self.fact, told(&self.expected), told(&self.found))
    }
}

/// Every fact of `target.expects` that `facts` no longer bears out, by name.
///
/// A fact that is absent equals one that is null, so a plan can rely on something not being there. Facts that the plan
/// does not name may have any value.
pub fn mismatches(target: &PlannedTarget, facts: &Facts) -> Vec<Mismatch> {
    let found = |fact: &str| facts.get(fact).cloned().unwrap_or(Value::Null);
    target
        .expects
        .iter()
        .map(|(fact, expected)| Mismatch { fact: fact.clone(), expected: expected.clone(), found: found(fact) })
        .filter(|mismatch| mismatch.expected != mismatch.found)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::word::TargetName;

    fn facts(value: Value) -> Facts {
        serde_json::from_value(value).expect("an object")
    }

    fn target(expects: Value) -> PlannedTarget {
        PlannedTarget {
            name: TargetName::new("here").expect("a name"),
            kind: "directory".into(),
            settings: Value::Null,
            expects: facts(expects),
        }
    }

    #[test]
    fn only_facts_that_the_plan_names_are_compared() {
        let target = target(json!({"current": "0006", "absent": null}));
        assert_eq!(mismatches(&target, &facts(json!({"current": "0006", "free": 7}))), []);
        assert_eq!(mismatches(&target, &facts(json!({"current": "0006", "absent": null}))), []);
    }

    #[test]
    fn a_changed_a_vanished_and_a_new_fact_are_each_told() {
        let target = target(json!({"current": "0006", "gone": 1, "new": null}));
        let found = mismatches(&target, &facts(json!({"current": "0007", "new": [2]})));
        let told: Vec<String> = found.iter().map(Mismatch::to_string).collect();
        assert_eq!(
            told,
            [
                "`current` was `\"0006\"` and is now `\"0007\"`",
                "`gone` was `1` and is now absent",
                "`new` was absent and is now `[2]`",
            ]
        );
    }
}
