//! `proxy remove`: a service is in neither, and its address is free.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pleach_core::error::Failure;

use super::backend::{Server, Slot};
use super::drain::Left;
use super::edit::Edit;
use super::ensure::reload;
use super::error::ProxyError;
use super::request::{Drained, RemoveRequest};
use super::running::Running;
use super::socket::AdminSocket;
use super::worker::probe_others;
use crate::process::port_owner;

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long the worker that leaves may take to give the address up.
const GIVEN_UP: Duration = Duration::from_secs(5);

/// Takes it out, and waits for what it had. There is no draining before: who comes once it is gone is refused a connection, and
/// who came before is answered by the worker that leaves.
pub(super) fn remove(request: &RemoveRequest) -> Result<Drained, Failure> {
    let RemoveRequest { place, name, limit } = request;
    place.require_complete().map_err(ProxyError::told)?;
    let mut edit = Edit::begin(place)?;
    let socket = AdminSocket(&place.socket);
    socket.require_admin().map_err(ProxyError::told)?;
    let worker = socket.probe_worker().map_err(ProxyError::told)?;
    let running = socket.probe(name).map_err(ProxyError::told)?;
    let mut changes = Vec::new();
    let mut backends = edit.backends().clone();
    let held = backends.remove(name);
    if held.is_some() {
        changes.push(format!("`{}` held `{name}`", place.file.display()));
        edit.replace(backends).map_err(ProxyError::told)?;
    }
    let mut servers: Vec<SocketAddr> = Vec::new();
    for slot in Slot::ALL {
        servers.extend(running.server(slot).and_then(|server| server.address));
        if let Some(Server::Used { address, .. }) = held.as_ref().map(|held| held.server(slot)) {
            servers.push(*address);
        }
    }
    if !running.is_absent() {
        changes.push(format!("HAProxy ran `{name}`"));
        let after = |error: ProxyError| {
            error
                .told()
                .state(format!("`{}` does not hold `{name}` any more; HAProxy still runs it", place.file.display()))
        };
        reload(place, &worker, name, Running::is_absent).map_err(|error| match error {
            ProxyError::NotLoaded { name, file, .. } => {
                after(ProxyError::StillThere { name, because: "the new worker has it from another file".into(), file })
            }
            error => after(error),
        })?;
        for address in &running.binds {
            require_free(*address).map_err(|because| {
                after(ProxyError::StillThere { name: name.clone(), because, file: place.file.clone() })
            })?;
        }
    }
    drop(edit);
    let begun = Instant::now();
    loop {
        // Where nobody answers any more, nothing is in flight.
        let others = socket.probe_worker().map(|worker| probe_others(&worker, &servers, 0));
        let left = Left { sessions: 0, older_workers: others.unwrap_or_default() };
        let drained = left == Left::default();
        if drained || begun.elapsed() >= limit.0 {
            let evidence = format!(
                "neither `{}` nor HAProxy holds `{name}`; {}",
                place.file.display(),
                left.tell(name, "the servers")
            );
            return Ok(Drained { drained, sessions: 0, older_workers: left.older_workers, changes, evidence });
        }
        sleep(LOOK_AGAIN);
    }
}

/// Waits until nobody accepts connections; else who does.
fn require_free(address: SocketAddr) -> Result<(), String> {
    let begun = Instant::now();
    while TcpStream::connect_timeout(&reachable(address), Duration::from_secs(1)).is_ok() {
        if begun.elapsed() > GIVEN_UP {
            let owner = port_owner(address.port()).map_or_else(|| "something".to_owned(), |owner| owner.to_string());
            return Err(format!("{owner} accepts connections on {address}"));
        }
        sleep(LOOK_AGAIN);
    }
    Ok(())
}

/// Whoever listens everywhere is asked on the loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}
