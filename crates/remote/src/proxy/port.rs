//! What is asked of a proxy, whichever it is.

use std::path::Path;

use pleach_core::error::Failure;
use pleach_core::period::Period;

use super::backend::{Backend, BackendName, Slot};
use super::drain::drain;
use super::edit::load;
use super::ensure::ensure;
use super::error::ProxyError;
use super::look::look;
use super::place::ProxyPlace;
use super::remove::remove;
use super::request::{DrainRequest, Drained, EnsureRequest, Ensured, LookRequest, Looked, RemoveRequest};
use super::socket::AdminSocket;

/// A proxy that leads each service to two servers, `blue` and `green`, by weight and by what a request asks for.
///
/// All that Pleach does behind a proxy, [`lead`](super::Led), canaries and the way back, is made of these calls. HAProxy is
/// [`ProxyPlace`]; another one implements them, and keeps what they promise: the tests have a suite for that.
///
/// What it holds, it runs once it is started anew. Both are equal when a call is over, and no request is lost by any of them.
pub trait Proxy {
    /// What people call it.
    fn name(&self) -> &str;

    /// Where what it holds lies, for people who look.
    fn file(&self) -> &Path;

    /// Whether it runs and can be asked.
    fn answers(&self) -> bool;

    /// What it holds of a service, also while it does not run.
    ///
    /// # Errors
    /// What it holds cannot be read.
    fn held(&self, name: &BackendName) -> Result<Option<Backend>, Failure>;

    /// What it holds and what it runs, of one service or of all; changes nothing.
    ///
    /// # Errors
    /// It cannot be asked.
    fn look(&self, name: Option<&BackendName>) -> Result<Looked, Failure>;

    /// Holds and runs a service as it is wanted. Who gains requests does so before others lose theirs.
    ///
    /// # Errors
    /// It cannot be asked, refuses that, or somebody else has the address; it holds what it held before.
    fn ensure(&self, wanted: &Backend) -> Result<Ensured, Failure>;

    /// Gives a server no new requests, and waits until those that it has are over, or the limit is.
    ///
    /// # Errors
    /// The same, or it is the last server that takes requests.
    fn drain(&self, name: &BackendName, server: Slot, limit: Period) -> Result<Drained, Failure>;

    /// Has neither any more; its address is free then. Nothing left is fine.
    ///
    /// # Errors
    /// The same.
    fn remove(&self, name: &BackendName, limit: Period) -> Result<Drained, Failure>;
}

impl Proxy for ProxyPlace {
    fn name(&self) -> &'static str {
        "HAProxy"
    }

    fn file(&self) -> &Path {
        &self.file
    }

    fn answers(&self) -> bool {
        AdminSocket(&self.socket).probe_worker().is_ok()
    }

    fn held(&self, name: &BackendName) -> Result<Option<Backend>, Failure> {
        Ok(load(&self.file).map_err(ProxyError::told)?.remove(name))
    }

    fn look(&self, name: Option<&BackendName>) -> Result<Looked, Failure> {
        look(&LookRequest { place: self.clone(), name: name.cloned() })
    }

    fn ensure(&self, wanted: &Backend) -> Result<Ensured, Failure> {
        ensure(&EnsureRequest { place: self.clone(), backend: wanted.clone() })
    }

    fn drain(&self, name: &BackendName, server: Slot, limit: Period) -> Result<Drained, Failure> {
        drain(&DrainRequest { place: self.clone(), name: name.clone(), server, limit })
    }

    fn remove(&self, name: &BackendName, limit: Period) -> Result<Drained, Failure> {
        remove(&RemoveRequest { place: self.clone(), name: name.clone(), limit })
    }
}
