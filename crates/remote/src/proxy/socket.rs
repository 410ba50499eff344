//! Asking the HAProxy that runs, by its admin socket: one connection for each command.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::backend::BackendName;
use super::error::ProxyError;
use super::running::{Running, Worker, backend_names, parse_running, parse_worker};

/// For how long it may be silent.
const LIMIT: Duration = Duration::from_secs(10);

/// The admin socket of an HAProxy.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdminSocket<'a>(pub(super) &'a Path);

impl AdminSocket<'_> {
    /// Sends a command; gives what HAProxy says to it, without blank lines at its end.
    pub(super) fn ask(self, command: &str) -> Result<String, ProxyError> {
        let asked = || -> io::Result<String> {
            let mut stream = UnixStream::connect(self.0)?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.set_write_timeout(Some(LIMIT))?;
            stream.write_all(format!("{command}\n").as_bytes())?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
        };
        asked().map_err(|source| ProxyError::Socket { socket: self.0.to_owned(), source })
    }

    /// Refuses a socket by which nothing can be changed; such a one also does not tell where a frontend listens.
    pub(super) fn require_admin(self) -> Result<(), ProxyError> {
        let level = self.ask("show cli level")?;
        if level == "admin" { Ok(()) } else { Err(ProxyError::NotAdmin { socket: self.0.to_owned(), level }) }
    }

    /// The worker that answers.
    pub(super) fn probe_worker(self) -> Result<Worker, ProxyError> {
        self.ask_for("show info", parse_worker)
    }

    /// A service as it runs now.
    pub(super) fn probe(self, name: &BackendName) -> Result<Running, ProxyError> {
        let state = self.ask(STATE)?;
        // Frontends, backends and listeners of all, and servers: what is not there is then a missing line and not a sentence.
        self.ask_for("show stat -1 -1 -1", |stat| parse_running(name.as_str(), &state, stat))
    }

    /// The names of all backends that run.
    pub(super) fn probe_names(self) -> Result<Vec<String>, ProxyError> {
        self.ask_for(STATE, |state| state.starts_with('1').then(|| backend_names(state)))
    }

    fn ask_for<T>(self, command: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ProxyError> {
        let words = self.ask(command)?;
        parse(&words).ok_or_else(|| ProxyError::Answer {
            socket: self.0.to_owned(),
            command: command.to_owned(),
            words: words.lines().next().unwrap_or_default().to_owned(),
        })
    }
}

const STATE: &str = "show servers state";
