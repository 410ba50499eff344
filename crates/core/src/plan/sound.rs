//! What must be so of every draft before it becomes part of a plan: the engine relies on it and asks no more.

use std::collections::BTreeSet;

use super::make::PlanInput;
use super::recipe::Draft;
use crate::error::{Failure, Kind};
use crate::period::Period;
use crate::phase::Reversal;
use crate::target::Facet;
use crate::word::{ServiceName, SnapshotId, TargetName};

/// Every reason why `draft` cannot be carried out on `target`.
pub(super) fn unsound(
    input: &PlanInput<'_>,
    service: &ServiceName,
    target: &TargetName,
    draft: &Draft,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    let facets = input.targets.get(target).map(|description| description.facets.as_slice()).unwrap_or_default();
    let lacking = |what: String, needs: &[Facet]| {
        let missing: Vec<String> =
            needs.iter().filter(|need| !facets.contains(need)).map(|need| format!("`{}`", name_of(*need))).collect();
        (!missing.is_empty()).then(|| {
            Failure::new(Kind::Unsupported, format!("{what} of service `{service}` cannot work on target `{target}`"))
                .because(format!("the target lacks {}", missing.join(" and ")))
                .state("nothing was touched")
                .next(format!("give `services.{service}.targets` targets that have it, in `pleach.toml`"))
        })
    };
    for (kind, _) in &draft.snapshots {
        match input.registry.require_snapshot(kind) {
            Ok(snapshot) => failures.extend(lacking(format!("snapshot `{kind}`"), snapshot.needs())),
            Err(failure) => failures.push(failure),
        }
    }
    for step in draft.steps.iter().map(|draft| &draft.step) {
        match input.registry.require_phase(&step.phase) {
            Ok(phase) => failures.extend(lacking(format!("step `{}`", step.name), phase.needs())),
            Err(failure) => failures.push(failure),
        }
    }
    let defect = |because: String| {
        Failure::new(Kind::Internal, format!("the recipe for `{service}` on `{target}` has a defect"))
            .because(because)
            .state("nothing was touched")
    };
    failures.extend(defects(service, target, draft).into_iter().map(defect));
    failures
}

/// What only a wrong recipe can bring about.
fn defects(service: &ServiceName, target: &TargetName, draft: &Draft) -> Vec<String> {
    let mut found = Vec::new();
    let mut kinds = BTreeSet::new();
    for (kind, _) in &draft.snapshots {
        if !kinds.insert(kind) {
            found.push(format!("it takes snapshot `{kind}` twice"));
        }
    }
    let ids: BTreeSet<String> = kinds.iter().map(|kind| format!("{kind}/{service}@{target}")).collect();
    let mut names = BTreeSet::new();
    for step in draft.steps.iter().map(|draft| &draft.step) {
        if !names.insert(&step.name) {
            found.push(format!("it has two steps `{}`", step.name));
        }
        if step.time_limit == Period::ZERO {
            found.push(format!("step `{}` has no time at all", step.name));
        }
        if let Reversal::Restore { snapshots } = &step.reversal {
            let unknown = |id: &&SnapshotId| !ids.contains(id.as_str());
            found.extend(
                snapshots
                    .iter()
                    .filter(unknown)
                    .map(|id| format!("step `{}` restores snapshot `{id}`, which is not taken", step.name)),
            );
            if snapshots.is_empty() {
                found.push(format!("step `{}` is taken back by snapshots and names none", step.name));
            }
        }
    }
    found
}

fn name_of(facet: Facet) -> &'static str {
    match facet {
        Facet::Shell => "shell",
        Facet::Files => "files",
        Facet::Containers => "containers",
        Facet::Database => "database",
        Facet::Modules => "modules",
        Facet::Http => "http",
    }
}
