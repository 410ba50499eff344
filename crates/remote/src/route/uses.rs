//! Which releases have connections.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use pleach_core::word::ReleaseId;

use crate::daemon::lock_file;
use crate::directory::ServiceLayout;

/// Connections by release, and the lock that says so.
#[derive(Debug)]
pub(super) struct Uses {
    layout: ServiceLayout,
    open: Mutex<HashMap<ReleaseId, (File, u64)>>,
}

/// One connection to a release.
#[derive(Debug)]
pub(super) struct Use {
    uses: Arc<Uses>,
    release: ReleaseId,
}

impl Uses {
    pub(super) fn new(layout: ServiceLayout) -> Self {
        Self { layout, open: Mutex::default() }
    }

    /// Notes a connection; `None` if the release is being ended.
    pub(super) fn begin(self: &Arc<Self>, release: &ReleaseId) -> Option<Use> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = open.get_mut(release) {
            *count += 1;
        } else {
            let lock = lock_file(&self.layout.instance_use(release)).ok()?;
            lock.try_lock_shared().ok()?;
            open.insert(release.clone(), (lock, 1));
        }
        Some(Use { uses: self.clone(), release: release.clone() })
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut open = self.uses.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = open.get_mut(&self.release) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.release);
            }
        }
    }
}
