//! `proxy look`: what the file says and what runs.

use std::collections::BTreeSet;

use pleach_core::error::Failure;

use super::backend::{Backend, BackendName};
use super::difference::differences;
use super::edit::load;
use super::error::ProxyError;
use super::request::{LookRequest, Looked, SeenService};
use super::running::Running;
use super::socket::AdminSocket;
use super::worker::older_workers;

/// Reads both and changes nothing.
pub(super) fn look(request: &LookRequest) -> Result<Looked, Failure> {
    seen(request).map_err(ProxyError::told)
}

fn seen(request: &LookRequest) -> Result<Looked, ProxyError> {
    let LookRequest { place, name } = request;
    let file = load(&place.file)?;
    let socket = AdminSocket(&place.socket);
    socket.require_admin()?;
    let worker = socket.probe_worker()?;
    let running = socket.probe_names()?;
    let names: BTreeSet<BackendName> = match name {
        Some(name) => BTreeSet::from([name.clone()]),
        None => file.keys().cloned().chain(running.iter().filter_map(|name| name.parse().ok())).collect(),
    };
    let services = names.into_iter().map(|name| {
        let running = Some(socket.probe(&name)?).filter(|running| !running.is_absent());
        let file = file.get(&name).cloned();
        let differences = compare(&name, file.as_ref(), running.as_ref());
        Ok(SeenService { name, file, running, differences })
    });
    let services = services.collect::<Result<_, ProxyError>>()?;
    Ok(Looked { older_workers: older_workers(worker.pid), worker, services })
}

fn compare(name: &BackendName, file: Option<&Backend>, running: Option<&Running>) -> Vec<String> {
    match (file, running) {
        (Some(file), running) => differences(file, &running.cloned().unwrap_or_default()),
        (None, Some(_)) => {
            vec![format!("HAProxy runs `{name}`, and the file does not hold it: a reload would take it away")]
        }
        (None, None) => Vec::new(),
    }
}
