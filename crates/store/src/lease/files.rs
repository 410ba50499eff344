//! One file a target, changed only under a lock, replaced whole.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Clock, FencingToken, Lease, LeaseRequest, Leases};

use super::error::{HeldBy, LeaseError};
use crate::process::{Life, ProcessIdentity, holder};
use crate::{FileError, file};

/// The leases below one state directory.
#[derive(Clone)]
pub struct FileLeases {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
}

impl FileLeases {
    /// Uses `state`, and makes it if it is not there.
    pub fn open(state: &Path, clock: Arc<dyn Clock>) -> Result<Self, LeaseError> {
        let folder = state.join("leases");
        file::ensure_directory(&folder)?;
        Ok(Self { folder, clock })
    }

    fn place(&self, environment: &str, target: &str) -> Place {
        Place { folder: self.folder.join(environment), target: target.to_owned() }
    }

    fn acquire_now(&self, request: &LeaseRequest) -> Result<Lease, LeaseError> {
        let place = self.place(request.environment.as_str(), request.target.as_str());
        let _held = place.lock()?;
        let earlier = place.load()?;
        if let Some(earlier) = &earlier {
            let who = ProcessIdentity::from(&earlier.holder);
            match who.life() {
                // The clock is not asked: an expired lease of a living process may wake up and write.
                Life::Alive => return Err(held(earlier, "its process lives")),
                Life::Elsewhere => return Err(held(earlier, "its process is on another machine and may live")),
                Life::Dead => {}
            }
        }
        let token = place.last_token()?.max(earlier.map_or(0, |earlier| earlier.token.0)) + 1;
        // The token first: a crash in between wastes a number, the other order could give it twice.
        file::write_whole(&place.token_path(), format!("{token}\n").as_bytes())?;
        let started = self.clock.now();
        let lease = Lease {
            environment: request.environment.clone(),
            target: request.target.clone(),
            run: request.run.clone(),
            holder: holder(),
            reason: request.reason.clone(),
            started,
            expires: later(started, request.lifetime),
            token: FencingToken(token),
        };
        place.store(&lease)?;
        Ok(lease)
    }

    fn renew_now(&self, lease: &Lease) -> Result<Lease, LeaseError> {
        let place = self.place(lease.environment.as_str(), lease.target.as_str());
        let _held = place.lock()?;
        match place.load()? {
            Some(now) if now.token == lease.token => {
                let lifetime = lease.expires.duration_since(lease.started).unsigned_abs();
                let renewed = Lease { expires: later(self.clock.now(), lifetime), ..now };
                place.store(&renewed)?;
                Ok(renewed)
            }
            _ => Err(LeaseError::Lost(Box::new(lease.clone()))),
        }
    }

    fn release_now(&self, lease: &Lease) -> Result<(), LeaseError> {
        let place = self.place(lease.environment.as_str(), lease.target.as_str());
        let _held = place.lock()?;
        let ours = place.load()?.is_some_and(|now| now.token == lease.token);
        if ours {
            let path = place.lease_path();
            std::fs::remove_file(&path).map_err(FileError::of("remove", &path))?;
        }
        Ok(())
    }

    fn list_now(&self) -> Result<Vec<Lease>, LeaseError> {
        let mut leases = Vec::new();
        for environment in folders(&self.folder)? {
            for path in folders(&environment)? {
                if path.extension().is_some_and(|ending| ending == "json")
                    && let Some(bytes) = file::read_if_there(&path)?
                {
                    leases.push(parse(&path, &bytes)?);
                }
            }
        }
        leases.sort_by(|a: &Lease, b| (&a.environment, &a.target).cmp(&(&b.environment, &b.target)));
        Ok(leases)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, LeaseError> + Send + 'static,
    ) -> Result<T, Failure> {
        let this = self.clone();
        let joined = tokio::task::spawn_blocking(move || work(&this)).await;
        let broken = |error: tokio::task::JoinError| {
            Failure::new(Kind::Internal, "could not reach the lease files").because(error.to_string())
        };
        Ok(joined.map_err(broken)??)
    }
}

fn later(start: Timestamp, lifetime: std::time::Duration) -> Timestamp {
    let lifetime = SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX);
    start.checked_add(lifetime).unwrap_or(Timestamp::MAX)
}

fn held(lease: &Lease, why: &str) -> LeaseError {
    let holder = &lease.holder;
    let by = format!(
        "`{}` on `{}` (process {}) holds it since {} for run `{}`: {}; {why}",
        holder.user,
        holder.host,
        holder.process,
        lease.started.strftime("%Y-%m-%d %H:%M:%SZ"),
        lease.run,
        lease.reason,
    );
    LeaseError::Held(Box::new(lease.clone()), HeldBy(by))
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let list = std::fs::read_dir(folder).map_err(FileError::of("list", folder))?;
    Ok(list.flatten().map(|entry| entry.path()).collect())
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Lease, LeaseError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    serde_json::from_slice(bytes).map_err(|error| LeaseError::Damaged(name.into_owned(), error))
}

#[async_trait]
impl Leases for FileLeases {
    async fn acquire(&self, request: &LeaseRequest) -> Result<Lease, Failure> {
        let request = request.clone();
        self.blocking(move |this| this.acquire_now(&request)).await
    }

    async fn renew(&self, lease: &Lease) -> Result<Lease, Failure> {
        let lease = lease.clone();
        self.blocking(move |this| this.renew_now(&lease)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), Failure> {
        let lease = lease.clone();
        self.blocking(move |this| this.release_now(&lease)).await
    }

    async fn list(&self) -> Result<Vec<Lease>, Failure> {
        self.blocking(Self::list_now).await
    }
}

/// Where the files of one target's lease lie.
struct Place {
    folder: PathBuf,
    target: String,
}

impl Place {
    fn lease_path(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.target))
    }

    fn token_path(&self) -> PathBuf {
        self.folder.join(format!("{}.token", self.target))
    }

    /// Held for the length of one change; the file itself stays, since removing it would let two hold "the" lock.
    fn lock(&self) -> Result<File, FileError> {
        file::ensure_directory(&self.folder)?;
        let path = self.folder.join(format!("{}.lock", self.target));
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(FileError::of("open", &path))?;
        file.lock().map_err(FileError::of("lock", &path))?;
        Ok(file)
    }

    fn load(&self) -> Result<Option<Lease>, LeaseError> {
        let path = self.lease_path();
        file::read_if_there(&path)?.map(|bytes| parse(&path, &bytes)).transpose()
    }

    fn store(&self, lease: &Lease) -> Result<(), LeaseError> {
        let mut text =
            serde_json::to_vec_pretty(lease).map_err(|error| LeaseError::Damaged(self.target.clone(), error))?;
        text.push(b'\n');
        Ok(file::write_whole(&self.lease_path(), &text)?)
    }

    fn last_token(&self) -> Result<u64, LeaseError> {
        let path = self.token_path();
        let Some(bytes) = file::read_if_there(&path)? else { return Ok(0) };
        let text = String::from_utf8_lossy(&bytes);
        let damaged = |error: std::num::ParseIntError| {
            FileError::of("read", &path)(std::io::Error::new(std::io::ErrorKind::InvalidData, error))
        };
        Ok(text.trim().parse().map_err(damaged)?)
    }
}
