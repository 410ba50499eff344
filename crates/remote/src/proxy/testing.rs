//! What another [`Proxy`] is tried with: [`exercise_proxy`]; and one that leads nobody anywhere, for what is above.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where it finds something wrong")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use pleach_core::error::{Failure, Kind};
use pleach_core::period::Period;

use super::backend::{Backend, BackendName, Server, Slot};
use super::port::Proxy;
use super::request::{Drained, Ensured, Looked, SeenService};
use super::running::{Counts, Mode, Running, RunningServer, Worker};

const LIMIT: Period = Period::seconds(20);

/// Has a proxy do all that it has promised. It knows neither of the services yet, whose `blue` and `green` are both used, each with
/// an address at which something answers, and nobody else has their public addresses.
///
/// # Panics
/// Where it does something else.
pub fn exercise_proxy(proxy: &dyn Proxy, service: &Backend, other: &Backend) {
    let one = |blue: Server, green: Server| Backend { blue, green, ..service.clone() };
    let name = &service.name;
    require(proxy, name, None);
    proxy.ensure(other).expect("the other service");

    // Told once, it is so; told again, nothing changes.
    let first = one(service.blue, Server::Unused);
    let ensured = proxy.ensure(&first).expect("a first release");
    assert!(!ensured.changes.is_empty() && !ensured.evidence.is_empty(), "{ensured:?}");
    require(proxy, name, Some(&first));
    let again = proxy.ensure(&first).expect("the same");
    assert!(again.changes.is_empty() && !again.reloaded, "{again:?}");

    // Somebody has to answer.
    proxy.drain(name, Slot::Blue, LIMIT).expect_err("it is the last one");
    require(proxy, name, Some(&first));

    // Another release beside it, and the first one ends what it has.
    let both = one(service.blue, service.green);
    proxy.ensure(&both).expect("both");
    require(proxy, name, Some(&both));
    let drained = proxy.drain(name, Slot::Blue, LIMIT).expect("drained");
    assert!(drained.drained && drained.sessions == 0, "{drained:?}");
    let second = one(service.blue.drained(), service.green);
    require(proxy, name, Some(&second));
    let alone = one(Server::Unused, service.green);
    proxy.ensure(&alone).expect("the second alone");
    require(proxy, name, Some(&alone));

    // An address is one service's alone, and who is refused has changed nothing.
    let stranger = Backend { bind: service.bind.clone(), ..other.clone() };
    let refused = proxy.ensure(&stranger).expect_err("it is taken");
    assert!(!refused.because.is_empty() && refused.next.is_some(), "{refused:?}");
    require(proxy, name, Some(&alone));
    require(proxy, &other.name, Some(other));

    proxy.remove(name, LIMIT).expect("removed");
    require(proxy, name, None);
    let gone = proxy.remove(name, LIMIT).expect("nothing left is fine");
    assert!(gone.changes.is_empty(), "{gone:?}");
    require(proxy, &other.name, Some(other));
    proxy.remove(&other.name, LIMIT).expect("removed");
}

/// It holds and runs this, and says so in each way.
fn require(proxy: &dyn Proxy, name: &BackendName, wanted: Option<&Backend>) {
    assert!(proxy.answers() && !proxy.name().is_empty());
    assert_eq!(proxy.held(name).expect("what it holds").as_ref(), wanted);
    let looked = proxy.look(Some(name)).expect("looked");
    let seen = looked.services.iter().find(|seen| seen.name == *name);
    assert_eq!(seen.and_then(|seen| seen.file.as_ref()), wanted);
    assert_eq!(seen.map(|seen| seen.differences.clone()).unwrap_or_default(), Vec::<String>::new());
    let running = seen.and_then(|seen| seen.running.as_ref());
    assert_eq!(running.is_some(), wanted.is_some(), "{running:?}");
    for (slot, wanted) in wanted.into_iter().flat_map(|wanted| Slot::ALL.map(|slot| (slot, wanted.server(slot)))) {
        let Server::Used { address, weight } = wanted else { continue };
        let runs = running.and_then(|running| running.server(slot)).unwrap_or_else(|| panic!("{slot} does not run"));
        assert_eq!((runs.address, runs.weight, runs.mode), (Some(*address), weight.get(), Mode::Ready), "{slot}");
    }
    let all = proxy.look(None).expect("looked");
    assert_eq!(all.services.iter().any(|seen| seen.name == *name), wanted.is_some(), "{all:?}");
}

/// A proxy that holds what it is told, and has no request to lead anywhere.
#[derive(Debug, Default)]
pub struct MemoryProxy {
    held: Mutex<BTreeMap<BackendName, Backend>>,
    down: AtomicBool,
    file: PathBuf,
}

impl MemoryProxy {
    /// From now on it does not run, or runs again.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<BackendName, Backend>> {
        self.held.lock().expect("no panic")
    }

    fn require_up(&self) -> Result<(), Failure> {
        let failed = || Failure::new(Kind::Transient, "could not reach the proxy").because("it does not run");
        if self.answers() { Ok(()) } else { Err(failed()) }
    }
}

fn conflict(what: &str, because: &str) -> Failure {
    Failure::new(Kind::Conflict, what).because(because).next("give it to another one")
}

fn running(backend: &Backend) -> Running {
    let bind = backend.bind.to_string().parse::<SocketAddr>();
    let server = |slot: Slot| {
        let (address, weight) = match backend.server(slot) {
            Server::Unused => (None, 0),
            Server::Used { address, weight } => (Some(*address), weight.get()),
        };
        let mode = if address.is_some() { Mode::Ready } else { Mode::Maint };
        Some(RunningServer { address, weight, mode, sessions: 0, counts: Counts::default() })
    };
    Running {
        binds: bind.into_iter().collect(),
        blue: server(Slot::Blue),
        green: server(Slot::Green),
        flags: BTreeMap::new(),
    }
}

impl Proxy for MemoryProxy {
    fn name(&self) -> &'static str {
        "the proxy"
    }

    fn file(&self) -> &Path {
        &self.file
    }

    fn answers(&self) -> bool {
        !self.down.load(Ordering::SeqCst)
    }

    fn held(&self, name: &BackendName) -> Result<Option<Backend>, Failure> {
        Ok(self.all().get(name).cloned())
    }

    fn look(&self, name: Option<&BackendName>) -> Result<Looked, Failure> {
        self.require_up()?;
        let seen = |backend: &Backend| SeenService {
            name: backend.name.clone(),
            file: Some(backend.clone()),
            running: Some(running(backend)),
            differences: Vec::new(),
        };
        let all = self.all();
        let wanted = all.values().filter(|backend| name.is_none_or(|name| *name == backend.name));
        let worker = Worker { pid: 1, uptime: 0, version: "1".into() };
        Ok(Looked { worker, older_workers: Vec::new(), services: wanted.map(seen).collect() })
    }

    fn ensure(&self, wanted: &Backend) -> Result<Ensured, Failure> {
        self.require_up()?;
        let mut all = self.all();
        if all.values().any(|other| other.name != wanted.name && other.bind == wanted.bind) {
            return Err(conflict("could not lead there", "another service has the address"));
        }
        let before = all.insert(wanted.name.clone(), wanted.clone());
        let changes = if before.as_ref() == Some(wanted) { Vec::new() } else { vec!["it was another".into()] };
        let Backend { bind, blue, green, .. } = wanted;
        let evidence = format!("{bind} is led to blue ({blue}) and green ({green})");
        Ok(Ensured { changes, reloaded: false, running: running(wanted), evidence })
    }

    fn drain(&self, name: &BackendName, server: Slot, _: Period) -> Result<Drained, Failure> {
        self.require_up()?;
        let mut all = self.all();
        if let Some(held) = all.get_mut(name) {
            if held.server(server.other()).weight() == 0 && held.server(server).weight() > 0 {
                return Err(conflict("could not drain", "it is the last server that takes requests"));
            }
            *held.server_mut(server) = held.server(server).drained();
        }
        let evidence = format!("{server} has none left");
        Ok(Drained { drained: true, sessions: 0, older_workers: Vec::new(), changes: Vec::new(), evidence })
    }

    fn remove(&self, name: &BackendName, _: Period) -> Result<Drained, Failure> {
        self.require_up()?;
        let changes = self.all().remove(name).map(|_| "it was led to".to_owned()).into_iter().collect();
        Ok(Drained { drained: true, sessions: 0, older_workers: Vec::new(), changes, evidence: "it is gone".into() })
    }
}
