//! `proxy ensure`: a service is led to its releases as it is wanted, in the file and at run time.

use std::net::TcpListener;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pleach_core::error::Failure;

use super::backend::{Backend, BackendName};
use super::difference::{commands, differences, needs_reload};
use super::edit::Edit;
use super::error::ProxyError;
use super::place::ProxyPlace;
use super::request::{EnsureRequest, Ensured};
use super::running::{Running, Worker};
use super::socket::AdminSocket;
use super::worker::is_being_replaced;
use crate::process::port_owner;

/// Makes it so, and reads it back.
pub(super) fn ensure(request: &EnsureRequest) -> Result<Ensured, Failure> {
    let EnsureRequest { place, backend: wanted } = request;
    place.require_complete().map_err(ProxyError::told)?;
    let mut edit = Edit::begin(place)?;
    let socket = AdminSocket(&place.socket);
    // Asked before anything is written: who cannot be asked is left as he is.
    socket.require_admin().map_err(ProxyError::told)?;
    edit.require_own_address(wanted).map_err(ProxyError::told)?;
    let (worker, running) = probe_with_free_address(socket, wanted).map_err(ProxyError::told)?;

    let mut changes = Vec::new();
    match edit.backends().get(&wanted.name) {
        Some(held) if held == wanted => {}
        Some(_) => changes.push(format!("`{}` said something else of `{}`", place.file.display(), wanted.name)),
        None => changes.push(format!("`{}` did not hold `{}`", place.file.display(), wanted.name)),
    }
    changes.extend(differences(wanted, &running));

    let mut backends = edit.backends().clone();
    backends.insert(wanted.name.clone(), wanted.clone());
    // The file first: whoever restarts HAProxy from here on gets what is wanted.
    let before = edit.replace(backends).map_err(ProxyError::told)?;
    let reloaded = needs_reload(wanted, &running);
    if reloaded {
        let arrived = |running: &Running| !needs_reload(wanted, running);
        if let Err(error) = reload(place, &worker, &wanted.name, arrived) {
            // A file that HAProxy cannot run with would keep it from its next start, with all that others have in it.
            let file = match before.map(|before| edit.put_back(&before)) {
                None => "the file was not changed by this call",
                Some(Ok(())) => "the file is again what it was",
                Some(Err(_)) => "the file holds the service and could not be made what it was",
            };
            let runs = match error {
                ProxyError::Socket { .. } => "HAProxy does not answer since it was reloaded",
                _ => "HAProxy runs as before",
            };
            return Err(error.told().state(format!("{file}; {runs}")));
        }
    }
    let running = make_run(socket, wanted).map_err(|error| {
        let file = place.file.display();
        error.told().state(format!("`{file}` says what is wanted; HAProxy will run it once it is reloaded or started"))
    })?;
    let evidence = evidence(place, wanted, &worker);
    Ok(Ensured { changes, reloaded, running, evidence })
}

fn evidence(place: &ProxyPlace, wanted: &Backend, worker: &Worker) -> String {
    let Backend { bind, blue, green, matched, .. } = wanted;
    let asked = matched
        .as_ref()
        .and_then(|matched| Some(format!(", and requests with {} to {}", matched.matching, matched.to?)));
    let asked = asked.unwrap_or_default();
    format!(
        "`{}` and HAProxy {} both lead {bind} to blue ({blue}) and green ({green}){asked}",
        place.file.display(),
        worker.version
    )
}

/// What runs, where the address is free or HAProxy's own. Amid a reload that another call has asked for, the new worker may have
/// the address while the old one still answers.
fn probe_with_free_address(socket: AdminSocket<'_>, wanted: &Backend) -> Result<(Worker, Running), ProxyError> {
    let begun = Instant::now();
    loop {
        let worker = socket.probe_worker()?;
        let running = socket.probe(&wanted.name)?;
        match require_free_address(wanted, &running) {
            Err(ProxyError::Taken { .. })
                if begun.elapsed() < SETTLED
                    && (is_being_replaced(worker.pid) || socket.probe_worker()?.pid != worker.pid) =>
            {
                sleep(LOOK_AGAIN);
            }
            checked => return checked.map(|()| (worker, running)),
        }
    }
}

/// Refuses an address on which somebody else listens: a new worker that cannot have it makes the old one pause all that it has
/// for a moment.
fn require_free_address(wanted: &Backend, running: &Running) -> Result<(), ProxyError> {
    let bind = &wanted.bind;
    // It is HAProxy's own, perhaps by another of its addresses.
    if running.binds.iter().any(|address| address.port() == bind.port()) {
        return Ok(());
    }
    let host = if bind.host() == "*" { "0.0.0.0" } else { bind.host() };
    match TcpListener::bind((host, bind.port())) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let holder = port_owner(bind.port()).map_or_else(|| "something".to_owned(), |owner| owner.to_string());
            Err(ProxyError::Taken { bind: bind.clone(), name: wanted.name.clone(), holder })
        }
        // Whoever may not have a port below 1024, as HAProxy may, learns nothing.
        _ => Ok(()),
    }
}

/// How long a new worker may take until it answers.
const ARRIVAL: Duration = Duration::from_secs(30);
/// How long it may take from its first answer until all is as it read it. The old one may answer in between.
const SETTLED: Duration = Duration::from_secs(3);
/// When a reload is asked for again; then after twice as long.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// For how long after its new worker's first answer a master may be deaf: measured are 2 to 5 ms.
const DEAF: Duration = Duration::from_millis(50);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Reloads HAProxy, and waits until a service runs as it is expected.
///
/// A master that is just done with a reload drops the signal for the next one, and the command that sent it succeeds (2.6.12). So
/// what has no effect is asked for again; to reload twice is to reload.
pub(super) fn reload(
    place: &ProxyPlace,
    old: &Worker,
    name: &BackendName,
    arrived: impl Fn(&Running) -> bool,
) -> Result<(), ProxyError> {
    let socket = AdminSocket(&place.socket);
    let begun = Instant::now();
    while begun.elapsed() < SETTLED && is_being_replaced(socket.probe_worker()?.pid) {
        sleep(LOOK_AGAIN);
    }
    place.reload()?;
    let begun = Instant::now();
    let (mut asked, mut patience) = (Instant::now(), ASK_AGAIN);
    let mut new_since = None;
    loop {
        // While it is restarted nobody answers.
        let seen = socket.probe(name).and_then(|running| Ok((running, socket.probe_worker()?)));
        match seen {
            Ok((running, _)) if arrived(&running) => {
                // Whoever has the lock next may need a reload too.
                sleep(DEAF);
                return Ok(());
            }
            Ok((_, worker)) => {
                // In a container, each start may have the same process id.
                if worker.pid != old.pid || worker.uptime < old.uptime {
                    let since: Instant = *new_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > SETTLED {
                        return Err(ProxyError::NotLoaded {
                            name: name.clone(),
                            file: place.file.clone(),
                            pid: worker.pid,
                        });
                    }
                } else if begun.elapsed() > ARRIVAL {
                    return Err(ProxyError::SameWorker {
                        command: place.reload_command(),
                        pid: worker.pid,
                        check: place.check_command(),
                    });
                }
                if asked.elapsed() > patience {
                    place.reload()?;
                    (asked, patience) = (Instant::now(), patience * 2);
                }
            }
            Err(error) if begun.elapsed() > ARRIVAL => return Err(error),
            Err(_) => {}
        }
        sleep(LOOK_AGAIN);
    }
}

/// How long HAProxy may take to be what its commands say.
const OBEDIENCE: Duration = Duration::from_secs(2);

/// Gives commands until what runs is what is wanted, and no worker is about to come that could have read an older file.
pub(super) fn make_run(socket: AdminSocket<'_>, wanted: &Backend) -> Result<Running, ProxyError> {
    let begun = Instant::now();
    loop {
        let worker = socket.probe_worker()?;
        let running = make_worker_run(socket, wanted)?;
        // From here on a reload reads the file as it is: it was durable before.
        if !is_being_replaced(worker.pid) && socket.probe_worker()?.pid == worker.pid {
            return Ok(running);
        }
        if begun.elapsed() > ARRIVAL {
            return Err(ProxyError::Restless { name: wanted.name.clone(), pid: worker.pid });
        }
        sleep(LOOK_AGAIN);
    }
}

/// Gives commands until who answers runs what is wanted. What HAProxy says to them is not judged, only what it is afterwards.
fn make_worker_run(socket: AdminSocket<'_>, wanted: &Backend) -> Result<Running, ProxyError> {
    let begun = Instant::now();
    loop {
        let running = socket.probe(&wanted.name)?;
        let differences = differences(wanted, &running);
        if differences.is_empty() {
            return Ok(running);
        }
        let said = socket.ask(&commands(wanted, &running))?;
        if begun.elapsed() > OBEDIENCE {
            let said = said.lines().filter(|line| !line.is_empty()).map(|line| format!("HAProxy said `{line}`"));
            return Err(ProxyError::Refused {
                name: wanted.name.clone(),
                socket: socket.0.to_owned(),
                differences,
                words: said.collect(),
            });
        }
        sleep(Duration::from_millis(1));
    }
}
