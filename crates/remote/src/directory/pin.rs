//! What restore points rely on.
//!
//! A restore point of a run that has succeeded is kept, because the run can be taken back later. It would keep its release
//! for ever; so when old releases are removed, only the newest restore points count, one less than releases are kept:
//! the last of them leads to the oldest of the releases that are kept.

use pleach_core::error::Failure;
use pleach_core::port::{FencingToken, Files};
use pleach_core::word::{ReleaseId, RunId};
use serde::{Deserialize, Serialize};

use super::layout::ServiceLayout;
use super::site::{Site, read_json};

/// The release that a run's restore point relies on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Pin {
    pub(super) run: RunId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) release: Option<ReleaseId>,
    /// Of the lease under which it was captured: grows from run to run, unlike any clock.
    pub(super) token: FencingToken,
}

/// All pins of a service, in no order.
pub(super) async fn read_pins(files: &dyn Files, layout: &ServiceLayout) -> Result<Vec<Pin>, Failure> {
    let mut pins = Vec::new();
    for stat in files.list(&layout.pins()).await? {
        if stat.name.ends_with(".json") {
            let pin: Option<Pin> = read_json(files, &layout.pins().join(&stat.name)).await?;
            pins.extend(pin);
        }
    }
    Ok(pins)
}

impl Site<'_> {
    /// All pins, the newest first.
    pub(super) async fn pins(&self) -> Result<Vec<Pin>, Failure> {
        let mut pins = read_pins(self.files, &self.layout()).await?;
        pins.sort_by(|a, b| b.token.cmp(&a.token).then_with(|| b.run.cmp(&a.run)));
        Ok(pins)
    }
}
