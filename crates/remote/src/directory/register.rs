//! Handing all of it to a program's registry.

use std::path::Path;
use std::sync::Arc;

use pleach_core::port::{Secrets, Source};
use pleach_core::registry::Registry;

use super::built::BuiltTrees;
use super::files::FilesSnapshot;
use super::phase::{Means, Work};
use super::recipe::DirectoryRecipe;
use super::snapshot::ReleaseSnapshot;
use super::steps::DirectoryPhase;
use super::volumes::VolumesSnapshot;
use crate::watchdog::{ConfirmPhase, WatchdogSnapshot};

/// Adds the phases, the snapshots and the recipe of the kinds `directory` and `ssh`.
///
/// In the folder `built` of this machine lie the trees that are built here; it is made when it is needed.
pub fn register(registry: &mut Registry, source: Arc<dyn Source>, secrets: Arc<dyn Secrets>, built: &Path) {
    let built = Arc::new(BuiltTrees::new(built.to_owned()));
    let means = Means { source, secrets, built };
    for work in Work::ALL {
        if let Some(phase) = DirectoryPhase::new(work, means.clone()) {
            registry.add_phase(Arc::new(phase));
        }
    }
    if let (Some(release), Some(files), Some(volumes)) = (
        ReleaseSnapshot::new(means.secrets.clone()),
        FilesSnapshot::new(means.secrets.clone()),
        VolumesSnapshot::new(means.secrets),
    ) {
        registry.add_snapshot(Arc::new(release));
        registry.add_snapshot(Arc::new(files));
        registry.add_snapshot(Arc::new(volumes));
    }
    if let (Some(watchdog), Some(confirm)) = (WatchdogSnapshot::new(), ConfirmPhase::new()) {
        registry.add_snapshot(Arc::new(watchdog));
        registry.add_phase(Arc::new(confirm));
    }
    for kind in ["directory", "ssh"] {
        registry.add_recipe(Arc::new(DirectoryRecipe::new(kind)));
    }
}
