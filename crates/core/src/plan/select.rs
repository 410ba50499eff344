//! Which services go to which targets, and in which order.

use std::collections::{BTreeMap, BTreeSet};

use super::make::PlanInput;
use super::order::levels;
use crate::config::{EnvironmentConfig, nearest};
use crate::error::{Failure, Kind};
use crate::word::{ServiceName, TargetName};

pub(super) struct Selection<'a> {
    pub(super) environment: &'a EnvironmentConfig,
    /// Each with at least one target.
    pub(super) services: BTreeMap<&'a ServiceName, Vec<&'a TargetName>>,
    pub(super) levels: Vec<Vec<ServiceName>>,
}

pub(super) fn select<'a>(input: &PlanInput<'a>) -> Result<Selection<'a>, Vec<Failure>> {
    let environment = require_environment(input).map_err(|failure| vec![failure])?;
    let mut failures = Vec::new();
    let mut services = input.config.destinations(environment);
    services.retain(|service, _| input.only.is_empty() || input.only.contains(service));
    let asked: BTreeSet<&ServiceName> = input.only.iter().collect();
    failures.extend(asked.into_iter().filter_map(|name| refuse_name(input, environment, &services, name)));
    if services.is_empty() && failures.is_empty() {
        failures.push(
            rejected(format!("there is nothing to plan for environment `{}`", input.environment))
                .because("no service goes to any of its targets")
                .next("add `[services.NAME]` to `pleach.toml`, or let `pleach init` propose them"),
        );
    }
    let after = services.keys().map(|name| {
        let before = &input.config.services[*name].after;
        ((*name).clone(), before.iter().cloned().collect())
    });
    match levels(&after.collect()) {
        Ok(levels) if failures.is_empty() => Ok(Selection { environment, services, levels }),
        Ok(_) => Err(failures),
        Err(cycle) => {
            let next = "take one of them out of the `after` of another in `pleach.toml`";
            failures.push(rejected(cycle.to_string()).next(next));
            Err(failures)
        }
    }
}

fn require_environment<'a>(input: &PlanInput<'a>) -> Result<&'a EnvironmentConfig, Failure> {
    let environments = &input.config.environments;
    environments.get(input.environment).ok_or_else(|| {
        let known: Vec<&str> = environments.keys().map(|name| name.as_str()).collect();
        let failure = rejected(format!("there is no environment `{}`", input.environment));
        match nearest(input.environment.as_str(), known.iter().copied()) {
            Some(near) => failure.because(told("the environments are", &known)).next(format!("did you mean `{near}`?")),
            None if known.is_empty() => failure.next("add `[environments.NAME]` to `pleach.toml`"),
            None => failure.because(told("the environments are", &known)).next("name one of them"),
        }
    })
}

/// Why the service that was asked for by name is not among the selected ones.
fn refuse_name(
    input: &PlanInput<'_>,
    environment: &EnvironmentConfig,
    selected: &BTreeMap<&ServiceName, Vec<&TargetName>>,
    name: &ServiceName,
) -> Option<Failure> {
    if selected.contains_key(name) {
        return None;
    }
    let place = input.environment;
    if !input.config.services.contains_key(name) {
        let known: Vec<&str> = input.config.services.keys().map(|name| name.as_str()).collect();
        let failure = rejected(format!("there is no service `{name}`")).because(told("the services are", &known));
        return Some(match nearest(name.as_str(), known) {
            Some(near) => failure.next(format!("did you mean `{near}`? then `pleach plan {place} --only {near}`")),
            None => failure.next("look with `pleach status` what there is"),
        });
    }
    let failure = rejected(format!("service `{name}` does not go to environment `{place}`"));
    let listed = environment.services.is_empty() || environment.services.contains(name);
    Some(if listed {
        failure
            .because(format!("none of its `targets` is a target of `{place}`"))
            .next(format!("add one of them to `services.{name}.targets` in `pleach.toml`"))
    } else {
        failure
            .because(format!("`environments.{place}.services` does not name it"))
            .next(format!("add it to `environments.{place}.services` in `pleach.toml`"))
    })
}

fn rejected(what: String) -> Failure {
    Failure::new(Kind::Rejected, what).state("nothing was touched")
}

fn told(what: &str, names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { format!("{what} none") } else { format!("{what} {}", names.join(", ")) }
}
