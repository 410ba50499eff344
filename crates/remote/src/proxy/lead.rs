//! `proxy lead`, `led` and `settle`: a service's requests go to one of its releases, or a part of them to another one.
//!
//! | the file has | after `lead` | after `settle` |
//! |---|---|---|
//! | nothing of the service | the release with full weight | the same |
//! | the release that was led to | the release with full weight in the other server, that one drained | that one's requests have ended, and it is unused |
//! | the release | the same, the other one drained | the other one is unused |
//!
//! A part is given in weights that make a hundred together, and with it requests that [ask for the release](Matching) may go
//! there; what `lead` and `settle` do behind it is the same, and from `lead` on nobody can ask.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;
use pleach_core::word::{ReleaseId, ServiceName};
use serde::{Deserialize, Serialize};

use super::backend::{Backend, BackendName, Bind, Server, Slot, Weight};
use super::matching::{Matched, Matching};
use super::place::ProxyPlace;
use super::port::Proxy;
use super::request::{Drained, SeenService};
use crate::directory::{ServiceLayout, release_number};
use crate::local::replace_durably;
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
    /// A part of them to this one, beside the one that they go to.
    Part(Part),
    /// The address is given up.
    Nowhere,
}

/// A part of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Part {
    /// Who is given it.
    pub release: ReleaseId,
    /// So many of a hundred requests, 1 to 99; 0 where only those that ask for it go there.
    pub percent: u8,
    /// Who keeps the others.
    pub beside: ReleaseId,
    /// Requests that ask for it by themselves, and all go there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<Matching>,
}

/// What it is given, in words.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}% of the requests", self.percent)?;
        self.matching.as_ref().map_or(Ok(()), |matching| write!(f, " and all with {matching}"))
    }
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
    /// Where they go to several: each with so many of a hundred.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shares: BTreeMap<ReleaseId, u8>,
    /// Requests that all go to one of those, whatever its share is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<LedMatch>,
    /// In words.
    pub evidence: String,
}

/// Requests that ask for a release, and where they go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LedMatch {
    /// The release.
    pub release: ReleaseId,
    /// Which requests.
    pub matching: Matching,
}

impl Led {
    pub(crate) fn name(&self) -> BackendName {
        BackendName::of(&self.directory, &self.service)
    }

    pub(super) fn layout(&self) -> ServiceLayout {
        ServiceLayout::new(&self.directory)
    }

    fn seen(&self, proxy: &dyn Proxy) -> Result<Option<SeenService>, Failure> {
        Ok(proxy.look(Some(&self.name()))?.services.into_iter().next())
    }

    fn current(&self) -> Option<ReleaseId> {
        ServiceLayout::release_of(&std::fs::read_link(self.layout().current()).ok()?)
    }

    pub(super) fn require_address(&self, release: &ReleaseId) -> Result<SocketAddr, Failure> {
        self.address(release).ok_or_else(|| {
            Failure::new(Kind::Conflict, format!("could not lead {} to release `{release}`", self.bind))
                .because("no process of it has been started")
                .next("see what runs with `pleach ps`")
        })
    }

    /// The release whose process listens there.
    pub(super) fn release_at(&self, address: SocketAddr) -> Option<ReleaseId> {
        releases(&self.layout()).into_iter().find(|release| self.address(release) == Some(address))
    }

    /// Where a release's process listens.
    pub(super) fn address(&self, release: &ReleaseId) -> Option<SocketAddr> {
        let record = InstanceRecord::load(&self.layout().instance(release))?;
        Some(SocketAddr::new(record.host.parse().ok()?, record.port))
    }
}

impl Leads {
    /// So many of a hundred requests go to a release.
    pub fn share(&self, release: &ReleaseId) -> u8 {
        let all = self.release.as_ref().is_some_and(|all| all == release).then_some(100);
        all.or_else(|| self.shares.get(release).copied()).unwrap_or_default()
    }

    fn nowhere(evidence: String) -> Self {
        Self::to(None, evidence)
    }

    /// All of them to one release.
    fn to(release: Option<ReleaseId>, evidence: String) -> Self {
        Self { release, shares: BTreeMap::new(), matched: None, evidence }
    }
}

/// Has new requests go to a release.
pub(super) fn lead(proxy: &dyn Proxy, request: &LeadRequest) -> Result<Leads, Failure> {
    let led = &request.led;
    let release = match &request.to {
        LeadTo::Part(part) => return share(proxy, led, part),
        LeadTo::Current => led.current(),
        LeadTo::Release(release) => Some(release.clone()),
        LeadTo::Nowhere => None,
    };
    let down = request.back && !proxy.answers();
    let held = match down {
        true => proxy.held(&led.name())?,
        false => led.seen(proxy)?.and_then(|seen| seen.file),
    };
    let as_its_file = |release| {
        Leads::to(release, format!("{} does not run; `{}` is as it was", proxy.name(), proxy.file().display()))
    };
    let Some(release) = release else {
        let gone = if down && held.is_none() {
            as_its_file(None)
        } else {
            Leads::nowhere(proxy.remove(&led.name(), request.limit)?.evidence)
        };
        forget(&led.layout().led())?;
        return Ok(gone);
    };
    let address = led.require_address(&release)?;
    let slot = held.as_ref().map_or(Slot::Blue, |held| slot_for(held, address));
    let (name, bind) = (led.name(), led.bind.clone());
    let mut wanted = Backend { name, bind, blue: Server::Unused, green: Server::Unused, matched: None };
    if let Some(held) = &held {
        // The rules stay for the next canary, which needs no reload then; none of them counts.
        wanted.matched = held.matched.clone().map(Matched::by_weight);
        *wanted.server_mut(slot.other()) = held.server(slot.other()).drained();
    }
    *wanted.server_mut(slot) = Server::Used { address, weight: Weight::FULL };
    if down && held.as_ref() == Some(&wanted) {
        return Ok(as_its_file(Some(release)));
    }
    // Before it is led to: whoever looks afterwards asks the proxy, and is told what there is.
    note(led)?;
    let evidence = proxy.ensure(&wanted)?.evidence;
    Ok(Leads::to(Some(release), evidence))
}

/// The server that has the address already, or else the one with less weight: requests go on to the other meanwhile.
fn slot_for(held: &Backend, address: SocketAddr) -> Slot {
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
    replace_durably(&path, &bytes).map_err(failed)
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

/// Gives a release a part of the requests of the one that has them, and those that ask for it.
fn share(proxy: &dyn Proxy, led: &Led, part: &Part) -> Result<Leads, Failure> {
    let Part { release, percent, beside, matching } = part;
    let (address, keeper) = (led.require_address(release)?, led.require_address(beside)?);
    let held = led.seen(proxy)?.and_then(|seen| seen.file);
    let told = |why: String| {
        let what = format!("could not give release `{release}` {part} to {}", led.bind);
        Failure::new(Kind::Conflict, what).because(why).next("see what runs, and where requests go, with `pleach ps`")
    };
    let mut wanted = held.ok_or_else(|| told(format!("{} does not lead there", proxy.name())))?;
    let has = |slot: &Slot| matches!(wanted.server(*slot), Server::Used { address, .. } if *address == keeper);
    let slot = Slot::ALL.into_iter().find(has).ok_or_else(|| {
        told(format!("it leads to blue ({}) and green ({}), and not to `{beside}`", wanted.blue, wanted.green))
    })?;
    let weight = |percent: u8| Weight::try_from(u16::from(percent)).map_err(|error| told(error.to_string()));
    *wanted.server_mut(slot) = Server::Used { address: keeper, weight: weight(100u8.saturating_sub(*percent))? };
    *wanted.server_mut(slot.other()) = Server::Used { address, weight: weight(*percent)? };
    wanted.matched = match matching {
        Some(matching) => Some(Matched { matching: matching.clone(), to: Some(slot.other()) }),
        None => wanted.matched.map(Matched::by_weight),
    };
    proxy.ensure(&wanted)?;
    Ok(leads(proxy.name(), led, led.seen(proxy)?.as_ref()))
}

/// Tells where requests go; changes nothing.
pub(super) fn led(proxy: &dyn Proxy, led: &Led) -> Result<Leads, Failure> {
    Ok(leads(proxy.name(), led, led.seen(proxy)?.as_ref()))
}

/// The same of what was seen of the proxy that people call `proxy`.
pub(super) fn leads(proxy: &str, led: &Led, seen: Option<&SeenService>) -> Leads {
    let Some(SeenService { file: Some(held), differences, .. }) = seen else {
        return Leads::nowhere(format!("{proxy} leads {} nowhere", led.bind));
    };
    if !differences.is_empty() {
        return Leads::nowhere(differences.join("; "));
    }
    let bind = &held.bind;
    let all: u32 = u32::from(held.blue.weight()) + u32::from(held.green.weight());
    let takers = Slot::ALL.into_iter().filter_map(|slot| match held.server(slot) {
        Server::Used { address, weight } if weight.get() > 0 || held.matched_to() == Some(slot) => {
            Some((led.release_at(*address), *address, weight.get()))
        }
        _ => None,
    });
    let takers: Vec<_> = takers.collect();
    if let [(release, address, _)] = takers.as_slice() {
        let to = release.as_ref().map_or_else(|| "no release".to_owned(), |release| format!("`{release}`"));
        let release = release.clone().filter(|_| *bind == led.bind);
        return Leads::to(release, format!("{proxy} leads {bind} to {to} at {address}"));
    }
    let matched = held.matched.as_ref().and_then(|matched| {
        let Server::Used { address, .. } = held.server(matched.to?) else { return None };
        Some(LedMatch { release: led.release_at(*address)?, matching: matched.matching.clone() })
    });
    let share = |weight: u16| u8::try_from((u32::from(weight) * 100 + all / 2) / all.max(1)).unwrap_or(100);
    let (mut shares, mut told) = (BTreeMap::new(), Vec::new());
    for (release, address, weight) in takers {
        told.push(match &release {
            Some(release) => format!("{}% to `{release}`", share(weight)),
            None => format!("{}% to {address}, which is no release", share(weight)),
        });
        shares.extend(release.filter(|_| *bind == led.bind).map(|release| (release, share(weight))));
    }
    let evidence = match told.as_slice() {
        [] => format!("{proxy} leads {bind} to blue ({}) and green ({})", held.blue, held.green),
        told => format!("{proxy} leads {bind}: {}", told.join(" and ")),
    };
    let asked =
        matched.as_ref().map(|LedMatch { release, matching }| format!(", and all with {matching} to `{release}`"));
    let evidence = format!("{evidence}{}", asked.unwrap_or_default());
    Leads { release: None, shares, matched, evidence }
}

/// The current release first, then the newest: two may have had the same port one after the other.
fn releases(layout: &ServiceLayout) -> Vec<ReleaseId> {
    let current = std::fs::read_link(layout.current()).ok().and_then(|to| ServiceLayout::release_of(&to));
    let all = std::fs::read_dir(layout.run()).into_iter().flatten().flatten();
    let named = all.filter_map(|file| ReleaseId::new(file.file_name().to_str()?.strip_suffix(".json")?).ok());
    let mut named: Vec<ReleaseId> = named.collect();
    named.sort_by_key(|release| Reverse(release_number(release.as_str())));
    current.into_iter().chain(named).collect()
}

/// Waits until what is drained has ended its requests, and takes it out.
pub(super) fn settle(proxy: &dyn Proxy, request: &SettleRequest) -> Result<Drained, Failure> {
    let SettleRequest { led, limit, back } = request;
    let mut settled = Drained {
        drained: true,
        sessions: 0,
        older_workers: Vec::new(),
        changes: Vec::new(),
        evidence: format!("nothing but the release that {} leads to has requests", led.bind),
    };
    if *back && !proxy.answers() {
        return Ok(settled);
    }
    let Some(mut wanted) = led.seen(proxy)?.and_then(|seen| seen.file) else { return Ok(settled) };
    for slot in Slot::ALL {
        let is_asked_for = wanted.matched_to() == Some(slot);
        if wanted.server(slot).weight() == 0 && *wanted.server(slot) != Server::Unused && !is_asked_for {
            settled = proxy.drain(&led.name(), slot, *limit)?;
            *wanted.server_mut(slot) = Server::Unused;
        }
    }
    proxy.ensure(&wanted)?;
    Ok(settled)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MemoryProxy, exercise_proxy};
    use super::*;
    use crate::supervise::Activity;

    /// A service with two releases, each with a process, of which the first is current.
    struct Service {
        folder: tempfile::TempDir,
        led: Led,
        proxy: MemoryProxy,
    }

    fn release(number: u16) -> ReleaseId {
        ReleaseId::new(format!("{number:04}-ab12cd34")).expect("an id")
    }

    impl Service {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let service: ServiceName = "api".parse().expect("a name");
            let words = || vec!["true".to_owned()];
            let place = ProxyPlace { socket: "/s".into(), file: "/f".into(), check: words(), reload: words() };
            let bind = "127.0.0.1:80".parse().expect("an address");
            let led = Led { place, directory: folder.path().to_owned(), service: service.clone(), bind };
            let (layout, proxy) = (led.layout(), MemoryProxy::default());
            std::fs::create_dir_all(layout.run()).expect("made");
            for number in 1..=2 {
                let record = InstanceRecord {
                    service: service.clone(),
                    release: release(number),
                    run: "run".parse().expect("an id"),
                    activity: Activity::Running,
                    supervisor: None,
                    container: None,
                    group: None,
                    host: "127.0.0.1".into(),
                    port: 8000 + number,
                    restarts: 0,
                    last_end: None,
                    killed: false,
                    health: None,
                    pid: None,
                    since: jiff::Timestamp::UNIX_EPOCH,
                };
                record.save(&layout.instance(&release(number))).expect("written");
            }
            let made = Self { folder, led, proxy };
            made.switch(1);
            made
        }

        fn switch(&self, number: u16) {
            let current = self.folder.path().join("current");
            let _ = std::fs::remove_file(&current);
            std::os::unix::fs::symlink(ServiceLayout::current_target(&release(number)), current).expect("a link");
        }

        fn lead(&self, to: LeadTo, back: bool) -> Result<Leads, Failure> {
            lead(&self.proxy, &LeadRequest { led: self.led.clone(), to, limit: Period::seconds(1), back })
        }

        fn settle(&self) -> Drained {
            let request = SettleRequest { led: self.led.clone(), limit: Period::seconds(1), back: false };
            settle(&self.proxy, &request).expect("settled")
        }

        fn leads(&self) -> Leads {
            led(&self.proxy, &self.led).expect("asked")
        }
    }

    #[test]
    fn releases_take_turns_behind_any_proxy_that_keeps_its_promises() {
        let used = |port| Server::Used { address: SocketAddr::from(([127, 0, 0, 1], port)), weight: Weight::FULL };
        let backend = |name: &str, port| Backend {
            name: name.parse().expect("a name"),
            bind: Bind::new("127.0.0.1", port).expect("an address"),
            blue: used(port + 1),
            green: used(port + 2),
            matched: None,
        };
        let other = backend("pleach-ba9876543210-other", 90);
        exercise_proxy(&MemoryProxy::default(), &backend("pleach-0123456789ab-app", 80), &other);

        let service = Service::new();
        assert_eq!(service.leads().release, None);
        assert_eq!(service.lead(LeadTo::Current, false).expect("led").release, Some(release(1)));
        let part = Part { release: release(2), percent: 10, beside: release(1), matching: None };
        let shared = service.lead(LeadTo::Part(part), false).expect("shared");
        assert_eq!((shared.share(&release(1)), shared.share(&release(2))), (90, 10));
        assert!(shared.evidence.starts_with("the proxy leads 127.0.0.1:80: "), "{}", shared.evidence);
        service.switch(2);
        assert_eq!(service.lead(LeadTo::Current, false).expect("led").release, Some(release(2)));
        let held = |service: &Service| service.proxy.held(&service.led.name()).expect("held").expect("there");
        assert_eq!([held(&service).blue.weight(), held(&service).green.weight()], [0, 256]);
        assert!(service.settle().drained && held(&service).blue == Server::Unused);
        assert_eq!(service.leads().share(&release(2)), 100);
        service.lead(LeadTo::Nowhere, false).expect("given up");
        assert_eq!(service.leads().release, None);
    }

    #[test]
    fn one_that_does_not_run_is_as_it_has_to_be_only_for_who_takes_back() {
        let service = Service::new();
        service.lead(LeadTo::Current, false).expect("led");
        service.proxy.set_down(true);
        service.lead(LeadTo::Current, false).expect_err("it cannot be asked");
        let back = service.lead(LeadTo::Current, true).expect("it will run that");
        assert_eq!(back.release, Some(release(1)));
        assert!(back.evidence.contains("does not run"), "{}", back.evidence);
        service.switch(2);
        service.lead(LeadTo::Current, true).expect_err("it would run something else");
    }
}
