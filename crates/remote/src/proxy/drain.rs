//! `proxy drain`: a server is given nothing new, and has ended what it had.

use std::thread::sleep;
use std::time::{Duration, Instant};

use pleach_core::error::{Failure, Kind};

use super::backend::{Backend, BackendName, Server, Slot};
use super::difference::differences;
use super::edit::Edit;
use super::ensure::make_run;
use super::error::ProxyError;
use super::matching::Matched;
use super::place::ProxyPlace;
use super::request::{DrainRequest, Drained};
use super::running::{Mode, Running, RunningServer};
use super::socket::AdminSocket;
use super::worker::probe_others;

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// So often in a row nothing must be seen: a thread of HAProxy that has just chosen the server counts it a moment later.
const SEEN: usize = 2;

/// Drains, and waits.
pub(super) fn drain(request: &DrainRequest) -> Result<Drained, Failure> {
    let DrainRequest { place, name, server: slot, limit } = request;
    place.require_complete().map_err(ProxyError::told)?;
    let changes = take_weight(place, name, *slot)?;
    let socket = AdminSocket(&place.socket);
    let during = |error: ProxyError| {
        error
            .told()
            .state(format!("`{slot}` is given no new requests; whether it has ended those that it had is not known"))
    };
    let begun = Instant::now();
    let mut quiet = 0;
    loop {
        let (running, left) = probe_left(socket, *slot, name).map_err(during)?;
        // Somebody gives it weight by hand.
        if running.server(*slot).is_some_and(takes_requests) {
            require_drained(place, name, *slot)?;
            quiet = 0;
        } else {
            quiet = if left == Left::default() { quiet + 1 } else { 0 };
        }
        if quiet >= SEEN || (quiet == 0 && begun.elapsed() >= limit.0) {
            return Ok(Drained {
                drained: quiet >= SEEN,
                sessions: left.sessions,
                evidence: left.tell(name, &slot.to_string()),
                older_workers: left.older_workers,
                changes,
            });
        }
        sleep(LOOK_AGAIN);
    }
}

/// Makes the weight 0 in both; gives what was different before.
fn take_weight(place: &ProxyPlace, name: &BackendName, slot: Slot) -> Result<Vec<String>, Failure> {
    let mut edit = Edit::begin(place)?;
    let socket = AdminSocket(&place.socket);
    socket.require_admin().map_err(ProxyError::told)?;
    let running = socket.probe(name).map_err(ProxyError::told)?;
    let Some(held) = edit.backends().get(name) else { return Ok(Vec::new()) };
    let wanted = drained(held, slot);
    if wanted != *held && wanted.server(slot.other()).weight() == 0 {
        return Err(ProxyError::Last { name: name.clone(), slot }.told());
    }
    let mut changes = Vec::new();
    if wanted != *held {
        changes.push(format!("`{}` gave `{slot}` the weight {}", place.file.display(), held.server(slot).weight()));
    }
    changes.extend(differences(&wanted, &running));
    let mut backends = edit.backends().clone();
    backends.insert(name.clone(), wanted.clone());
    edit.replace(backends).map_err(ProxyError::told)?;
    make_run(socket, &wanted).map_err(|error| {
        error
            .told()
            .state(format!("`{}` has `{slot}` drained; HAProxy may still send requests there", place.file.display()))
    })?;
    Ok(changes)
}

/// Drains once more at run time, unless the file says by now that the server is to have requests.
fn require_drained(place: &ProxyPlace, name: &BackendName, slot: Slot) -> Result<(), Failure> {
    let edit = Edit::begin(place)?;
    match edit.backends().get(name) {
        Some(held) if held.server(slot).weight() == 0 => {
            make_run(AdminSocket(&place.socket), held).map(drop).map_err(ProxyError::told)
        }
        _ => Err(Failure::new(
            Kind::Conflict,
            format!("`{slot}` of `{name}` was given requests again while it was drained"),
        )
        .because(format!("somebody has changed `{}`", place.file.display()))
        .state("it takes requests, as the file says now")
        .next("see who else deploys this service with `pleach status`")),
    }
}

fn drained(backend: &Backend, slot: Slot) -> Backend {
    let mut drained = backend.clone();
    let server: &mut Server = drained.server_mut(slot);
    *server = server.drained();
    if drained.matched_to() == Some(slot) {
        drained.matched = drained.matched.map(Matched::by_weight);
    }
    drained
}

fn takes_requests(server: &RunningServer) -> bool {
    server.mode == Mode::Ready && server.weight > 0
}

/// What a server may still have to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) sessions: u64,
    pub(super) older_workers: Vec<u32>,
}

impl Left {
    pub(super) fn tell(&self, name: &BackendName, of: &str) -> String {
        let Self { sessions, older_workers } = self;
        if self == &Self::default() {
            return format!("HAProxy has no request in flight to {of} of `{name}`");
        }
        let older: Vec<String> = older_workers.iter().map(ToString::to_string).collect();
        let requests = if *sessions == 1 { "request" } else { "requests" };
        let mut told = format!("HAProxy has {sessions} {requests} in flight to {of} of `{name}`");
        if !older.is_empty() {
            told += &format!(
                ", and a worker of another reload has, or may still begin, its own (process {})",
                older.join(", ")
            );
        }
        told
    }
}

fn probe_left(socket: AdminSocket<'_>, slot: Slot, name: &BackendName) -> Result<(Running, Left), ProxyError> {
    let worker = socket.probe_worker()?;
    let running = socket.probe(name)?;
    let Some(server) = running.server(slot) else { return Ok((running, Left::default())) };
    let servers: Vec<_> = server.address.into_iter().collect();
    let mut left = Left { sessions: server.sessions, older_workers: probe_others(&worker, &servers, server.sessions) };
    // Amid a reload either may answer, and what was counted may be another's.
    if left.older_workers.is_empty() && socket.probe_worker()?.pid != worker.pid {
        left.older_workers.push(worker.pid);
    }
    Ok((running, left))
}
