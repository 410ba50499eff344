//! The way to one host: as few connections as do, many sessions on each.
//!
//! A connection costs a key exchange and a login, a session almost nothing, so sessions share connections. How many one
//! connection takes is the server's secret (`MaxSessions`, 10 unless set), and it frees a place only after it has said that
//! a session ended; so
//!
//! 1. at most [`SESSIONS`] are open on a connection at a time;
//! 2. one that is refused is tried again after 1, 2, 4 … ms;
//! 3. when it stays refused, that connection is taken to be full with what it has, and the next session goes to another
//!    connection, of which there are at most four for each target on the host;
//! 4. beyond that, sessions wait for others to end.
//!
//! Some sessions are [residents](super::resident): they stay for the lines to come, and are ended when another session needs
//! their place.
//!
//! A connection that is lost is forgotten, and the next session makes a new one. One at a time is made; whoever waited for
//! one that could not be made is told why, and does not try the same again: of a host that has fallen silent, a hundred
//! sessions hear in the time that one takes.
//!
//! Targets on one host [share](Link::shared) a link, and so its connections, for as long as one of them is in use.
//! [`HostLimits`] allow less than that, and slow down how fast connections and sessions start, [`TotalLimits`] over all links;
//! sessions that end others are not slowed down.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use pleach_core::config::{HostLimits, TotalLimits};
use pleach_core::error::{Explain, Failure, Kind};
use russh::Channel;
use russh::client::Msg;
use tokio::sync::{Notify, OnceCell};
use tokio::time::sleep;

use super::config::{ConfigError, Destination, HostConfig, load_config};
use super::connect::{ConnectError, Connection, OpenError};
use super::limit::{LinkLimits, Permit};
use super::quote::quote_text;
use super::resident::Resident;

/// Sessions on one connection; two below what OpenSSH allows, for those that end others.
const SESSIONS: usize = 8;

/// Residents without a line that are kept on one connection.
const RESIDENTS: usize = 4;

/// How long a session waits for another to end before a further connection is made for it.
const PATIENCE: Duration = Duration::from_millis(250);

/// The first pause before a refused session is tried again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// Tries of one session on one connection: 127 ms in all.
const TRIES: u32 = 7;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The user's own config does not say how.
    #[error("could not find the way to `{host}`")]
    Config {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: Box<ConfigError>,
    },
    /// There is no connection.
    #[error("could not connect to `{host}`")]
    Connect {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: Arc<ConnectError>,
    },
    /// The server lets us in and lets us do nothing.
    #[error("`{host}` opens no session")]
    NoSession {
        /// The host.
        host: String,
    },
    /// Connections break as soon as they are made.
    #[error("the connection to `{host}` was lost, {times} times in a row")]
    Lost {
        /// The host.
        host: String,
        /// How often.
        times: u32,
        /// The last reason.
        #[source]
        source: russh::Error,
    },
}

impl Explain for LinkError {
    fn kind(&self) -> Kind {
        match self {
            Self::Config { source, .. } => source.kind(),
            Self::Connect { source, .. } => source.kind(),
            Self::NoSession { .. } => Kind::Rejected,
            Self::Lost { .. } => Kind::Transient,
        }
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Connect { source, .. } => source.state(),
            _ => Some("nothing was touched by this call".into()),
        }
    }

    fn next(&self) -> Option<String> {
        match self {
            Self::Config { source, .. } => source.next(),
            Self::Connect { source, .. } => source.next(),
            Self::NoSession { host } => {
                Some(format!("look at `MaxSessions` on the host: `ssh {} true`", quote_text(host)))
            }
            Self::Lost { host, .. } => Some(format!("look with `ssh -v {} true`", quote_text(host))),
        }
    }

    fn output(&self) -> Vec<String> {
        match self {
            Self::Config { source, .. } => source.output(),
            Self::Connect { source, .. } => source.output(),
            _ => Vec::new(),
        }
    }
}

/// The links that targets share, by destination and limits.
static SHARED: Mutex<BTreeMap<String, Weak<Link>>> = Mutex::new(BTreeMap::new());

/// The way to one host. Connects when the first session is asked for.
pub struct Link {
    destination: Destination,
    config: OnceCell<HostConfig>,
    pool: Mutex<Pool>,
    /// A place has become free.
    freed: Notify,
    /// Held by the one who connects.
    connecting: tokio::sync::Mutex<()>,
    limits: LinkLimits,
    /// How many targets it was given to.
    targets: AtomicUsize,
    /// How often connecting failed, and how the last time.
    failed: Mutex<(u64, Option<Arc<ConnectError>>)>,
}

#[derive(Default)]
struct Pool {
    next: u64,
    connections: BTreeMap<u64, Entry>,
    /// How many sessions a connection has turned out to take.
    capacity: Option<usize>,
}

struct Entry {
    connection: Arc<Connection>,
    used: usize,
    capacity: usize,
    /// Residents without a line; each has its place among those that are used.
    free: Vec<Resident>,
}

/// One session's place on a connection, given back when dropped.
pub(super) struct Place {
    link: Arc<Link>,
    id: u64,
    connection: Arc<Connection>,
    /// Of all sessions that may be open at once; those that end others have none.
    permit: Option<Permit>,
}

/// An open session.
pub(super) struct OpenSession {
    pub(super) channel: Channel<Msg>,
    pub(super) place: Place,
}

/// Where a line finds a resident.
pub(super) enum Seat {
    /// One that is there.
    Kept(Resident, Place),
    /// A session that can become one.
    New(OpenSession),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("destination", &self.destination).finish_non_exhaustive()
    }
}

impl Link {
    /// A way to the host; nothing is reached yet.
    pub fn new(config: HostConfig) -> Arc<Self> {
        Self::make(config.destination.clone(), OnceCell::new_with(Some(config)), LinkLimits::default())
    }

    /// A way to the host, which is looked up in the user's own config when the first session is asked for.
    pub fn to(destination: Destination) -> Arc<Self> {
        Self::make(destination, OnceCell::new(), LinkLimits::default())
    }

    /// The same, for a host that takes only so much.
    ///
    /// # Errors
    /// A rate is out of all bounds.
    pub fn limited(destination: Destination, limits: &HostLimits, total: &TotalLimits) -> Result<Arc<Self>, Failure> {
        let limits = LinkLimits::of(limits, total).map_err(|error| {
            Failure::new(Kind::Rejected, format!("could not keep the limits of `{}`", destination.host))
                .because(error.to_string())
                .state("nothing was touched")
                .next("correct `limits` of the target, or `total-limits` of its environment, in `pleach.toml`")
        })?;
        Ok(Self::make(destination, OnceCell::new(), limits))
    }

    /// The link of all targets on this host, of which nothing is reached yet if this is the first.
    ///
    /// # Errors
    /// As of [`limited`](Self::limited).
    pub fn shared(destination: Destination, limits: &HostLimits, total: &TotalLimits) -> Result<Arc<Self>, Failure> {
        let key = format!("{destination:?} {limits:?} {total:?}");
        // A map is whole after each call.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = shared.get(&key).and_then(Weak::upgrade) {
            link.targets.fetch_add(1, Ordering::Relaxed);
            return Ok(link);
        }
        let link = Self::limited(destination, limits, total)?;
        shared.retain(|_, link| link.strong_count() > 0);
        shared.insert(key, Arc::downgrade(&link));
        Ok(link)
    }

    fn make(destination: Destination, config: OnceCell<HostConfig>, limits: LinkLimits) -> Arc<Self> {
        let pool = Mutex::new(Pool::default());
        let (freed, connecting) = (Notify::new(), tokio::sync::Mutex::new(()));
        let failed = Mutex::default();
        let targets = AtomicUsize::new(1);
        Arc::new(Self { destination, config, pool, freed, connecting, limits, targets, failed })
    }

    /// How the host is called.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The host as the user names it.
    pub fn host(&self) -> &str {
        &self.destination.host
    }

    /// How many connections there are now.
    pub fn connections(&self) -> usize {
        let mut pool = self.pool();
        pool.forget_lost();
        pool.connections.len()
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // A pool is whole after each statement that changes it.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether sessions may stay open for the lines to come: where they are counted, another could wait for them.
    pub(super) fn keeps_residents(&self) -> bool {
        !self.limits.counts_sessions()
    }

    /// A resident without a line, or a session that can become one.
    pub(super) async fn open_resident(self: &Arc<Self>) -> Result<Seat, LinkError> {
        let permit = self.limits.session().await;
        while let Some((mut resident, mut place)) = self.claim_resident() {
            if resident.is_over().await {
                continue;
            }
            place.permit = Some(permit);
            return Ok(Seat::Kept(resident, place));
        }
        self.open_with(permit).await.map(Seat::New)
    }

    fn claim_resident(self: &Arc<Self>) -> Option<(Resident, Place)> {
        let mut pool = self.pool();
        pool.forget_lost();
        let (id, entry) = pool.connections.iter_mut().find(|(_, entry)| !entry.free.is_empty())?;
        let resident = entry.free.pop()?;
        // Its place stays its own.
        let place = Place { link: self.clone(), id: *id, connection: entry.connection.clone(), permit: None };
        Some((resident, place))
    }

    /// Keeps a resident for the next line, unless there are enough.
    pub(super) fn keep(self: &Arc<Self>, resident: Resident, place: Place) {
        let mut pool = self.pool();
        match pool.connections.get_mut(&place.id) {
            Some(entry) if entry.free.len() < RESIDENTS => {
                entry.free.push(resident);
                entry.used += 1;
            }
            _ => resident.dismiss(),
        }
        drop(pool);
        // The one that the line had.
        drop(place);
    }

    /// A session, as soon as there is a place for one.
    pub(super) async fn open(self: &Arc<Self>) -> Result<OpenSession, LinkError> {
        let permit = self.limits.session().await;
        self.open_with(permit).await
    }

    async fn open_with(self: &Arc<Self>, permit: Permit) -> Result<OpenSession, LinkError> {
        let mut lost = 0;
        let mut permit = Some(permit);
        loop {
            let mut place = self.wait_for_place().await?;
            place.permit = permit.take();
            match place.open().await {
                Ok(channel) => return Ok(OpenSession { channel, place }),
                Err(OpenError::Full) => {
                    permit = place.permit.take();
                    let mut pool = self.pool();
                    if !pool.shrink(place.id) {
                        return Err(LinkError::NoSession { host: self.host().to_owned() });
                    }
                }
                Err(OpenError::Lost(source)) => {
                    permit = place.permit.take();
                    lost += 1;
                    self.forget(place.id);
                    if lost == 3 {
                        return Err(LinkError::Lost { host: self.host().to_owned(), times: lost, source });
                    }
                }
            }
        }
    }

    /// A session for ending others, which does not wait for them.
    pub(super) async fn open_urgently(self: &Arc<Self>) -> Result<OpenSession, LinkError> {
        let places = {
            let mut pool = self.pool();
            pool.forget_lost();
            let ids: Vec<u64> = pool.connections.keys().copied().collect();
            ids.into_iter().filter_map(|id| pool.take(self, id)).collect::<Vec<_>>()
        };
        for place in places {
            if let Ok(channel) = place.open().await {
                return Ok(OpenSession { channel, place });
            }
        }
        let place = self.connect().await?;
        match place.open().await {
            Ok(channel) => Ok(OpenSession { channel, place }),
            Err(OpenError::Full) => Err(LinkError::NoSession { host: self.host().to_owned() }),
            Err(OpenError::Lost(source)) => Err(LinkError::Lost { host: self.host().to_owned(), times: 1, source }),
        }
    }

    /// A live connection, whatever runs through it.
    pub(super) async fn connection(self: &Arc<Self>) -> Result<(u64, Arc<Connection>), LinkError> {
        let before = self.failed().0;
        let _one = self.connecting.lock().await;
        {
            let mut pool = self.pool();
            pool.forget_lost();
            if let Some((id, entry)) = pool.connections.first_key_value() {
                return Ok((*id, entry.connection.clone()));
            }
        }
        self.require_none_failed(before)?;
        let place = self.connect().await?;
        Ok((place.id, place.connection.clone()))
    }

    /// No longer uses a connection that is gone.
    pub(super) fn forget(&self, id: u64) {
        self.pool().connections.remove(&id);
    }

    async fn wait_for_place(self: &Arc<Self>) -> Result<Place, LinkError> {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // From here on no place that becomes free is missed.
            freed.as_mut().enable();
            let live = match self.claim() {
                Ok(place) => return Ok(place),
                Err(live) => live,
            };
            if live == 0 {
                if let Some(place) = self.connect_once(0).await? {
                    return Ok(place);
                }
            } else if live < self.limits.connections(self.targets.load(Ordering::Relaxed)) {
                tokio::select! {
                    () = &mut freed => {}
                    () = sleep(PATIENCE) => match self.connect_once(live).await {
                        Ok(Some(place)) => return Ok(place),
                        Ok(None) => {}
                        // The others go on; a place of theirs will do.
                        Err(_) => freed.await,
                    },
                }
            } else {
                freed.await;
            }
        }
    }

    /// A free place on a connection that is there, if need be a resident's without a line; or how many connections there
    /// are.
    fn claim(self: &Arc<Self>) -> Result<Place, usize> {
        let mut pool = self.pool();
        pool.forget_lost();
        let free = pool.connections.iter().find(|(_, entry)| entry.used < entry.capacity).map(|(id, _)| *id);
        free.or_else(|| pool.dismiss_resident()).and_then(|id| pool.take(self, id)).ok_or(pool.connections.len())
    }

    /// Makes a further connection unless another has meanwhile made one.
    async fn connect_once(self: &Arc<Self>, seen: usize) -> Result<Option<Place>, LinkError> {
        let before = self.failed().0;
        let _one = self.connecting.lock().await;
        match self.claim() {
            Ok(place) => Ok(Some(place)),
            Err(live) if live > seen => Ok(None),
            Err(_) => {
                self.require_none_failed(before)?;
                self.connect().await.map(Some)
            }
        }
    }

    fn failed(&self) -> MutexGuard<'_, (u64, Option<Arc<ConnectError>>)> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody has connected in vain since `before` were counted.
    fn require_none_failed(&self, before: u64) -> Result<(), LinkError> {
        match &*self.failed() {
            (count, Some(source)) if *count > before => {
                Err(LinkError::Connect { host: self.host().to_owned(), source: source.clone() })
            }
            _ => Ok(()),
        }
    }

    async fn connect(self: &Arc<Self>) -> Result<Place, LinkError> {
        let host = || self.host().to_owned();
        let config = self.config.get_or_try_init(|| load_config(&self.destination)).await;
        let config = config.map_err(|source| LinkError::Config { host: host(), source: Box::new(source) })?;
        self.limits.connection().await;
        let opened = Connection::open(config).await;
        let connection = opened.map_err(|error| {
            let source = Arc::new(error);
            let mut failed = self.failed();
            *failed = (failed.0 + 1, Some(source.clone()));
            LinkError::Connect { host: host(), source }
        })?;
        let mut pool = self.pool();
        let id = pool.next;
        pool.next += 1;
        let capacity = pool.capacity.unwrap_or(SESSIONS);
        let connection = Arc::new(connection);
        pool.connections.insert(id, Entry { connection: connection.clone(), used: 1, capacity, free: Vec::new() });
        drop(pool);
        self.freed.notify_waiters();
        Ok(Place { link: self.clone(), id, connection, permit: None })
    }
}

impl Pool {
    fn forget_lost(&mut self) {
        self.connections.retain(|_, entry| !entry.connection.is_lost());
    }

    fn take(&mut self, link: &Arc<Link>, id: u64) -> Option<Place> {
        let entry = self.connections.get_mut(&id)?;
        entry.used += 1;
        Some(Place { link: link.clone(), id, connection: entry.connection.clone(), permit: None })
    }

    /// The connection on which a resident without a line made room for another session.
    fn dismiss_resident(&mut self) -> Option<u64> {
        let (id, entry) = self.connections.iter_mut().find(|(_, entry)| !entry.free.is_empty())?;
        entry.free.pop()?.dismiss();
        entry.used -= 1;
        // It may have turned out to take fewer since.
        (entry.used < entry.capacity).then_some(*id)
    }

    /// Takes the connection to be full with the sessions that it has besides the refused one; no if it has none.
    fn shrink(&mut self, id: u64) -> bool {
        let Some(entry) = self.connections.get_mut(&id) else { return true };
        let others = entry.used - 1;
        if others == 0 {
            return false;
        }
        entry.capacity = entry.capacity.min(others);
        self.capacity = Some(self.capacity.map_or(others, |known| known.min(others)));
        true
    }
}

impl Place {
    /// A session, once the server has noticed that an earlier one ended.
    async fn open(&self) -> Result<Channel<Msg>, OpenError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.connection.open_session().await {
                Err(OpenError::Full) => sleep(pause).await,
                other => return other,
            }
            pause *= 2;
        }
        self.connection.open_session().await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(entry) = self.link.pool().connections.get_mut(&self.id) {
            entry.used -= 1;
        }
        self.link.freed.notify_one();
    }
}
