//! Which secrets may be in what is exported, and what to do where one of them is not known.

use std::collections::{BTreeMap, BTreeSet};

use pleach_core::config::{EnvironmentValue, ScriptConfig};
use pleach_core::error::Failure;
use pleach_core::port::{Secret, SecretName, Secrets};
use pleach_remote::mask::Mask;

/// What was fetched, and why something could not be.
pub(super) struct Fetched(BTreeMap<SecretName, Result<Secret, Failure>>);

impl Fetched {
    /// Each once, one after another: a command may ask for a password.
    pub(super) async fn fetch(names: BTreeSet<SecretName>, secrets: &dyn Secrets) -> Self {
        let mut fetched = BTreeMap::new();
        for name in names {
            let secret = secrets.fetch(&name).await;
            fetched.insert(name, secret);
        }
        Self(fetched)
    }

    /// Of all that are known.
    pub(super) fn mask(&self) -> Mask {
        Mask::of(self.0.values().filter_map(|secret| Some(secret.as_ref().ok()?.expose())))
    }

    /// Why one of these is not known.
    pub(super) fn unknown(&self, names: &BTreeSet<SecretName>) -> Option<&Failure> {
        names.iter().find_map(|name| self.0.get(name)?.as_ref().err())
    }
}

/// The secrets that a service and its scripts are given.
pub(super) fn secret_names(
    environment: &BTreeMap<String, EnvironmentValue>,
    scripts: &[ScriptConfig],
) -> BTreeSet<SecretName> {
    let values = environment.values().chain(scripts.iter().flat_map(|script| script.environment.values()));
    let named = values.filter_map(|value| match value {
        EnvironmentValue::Secret { secret } => Some(secret.clone()),
        EnvironmentValue::Plain(_) => None,
    });
    named.collect()
}
