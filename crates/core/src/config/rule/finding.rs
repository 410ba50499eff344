//! What a rule finds, and the list of all rules.

use std::fmt;

use crate::config::{Config, KeyPath};

/// What a place points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Aim {
    Key,
    Value,
}

/// A rule that a config breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where; the last key need not be there.
    pub key: KeyPath,
    /// Other values without which it would not be so.
    pub(in crate::config) because_of: Vec<KeyPath>,
    /// Whether the key or its value is wrong.
    pub(in crate::config) aim: Aim,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub expected: Option<String>,
    /// The valid name that was probably meant.
    pub nearest: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.key, self.what)?;
        self.expected.as_ref().map_or(Ok(()), |expected| write!(f, ", {expected}"))?;
        self.nearest.as_ref().map_or(Ok(()), |name| write!(f, "; did you mean `{name}`?"))
    }
}

impl Finding {
    pub(super) fn new(key: KeyPath, what: impl Into<String>) -> Self {
        Self { key, because_of: Vec::new(), aim: Aim::Value, what: what.into(), expected: None, nearest: None }
    }

    pub(super) fn because_of(mut self, key: KeyPath) -> Self {
        self.because_of.push(key);
        self
    }

    /// The key is wrong, not its value.
    pub(super) fn at_key(mut self) -> Self {
        self.aim = Aim::Key;
        self
    }

    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn nearest(mut self, name: Option<&str>) -> Self {
        self.nearest = name.map(str::to_owned);
        self
    }

    /// Whether it would say something else, or nothing, if the value at `path` were another.
    pub(in crate::config) fn rests_on(&self, path: &KeyPath) -> bool {
        let touches = |key: &KeyPath| key.0.starts_with(&path.0) || path.0.starts_with(&key.0);
        self.key.0.starts_with(&path.0) || self.because_of.iter().any(touches)
    }
}

impl Config {
    /// Every rule that it breaks beyond what its types keep: unknown names, services that wait for each other in a
    /// circle, ports that two services share, paths that lead outside, and the like. [`parse`](super::super::parse)
    /// looks for these too; a config that a program built is checked with this.
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        RULES.iter().for_each(|rule| rule(self, &mut found));
        found
    }
}

type Rule = fn(&Config, &mut Vec<Finding>);

const RULES: &[Rule] = &[
    super::reference::names_exist,
    super::order::no_circle,
    super::process::one_way_to_run,
    super::compose::projects_can_run,
    super::compose::projects_are_apart,
    super::image::images_can_run,
    super::channel::channels_are_apart,
    super::registry::registries_have_names,
    super::process::variables_have_names,
    super::check::checks_can_succeed,
    super::port::ports_are_free,
    super::port::worktree_ports_suffice,
    super::location::paths_stay_inside,
    super::volume::volumes_can_be_kept,
    super::location::directories_are_apart,
    super::environment::environments_can_work,
    super::canary::canaries_can_be_shared,
    super::name::names_differ_in_more_than_case,
    super::script::scripts_can_run,
];
