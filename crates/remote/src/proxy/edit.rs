//! Changing the file: one at a time, checked by HAProxy first, in one durable step.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pleach_core::error::Failure;

use super::backend::Backend;
use super::error::ProxyError;
use super::file::{Backends, parse, render};
use super::place::ProxyPlace;
use crate::daemon::{cannot_lock, lock_file};
use crate::local::{beside, sync_folder};

/// How long others may take: a check and a reload, several times over.
const OTHERS: Duration = Duration::from_secs(180);

/// The right to change the file, for as long as it lives.
pub(super) struct Edit<'a> {
    place: &'a ProxyPlace,
    /// The file itself, behind all links.
    path: PathBuf,
    text: String,
    backends: Backends,
    _lock: File,
}

/// What the file says now, for whoever changes nothing.
pub(super) fn load(file: &Path) -> Result<Backends, ProxyError> {
    read(file).map(|(_, backends)| backends)
}

fn read(file: &Path) -> Result<(String, Backends), ProxyError> {
    let text = fs::read_to_string(file).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ProxyError::Missing { file: file.to_owned() },
        _ => ProxyError::Io { verb: "read", path: file.to_owned(), source },
    })?;
    let backends = parse(&text).map_err(|foreign| ProxyError::Foreign { file: file.to_owned(), foreign })?;
    Ok((text, backends))
}

impl<'a> Edit<'a> {
    /// Waits for others, and reads the file.
    pub(super) fn begin(place: &'a ProxyPlace) -> Result<Self, Failure> {
        // What is not there gets no lock beside it either.
        load(&place.file).map_err(ProxyError::told)?;
        let path = fs::canonicalize(&place.file).map_err(|source| told("find", &place.file, source))?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let lock_path = path.with_file_name(name);
        let lock = lock_file(&lock_path)?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begun.elapsed() < OTHERS => sleep(Duration::from_millis(5)),
                Err(TryLockError::WouldBlock) => {
                    return Err(ProxyError::Busy { file: path, lock: lock_path }.told());
                }
                Err(TryLockError::Error(error)) => return Err(cannot_lock(&lock_path, &error)),
            }
        }
        let (text, backends) = read(&path).map_err(ProxyError::told)?;
        Ok(Self { place, path, text, backends, _lock: lock })
    }

    /// All services of the file.
    pub(super) fn backends(&self) -> &Backends {
        &self.backends
    }

    /// Refuses an address that another service of the file has.
    pub(super) fn require_own_address(&self, wanted: &Backend) -> Result<(), ProxyError> {
        let others = self.backends.values().filter(|other| other.name != wanted.name);
        match others.into_iter().find(|other| other.bind == wanted.bind) {
            None => Ok(()),
            Some(holder) => Err(ProxyError::Shared {
                bind: wanted.bind.clone(),
                name: wanted.name.clone(),
                holder: holder.name.clone(),
                file: self.path.clone(),
            }),
        }
    }

    /// Makes the file hold these services; gives what it held if that was something else. Durable when it returns.
    pub(super) fn replace(&mut self, backends: Backends) -> Result<Option<Before>, ProxyError> {
        if backends == self.backends {
            return Ok(None);
        }
        let text = render(&backends);
        self.write(&text, Checked::First)?;
        self.backends = backends;
        Ok(Some(Before(std::mem::replace(&mut self.text, text))))
    }

    /// Makes the file what it was.
    pub(super) fn put_back(&mut self, before: &Before) -> Result<(), ProxyError> {
        self.write(&before.0, Checked::Before)
    }

    fn write(&self, text: &str, checked: Checked) -> Result<(), ProxyError> {
        self.sweep();
        let candidate = beside(&self.path, "new");
        let io = |verb, path: &Path| {
            let path = path.to_owned();
            move |source| ProxyError::Io { verb, path, source }
        };
        let written = (|| {
            let filled = (|| {
                let mut file = File::create(&candidate)?;
                // HAProxy reads it as whoever it is.
                file.set_permissions(fs::metadata(&self.path)?.permissions())?;
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })();
            filled.map_err(io("write beside", &self.path))?;
            if checked == Checked::First {
                self.place.check(&candidate)?;
            }
            fs::rename(&candidate, &self.path).map_err(io("replace", &self.path))
        })();
        if written.is_err() {
            // The error that matters is the one above.
            let _ = fs::remove_file(&candidate);
        }
        written?;
        sync_folder(&self.path).map_err(io("make durable", &self.path))
    }

    /// Removes what somebody who was killed has left: whoever has the lock is alone.
    fn sweep(&self) {
        let Some((folder, name)) = self.path.parent().zip(self.path.file_name()) else { return };
        let left = format!("{}.new-", name.to_string_lossy());
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&left) {
                // What stays is in nobody's way.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// What the file held before.
pub(super) struct Before(String);

/// When HAProxy is asked about a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Checked {
    First,
    Before,
}

fn told(verb: &'static str, path: &Path, source: io::Error) -> Failure {
    ProxyError::Io { verb, path: path.to_owned(), source }.told()
}
