//! Phases, snapshots and recipes by name: how plain data in a plan becomes work again, also after a crash.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Failure, Kind};
use crate::phase::Phase;
use crate::plan::Recipe;
use crate::snapshot::Snapshot;
use crate::word::{PhaseName, SnapshotKind};

/// What the adapters of one program can do.
#[derive(Clone, Default)]
pub struct Registry {
    phases: BTreeMap<PhaseName, Arc<dyn Phase>>,
    snapshots: BTreeMap<SnapshotKind, Arc<dyn Snapshot>>,
    recipes: BTreeMap<String, Arc<dyn Recipe>>,
}

impl Registry {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a phase; a later one of the same name replaces it.
    pub fn add_phase(&mut self, phase: Arc<dyn Phase>) {
        self.phases.insert(phase.name().clone(), phase);
    }

    /// Adds a kind of snapshot; a later one of the same kind replaces it.
    pub fn add_snapshot(&mut self, snapshot: Arc<dyn Snapshot>) {
        self.snapshots.insert(snapshot.kind().clone(), snapshot);
    }

    /// Adds a recipe; a later one of the same kind replaces it.
    pub fn add_recipe(&mut self, recipe: Arc<dyn Recipe>) {
        self.recipes.insert(recipe.kind().to_owned(), recipe);
    }

    /// The phase of that name.
    pub fn require_phase(&self, name: &PhaseName) -> Result<&Arc<dyn Phase>, Failure> {
        self.phases.get(name).ok_or_else(|| unknown("phase", name.as_str()))
    }

    /// The snapshot of that kind.
    pub fn require_snapshot(&self, kind: &SnapshotKind) -> Result<&Arc<dyn Snapshot>, Failure> {
        self.snapshots.get(kind).ok_or_else(|| unknown("kind of snapshot", kind.as_str()))
    }

    /// The recipe for that kind of target.
    pub fn require_recipe(&self, kind: &str) -> Result<&Arc<dyn Recipe>, Failure> {
        self.recipes.get(kind).ok_or_else(|| unknown("kind of target", kind))
    }
}

fn unknown(what: &str, name: &str) -> Failure {
    Failure::new(Kind::Unsupported, format!("this program knows no {what} `{name}`"))
        .because("the plan was made by a newer Pleach, or by a program with more adapters")
        .state("nothing was touched")
        .next("run `pleach --version` here and where the plan was made, and use the newer one")
}
