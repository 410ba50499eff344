//! Names that become directories differ in more than case: not every file system tells `Api` from `api`.

use std::collections::BTreeMap;

use super::Finding;
use crate::config::{Config, KeyPath};

pub(super) fn names_differ_in_more_than_case(config: &Config, found: &mut Vec<Finding>) {
    distinct("service", &KeyPath::of(["services"]), config.services.keys().map(|name| name.as_str()), found);
    let top = KeyPath::of(["environments"]);
    distinct("environment", &top, config.environments.keys().map(|name| name.as_str()), found);
    for (name, environment) in &config.environments {
        let key = top.at(name.as_str()).at("targets");
        distinct("target", &key, environment.targets.keys().map(|name| name.as_str()), found);
    }
}

fn distinct<'a>(what: &str, key: &KeyPath, names: impl Iterator<Item = &'a str>, found: &mut Vec<Finding>) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for name in names {
        if let Some(other) = seen.insert(name.to_lowercase(), name) {
            let what = format!("{what}s `{other}` and `{name}` differ only in case, so their directories may be one");
            found.push(Finding::new(key.at(name), what).expected("expected another name"));
        }
    }
}
