//! One file a target, changed only under a lock, replaced whole.
//!
//! | the lease is | its holder | acquire | renew, release by token |
//! |---|---|---|---|
//! | free | | given | lost; nothing |
//! | held | dead, by proof | taken over with a greater token | lost; nothing |
//! | held | alive, stopped, or not to be judged from here | refused, expired or not | moved on; given back |

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use pleach_core::error::{Failure, Kind};
use pleach_core::port::{Clock, Lease, LeaseRequest, Leases};
use pleach_core::word::{EnvironmentName, TargetName};
use tokio::sync::oneshot;

use super::error::{HeldBy, LeaseError};
use super::place::{Place, life, load_all};
use crate::file;
use crate::process::{Life, holder};

/// What one lease covers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// The target that it names.
    Target,
    /// The folder, whatever it is called in the config of whoever asks.
    Folder,
}

/// The leases below one state directory, or that of one directory target.
#[derive(Clone)]
pub struct FileLeases {
    folder: PathBuf,
    extent: Extent,
    clock: Arc<dyn Clock>,
}

impl FileLeases {
    /// Uses `state`, and makes it if it is not there. The clock is for what people read.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn open(state: &Path, clock: Arc<dyn Clock>) -> Result<Self, LeaseError> {
        let folder = state.join("leases");
        file::ensure_directory(&folder)?;
        Ok(Self { folder, extent: Extent::Target, clock })
    }

    /// The one lease of the directory `root`, kept in it: whoever deploys there, from whichever repository, has to take it.
    pub fn of_directory(root: &Path, clock: Arc<dyn Clock>) -> Self {
        Self { folder: root.join(".pleach"), extent: Extent::Folder, clock }
    }

    fn place(&self, environment: &EnvironmentName, target: &TargetName) -> Place {
        match self.extent {
            Extent::Target => Place::new(&self.folder, environment.as_str(), target.as_str()),
            Extent::Folder => Place::of_directory(&self.folder),
        }
    }

    fn list_now(&self) -> Result<Vec<Lease>, LeaseError> {
        match self.extent {
            Extent::Target => load_all(&self.folder),
            Extent::Folder => Ok(Place::of_directory(&self.folder).load()?.into_iter().collect()),
        }
    }

    fn acquire_now(&self, request: &LeaseRequest) -> Result<Lease, LeaseError> {
        let place = self.place(&request.environment, &request.target);
        let _held = place.lock()?;
        let earlier = place.load()?;
        let started = self.clock.now();
        if let Some(lease) = &earlier {
            let (life, path) = (life(lease), place.lease_path());
            if life != Life::Dead {
                return Err(LeaseError::Held(Box::new(HeldBy { lease: lease.clone(), life, asked: started, path })));
            }
        }
        let lease = Lease {
            environment: request.environment.clone(),
            target: request.target.clone(),
            run: request.run.clone(),
            holder: holder(),
            reason: request.reason.clone(),
            started,
            expires: later(started, request.lifetime),
            token: place.draw_token(earlier.as_ref())?,
        };
        place.store(&lease)?;
        Ok(lease)
    }

    fn renew_now(&self, lease: &Lease) -> Result<Lease, LeaseError> {
        let place = self.place(&lease.environment, &lease.target);
        let _held = place.lock()?;
        match place.load()? {
            Some(now) if now.token == lease.token => {
                // As `acquire` gave it, so the two are one lifetime apart, whatever the clock did since.
                let lifetime = lease.expires.duration_since(lease.started).unsigned_abs();
                let renewed = Lease { expires: later(self.clock.now(), lifetime), ..now };
                place.store(&renewed)?;
                Ok(renewed)
            }
            _ => Err(LeaseError::Lost(Box::new(lease.clone()))),
        }
    }

    fn release_now(&self, lease: &Lease) -> Result<(), LeaseError> {
        let place = self.place(&lease.environment, &lease.target);
        let _held = place.lock()?;
        match place.load()? {
            Some(now) if now.token == lease.token => place.remove(),
            _ => Ok(()),
        }
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

fn later(start: Timestamp, lifetime: Duration) -> Timestamp {
    let lifetime = SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX);
    start.checked_add(lifetime).unwrap_or(Timestamp::MAX)
}

#[async_trait]
impl Leases for FileLeases {
    async fn acquire(&self, request: &LeaseRequest) -> Result<Lease, Failure> {
        let request = request.clone();
        let (tell, told) = oneshot::channel();
        let taken = self.blocking(move |this| {
            if let Err(Ok(lease)) = tell.send(this.acquire_now(&request)) {
                // Whoever asked has given up waiting, and nobody else would give it back while this process lives.
                this.release_now(&lease)?;
            }
            Ok(())
        });
        taken.await?;
        let gone = |_| Failure::new(Kind::Internal, "could not reach the lease files");
        Ok(told.await.map_err(gone)??)
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
