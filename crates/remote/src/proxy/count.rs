//! `proxy count`: what became of the requests to each release that the proxy leads to.

use std::collections::BTreeMap;

use pleach_core::error::Failure;
use pleach_core::word::ReleaseId;
use serde::{Deserialize, Serialize};

use super::backend::{Server, Slot};
use super::lead::{Leads, Led, leads};
use super::port::Proxy;
use super::running::{Counts, Worker};

/// What was counted, and where requests go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counted {
    /// Who counted: another one has begun at nothing.
    pub worker: Worker,
    /// Where requests go.
    pub leads: Leads,
    /// What became of them. It goes on from what the server's earlier releases had: only differences tell of a release.
    pub releases: BTreeMap<ReleaseId, Counts>,
}

/// Counts; changes nothing.
pub(super) fn count(proxy: &dyn Proxy, led: &Led) -> Result<Counted, Failure> {
    let looked = proxy.look(Some(&led.name()))?;
    let seen = looked.services.first();
    let leads = leads(proxy.name(), led, seen);
    let counts = |slot: Slot| {
        let seen = seen?;
        let Server::Used { address, .. } = seen.file.as_ref()?.server(slot) else { return None };
        Some((led.release_at(*address)?, seen.running.as_ref()?.server(slot)?.counts))
    };
    let releases = Slot::ALL.into_iter().filter_map(counts).collect();
    Ok(Counted { worker: looked.worker, leads, releases })
}
