//! Names of images on channels are good ones, and no two mean the same.

use std::collections::BTreeMap;

use super::Finding;
use crate::config::{Config, KeyPath};

pub(super) fn channels_are_apart(config: &Config, found: &mut Vec<Finding>) {
    let mut owners: BTreeMap<&str, KeyPath> = BTreeMap::new();
    for (name, environment) in &config.environments {
        let Some(channel) = &environment.channel else { continue };
        let key = KeyPath::of(["environments", name.as_str()]).at("channel");
        if channel.as_str().contains('-') {
            let what = format!("`{channel}` has a `-`, which ends the channel in the names of images");
            found.push(Finding::new(key.clone(), what).expected("expected letters, digits, `_` and `.` alone"));
        }
        if let Some(other) = owners.insert(channel.as_str(), key.clone()) {
            let what = format!("channel `{channel}` is another environment's already");
            found.push(Finding::new(key, what).because_of(other).expected("expected a channel of its own"));
        }
    }
    names_are_apart(config, !owners.is_empty(), found);
}

fn names_are_apart(config: &Config, used: bool, found: &mut Vec<Finding>) {
    let mut owners: BTreeMap<String, KeyPath> = BTreeMap::new();
    for (name, service) in &config.services {
        let Some(image) = &service.image else { continue };
        let (key, typed) = (KeyPath::of(["services", name.as_str()]).at("image").at("name"), image.name.is_some());
        let called = image.called(name);
        if !used && !typed {
            continue;
        }
        if let Some(why) = wrong_name(&called) {
            let what = format!("`{called}` is no name of images: {why}");
            found.push(Finding::new(key.clone(), what).expected("expected one such as `team/odoo-mta`"));
        } else if let Some(other) = owners.insert(called.clone(), key.clone()) {
            let what = format!("images of another service are called `{called}` already");
            found.push(Finding::new(key, what).because_of(other).expected("expected another name"));
        }
    }
}

/// The rules of engines for what stands in front of the tag, without a registry's port.
fn wrong_name(name: &str) -> Option<&'static str> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.len() > 128 {
        return Some("it is longer than 128 characters");
    }
    if name.starts_with("pleach/") {
        return Some("what begins with `pleach/` is Pleach's own");
    }
    for part in name.split('/') {
        if !part.starts_with(is_plain) || !part.ends_with(is_plain) {
            return Some("each of its parts begins and ends with a small letter or a digit");
        }
        if !part.chars().all(|c| is_plain(c) || "._-".contains(c)) {
            return Some("it has small letters, digits, `.`, `_`, `-` and `/` alone");
        }
        if part.contains("..") || part.contains("._") || part.contains("_.") || part.contains("___") {
            return Some("two such signs stand beside each other");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_called_as_engines_allow() {
        for good in ["odoo-mta", "team/odoo_mta", "a.b/c", "a--b", "x1"] {
            assert_eq!(wrong_name(good), None, "{good}");
        }
        for bad in ["", "Odoo", "a:1", "-a", "a-", "a..b", "a/", "pleach/a", "a b", &"x".repeat(129)] {
            assert!(wrong_name(bad).is_some(), "{bad}");
        }
    }
}
