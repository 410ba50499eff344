//! What other environments have, or had, of the versions that are to go live: what a person is shown who is asked where they
//! were tested.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pleach_core::engine::LaneStatus;
use pleach_core::journal::Outcome;
use pleach_core::plan::{Operation, Plan};
use pleach_core::port::RunEntry;
use pleach_core::word::{EnvironmentName, ServiceName};
use tokio::task::JoinSet;

use super::typed::{Version, versions};
use crate::board::rows;
use crate::print::moment_text;
use crate::project::{Project, Workspace};
use crate::standing::{Health, Life, ServiceStanding, readers};

/// So many runs are looked through, the newest first.
const RUNS: usize = 200;

/// What is seen of one service's version in another environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is live, and its health check says so.
    Healthy(Option<Timestamp>),
    /// It is live, and has no health check.
    Live(Option<Timestamp>),
    /// A run that succeeded brought it there; it is not live any more, or the target did not tell.
    Deployed(Timestamp),
    /// Nothing.
    Never,
}

/// What another environment has or had of the versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    pub(super) environment: EnvironmentName,
    pub(super) seen: BTreeMap<ServiceName, Seen>,
}

impl Elsewhere {
    /// Whether it has or had all of them.
    pub(super) fn has_all(&self) -> bool {
        self.seen.values().all(|seen| *seen != Seen::Never)
    }

    /// `yes: alpha live and healthy since …; beta deployed …, not live now`
    pub(super) fn told(&self) -> String {
        let since =
            |since: &Option<Timestamp>| since.map(|at| format!(" since {}", moment_text(at))).unwrap_or_default();
        let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
        for (service, seen) in &self.seen {
            let words = match seen {
                Seen::Healthy(at) => format!("live and healthy{}", since(at)),
                Seen::Live(at) => format!("live{}, without a health check", since(at)),
                Seen::Deployed(at) => format!("deployed {}, not seen live now", moment_text(*at)),
                Seen::Never => "never deployed there".to_owned(),
            };
            match groups.iter_mut().find(|(other, _)| *other == words) {
                Some((_, services)) => services.push(service.as_str()),
                None => groups.push((words, vec![service.as_str()])),
            }
        }
        let told: Vec<String> =
            groups.into_iter().map(|(words, services)| format!("{} {words}", services.join(", "))).collect();
        let word = match self.seen.values().filter(|seen| **seen != Seen::Never).count() {
            0 => return "no".to_owned(),
            some if some == self.seen.len() => "yes",
            _ => "in part",
        };
        format!("{word}: {}", told.join("; "))
    }
}

/// Asks the targets of all other environments, side by side and within their time limit, and reads the journals.
pub(crate) async fn seen_elsewhere(project: &Project, plan: &Plan) -> Vec<Elsewhere> {
    let versions = versions(plan);
    let wanted: Vec<(&ServiceName, &Version)> =
        versions.iter().flat_map(|version| version.services.iter().map(move |service| (service, version))).collect();
    let others = project.config.environments.keys().filter(|name| **name != plan.environment);
    let mut elsewhere: Vec<Elsewhere> = others
        .map(|name| Elsewhere {
            environment: name.clone(),
            seen: wanted.iter().map(|(service, _)| ((*service).clone(), Seen::Never)).collect(),
        })
        .collect();
    if wanted.is_empty() {
        return elsewhere;
    }
    let is_wanted = |service: &ServiceName, commit: &str| {
        wanted.iter().any(|(name, version)| *name == service && commit.starts_with(&version.commit))
    };
    deployed(&project.workspace, &mut elsewhere, is_wanted);
    let mut reading = JoinSet::new();
    for one in &elsewhere {
        for reader in readers(project, Some(&one.environment)).unwrap_or_default() {
            reading.spawn(async move { reader.read().await });
        }
    }
    let standings: Vec<ServiceStanding> = reading.join_all().await.into_iter().flatten().collect();
    for one in &mut elsewhere {
        for (service, seen) in &mut one.seen {
            let own = standings.iter().filter(|row| row.environment == one.environment && row.service == *service);
            let on_targets: Option<Vec<Seen>> = own
                .map(|row| {
                    let is_there = row.commit.as_ref().is_some_and(|commit| is_wanted(service, commit.as_str()));
                    live(row).filter(|_| is_there)
                })
                .collect();
            // On all of its targets, and as the least of them.
            let least = on_targets.and_then(|seen| seen.into_iter().max_by_key(|seen| matches!(seen, Seen::Live(_))));
            *seen = least.unwrap_or(*seen);
        }
    }
    elsewhere
}

fn live(standing: &ServiceStanding) -> Option<Seen> {
    match (standing.state, standing.health) {
        (Life::Running | Life::Placed, Health::Healthy) => Some(Seen::Healthy(standing.since)),
        (Life::Running | Life::Placed, Health::Unchecked) => Some(Seen::Live(standing.since)),
        _ => None,
    }
}

/// What runs have brought to other environments that succeeded and were not taken back. A journal that cannot be read says
/// nothing: the person who answers is told no more than is known.
fn deployed(workspace: &Workspace, elsewhere: &mut [Elsewhere], is_wanted: impl Fn(&ServiceName, &str) -> bool) {
    let succeeded = |entry: &RunEntry| entry.outcome == Some(Outcome::Succeeded);
    for entry in workspace.entries().unwrap_or_default().iter().filter(|entry| succeeded(entry)).take(RUNS) {
        let Some(one) = elsewhere.iter_mut().find(|one| one.environment == entry.environment) else { continue };
        if one.has_all() {
            continue;
        }
        let Ok(state) = workspace.state(&entry.run) else { continue };
        if state.plan().operation != Operation::Deploy {
            continue;
        }
        let rows = rows(&state);
        for service in &state.plan().services {
            let mut own = rows.iter().filter(|row| row.service == service.name).peekable();
            let is_done = own.peek().is_some() && own.all(|row| row.status == LaneStatus::Done);
            if let Some(seen) = one.seen.get_mut(&service.name)
                && *seen == Seen::Never
                && is_done
                && is_wanted(&service.name, service.commit.as_str())
            {
                *seen = Seen::Deployed(state.ended().unwrap_or(entry.started));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_of_several_services_is_told_in_one_line() {
        let at = Timestamp::UNIX_EPOCH;
        let of = |seen: &[(&str, Seen)]| Elsewhere {
            environment: EnvironmentName::new("uat").expect("a name"),
            seen: seen.iter().map(|(name, seen)| (ServiceName::new(*name).expect("a name"), *seen)).collect(),
        };
        assert_eq!(of(&[("a", Seen::Never), ("b", Seen::Never)]).told(), "no");
        let all = of(&[("a", Seen::Healthy(None)), ("b", Seen::Healthy(None))]);
        assert_eq!(all.told(), "yes: a, b live and healthy");
        assert!(all.has_all());
        let part = of(&[("a", Seen::Deployed(at)), ("b", Seen::Never)]);
        assert!(!part.has_all());
        assert!(part.told().starts_with("in part: a deployed ") && part.told().ends_with("; b never deployed there"));
    }
}
