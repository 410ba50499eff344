//! `proxy lead`, `led` and `settle`: a service's requests go to one of its releases.
//!
//! | the file has | after `lead` | after `settle` |
//! |---|---|---|
//! | nothing of the service | the release with full weight | the same |
//! | the release that was led to | the release with full weight in the other server, that one drained | that one's requests have ended, and it is unused |
//! | the release | the same, the other one drained | the other one is unused |

use std::path::{Path, PathBuf};

use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_core::word::{ReleaseId, ServiceName};
use serde::{Deserialize, Serialize};

use super::backend::{Backend, BackendName, Bind, Server, Slot, Weight};
use super::drain::drain;
use super::edit::load;
use super::ensure::ensure;
use super::error::ProxyError;
use super::look::look;
use super::place::ProxyPlace;
use super::remove::remove;
use super::request::{DrainRequest, Drained, EnsureRequest, LookRequest, RemoveRequest, SeenService};
use super::socket::AdminSocket;
use crate::directory::ServiceLayout;
use crate::local::replace_file;
use crate::supervise::InstanceRecord;

/// Which service, and by which proxy it is led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Led {
    /// The proxy.
    pub place: ProxyPlace,
    /// The service's directory on the target.
    pub directory: PathBuf,
    /// The service.
    pub service: ServiceName,
    /// The public address.
    pub bind: Bind,
}

/// What lies beside the records of processes where a proxy leads to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LedRecord {
    /// The executable on the target that can look.
    pub program: PathBuf,
    /// What is led.
    pub led: Led,
}

/// Where requests are to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeadTo {
    /// To the release that `current` leads to; nowhere where it leads nowhere.
    Current,
    /// To this one.
    Release(ReleaseId),
    /// The address is given up.
    Nowhere,
}

/// Asks for requests to go to a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LeadRequest {
    /// What.
    pub led: Led,
    /// Where to.
    pub to: LeadTo,
    /// How long requests may take to end by themselves, where nothing is led to any more.
    pub limit: Period,
    /// Whether a HAProxy that does not run is as it has to be if its file is: whoever takes back finds it as it was then.
    #[serde(default)]
    pub back: bool,
}

/// Asks that what no requests go to any more is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SettleRequest {
    /// What.
    pub led: Led,
    /// How long requests may take to end by themselves.
    pub limit: Period,
    /// Whether a HAProxy that does not run has none.
    #[serde(default)]
    pub back: bool,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Leads {
    /// The release that all of them go to, by the file and at run time.
    pub release: Option<ReleaseId>,
    /// In words.
    pub evidence: String,
}

impl Led {
    fn name(&self) -> BackendName {
        BackendName::of(&self.directory, &self.service)
    }

    fn layout(&self) -> ServiceLayout {
        ServiceLayout::new(&self.directory)
    }

    fn seen(&self) -> Result<Option<SeenService>, Failure> {
        let looked = look(&LookRequest { place: self.place.clone(), name: Some(self.name()) })?;
        Ok(looked.services.into_iter().next())
    }

    fn current(&self) -> Option<ReleaseId> {
        ServiceLayout::release_of(&std::fs::read_link(self.layout().current()).ok()?)
    }

    /// Where a release's process listens.
    fn address(&self, release: &ReleaseId) -> Option<std::net::SocketAddr> {
        let record = InstanceRecord::load(&self.layout().instance(release))?;
        Some(std::net::SocketAddr::new(record.host.parse().ok()?, record.port))
    }
}

/// Has all new requests go to a release.
pub(super) fn lead(request: &LeadRequest) -> Result<Leads, Failure> {
    let led = &request.led;
    let release = match &request.to {
        LeadTo::Current => led.current(),
        LeadTo::Release(release) => Some(release.clone()),
        LeadTo::Nowhere => None,
    };
    let down = request.back && AdminSocket(&led.place.socket).probe_worker().is_err();
    let held = match down {
        true => load(&led.place.file).map_err(ProxyError::told)?.remove(&led.name()),
        false => led.seen()?.and_then(|seen| seen.file),
    };
    let as_its_file = |release| Leads {
        release,
        evidence: format!("HAProxy does not run; `{}` is as it was", led.place.file.display()),
    };
    let Some(release) = release else {
        let gone = if down && held.is_none() {
            as_its_file(None)
        } else {
            let gone = RemoveRequest { place: led.place.clone(), name: led.name(), limit: request.limit };
            Leads { release: None, evidence: remove(&gone)?.evidence }
        };
        forget(&led.layout().led())?;
        return Ok(gone);
    };
    let address = led.address(&release).ok_or_else(|| {
        Failure::new(Kind::Conflict, format!("could not lead {} to release `{release}`", led.bind))
            .because("no process of it has been started")
            .next("see what runs with `pleach ps`")
    })?;
    let slot = held.as_ref().map_or(Slot::Blue, |held| slot_for(held, address));
    let mut wanted = Backend { name: led.name(), bind: led.bind.clone(), blue: Server::Unused, green: Server::Unused };
    if let Some(held) = &held {
        *wanted.server_mut(slot.other()) = held.server(slot.other()).drained();
    }
    *wanted.server_mut(slot) = Server::Used { address, weight: Weight::FULL };
    if down && held.as_ref() == Some(&wanted) {
        return Ok(as_its_file(Some(release)));
    }
    // Before it is led to: whoever looks afterwards asks the proxy, and is told what there is.
    note(led)?;
    let evidence = ensure(&EnsureRequest { place: led.place.clone(), backend: wanted })?.evidence;
    Ok(Leads { release: Some(release), evidence })
}

/// The server that has the address already, or else the one with less weight: requests go on to the other meanwhile.
fn slot_for(held: &Backend, address: std::net::SocketAddr) -> Slot {
    let has = |slot: &Slot| matches!(held.server(*slot), Server::Used { address: other, .. } if *other == address);
    let least = || Slot::ALL.into_iter().min_by_key(|slot| held.server(*slot).weight());
    Slot::ALL.into_iter().find(has).or_else(least).unwrap_or(Slot::Blue)
}

fn note(led: &Led) -> Result<(), Failure> {
    let path = led.layout().led();
    let failed = |error: std::io::Error| {
        Failure::new(Kind::Rejected, format!("could not write `{}`", path.display())).because(error.to_string())
    };
    let record = LedRecord { program: std::env::current_exe().map_err(failed)?, led: led.clone() };
    let bytes = serde_json::to_vec_pretty(&record).map_err(|error| failed(error.into()))?;
    replace_file(&path, &bytes).map_err(failed)
}

fn forget(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(Kind::Rejected, format!("could not remove `{}`", path.display()))
                .because(error.to_string()))
        }
        _ => Ok(()),
    }
}

/// Tells where requests go; changes nothing.
pub(super) fn led(led: &Led) -> Result<Leads, Failure> {
    let Some(SeenService { file: Some(held), differences, .. }) = led.seen()? else {
        return Ok(Leads { release: None, evidence: format!("HAProxy leads {} nowhere", led.bind) });
    };
    if !differences.is_empty() {
        return Ok(Leads { release: None, evidence: differences.join("; ") });
    }
    let full: Vec<&Server> = [&held.blue, &held.green].into_iter().filter(|server| server.weight() > 0).collect();
    let [Server::Used { address, .. }] = full.as_slice() else {
        let evidence = format!("HAProxy leads {} to blue ({}) and green ({})", led.bind, held.blue, held.green);
        return Ok(Leads { release: None, evidence });
    };
    let leads_to = |release: &ReleaseId| led.address(release).is_some_and(|other| other == *address);
    let release = releases(&led.layout()).into_iter().find(leads_to).filter(|_| held.bind == led.bind);
    let to = release.as_ref().map_or_else(|| "no release".to_owned(), |release| format!("`{release}`"));
    Ok(Leads { release, evidence: format!("HAProxy leads {} to {to} at {address}", held.bind) })
}

/// The current release first: two may have had the same port one after the other.
fn releases(layout: &ServiceLayout) -> Vec<ReleaseId> {
    let current = std::fs::read_link(layout.current()).ok().and_then(|to| ServiceLayout::release_of(&to));
    let all = std::fs::read_dir(layout.run()).into_iter().flatten().flatten();
    let named = all.filter_map(|file| ReleaseId::new(file.file_name().to_str()?.strip_suffix(".json")?).ok());
    current.into_iter().chain(named).collect()
}

/// Waits until what is drained has ended its requests, and takes it out.
pub(super) fn settle(request: &SettleRequest) -> Result<Drained, Failure> {
    let SettleRequest { led, limit, back } = request;
    let mut settled = Drained {
        drained: true,
        sessions: 0,
        older_workers: Vec::new(),
        changes: Vec::new(),
        evidence: format!("nothing but the release that {} leads to has requests", led.bind),
    };
    if *back && AdminSocket(&led.place.socket).probe_worker().is_err() {
        return Ok(settled);
    }
    let Some(mut wanted) = led.seen()?.and_then(|seen| seen.file) else { return Ok(settled) };
    for slot in Slot::ALL {
        if wanted.server(slot).weight() == 0 && *wanted.server(slot) != Server::Unused {
            let request = DrainRequest { place: led.place.clone(), name: led.name(), server: slot, limit: *limit };
            settled = drain(&request)?;
            *wanted.server_mut(slot) = Server::Unused;
        }
    }
    ensure(&EnsureRequest { place: led.place.clone(), backend: wanted })?;
    Ok(settled)
}
