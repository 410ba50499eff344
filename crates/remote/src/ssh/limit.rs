//! How much one host takes of us, and how much all of them together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pleach_core::config::{HostLimits, TotalLimits};
use pleach_core::limit::{LimitError, TokenBucket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// Connections to one host for each target on it, unless it takes fewer.
const CONNECTIONS: usize = 4;

/// What all links with the same total have in common.
static TOTALS: Mutex<BTreeMap<String, Weak<Starts>>> = Mutex::new(BTreeMap::new());

/// The limits of one link.
#[derive(Default)]
pub(super) struct LinkLimits {
    /// Connections at once, where the config says how many.
    connections: Option<usize>,
    host: Starts,
    total: Arc<Starts>,
}

/// What may start, and how many sessions may be open.
#[derive(Default)]
struct Starts {
    sessions: Option<Arc<Semaphore>>,
    connection_starts: Option<Rate>,
    session_starts: Option<Rate>,
}

/// Held for as long as a session is open.
#[derive(Default)]
pub(super) struct Permit {
    _places: [Option<OwnedSemaphorePermit>; 2],
}

fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS)
}

impl Starts {
    fn new(
        sessions: Option<u32>,
        connections: Option<f64>,
        sessions_a_second: Option<f64>,
    ) -> Result<Self, LimitError> {
        Ok(Self {
            sessions: sessions.map(|limit| Arc::new(Semaphore::new(count(limit)))),
            connection_starts: connections.map(Rate::new).transpose()?,
            session_starts: sessions_a_second.map(Rate::new).transpose()?,
        })
    }

    fn total(limits: &TotalLimits) -> Result<Arc<Self>, LimitError> {
        let key = format!("{limits:?}");
        // A map is whole after each call.
        let mut totals = TOTALS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(total) = totals.get(&key).and_then(Weak::upgrade) {
            return Ok(total);
        }
        let total = Self::new(limits.sessions, limits.connections_per_second, limits.sessions_per_second)?;
        let total = Arc::new(total);
        totals.retain(|_, total| total.strong_count() > 0);
        totals.insert(key, Arc::downgrade(&total));
        Ok(total)
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed.
        self.sessions.as_ref()?.clone().acquire_owned().await.ok()
    }
}

impl LinkLimits {
    pub(super) fn of(limits: &HostLimits, total: &TotalLimits) -> Result<Self, LimitError> {
        Ok(Self {
            connections: limits.connections.map(|limit| count(limit).min(CONNECTIONS)),
            host: Starts::new(limits.sessions, limits.connections_per_second, limits.sessions_per_second)?,
            total: Starts::total(total)?,
        })
    }

    /// How many connections there may be at once for so many targets on one host.
    pub(super) fn connections(&self, targets: usize) -> usize {
        self.connections.unwrap_or(CONNECTIONS * targets)
    }

    /// Whether no more than so many sessions may be open at once.
    pub(super) fn counts_sessions(&self) -> bool {
        self.host.sessions.is_some() || self.total.sessions.is_some()
    }

    /// Waits until a connection may start.
    pub(super) async fn connection(&self) {
        for starts in [&self.host, &self.total] {
            if let Some(rate) = &starts.connection_starts {
                rate.turn().await;
            }
        }
    }

    /// Waits until a session may start; what it gives is held for as long as the session is open.
    pub(super) async fn session(&self) -> Permit {
        // The host's own first: who waits for that must not take a place that another host could use.
        let permit = Permit { _places: [self.host.place().await, self.total.place().await] };
        for starts in [&self.host, &self.total] {
            if let Some(rate) = &starts.session_starts {
                rate.turn().await;
            }
        }
        permit
    }
}

/// Core's token bucket with a clock: as much at once as in one second.
struct Rate {
    bucket: Mutex<TokenBucket>,
    begun: Instant,
}

impl Rate {
    fn new(per_second: f64) -> Result<Self, LimitError> {
        let burst = per_second.ceil().clamp(1.0, f64::from(u32::MAX)) as u32;
        Ok(Self { bucket: Mutex::new(TokenBucket::new(per_second, burst)?), begun: Instant::now() })
    }

    async fn turn(&self) {
        loop {
            let asked = {
                let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
                bucket.check(self.begun.elapsed())
            };
            match asked.map_err(|refused| refused.again) {
                Ok(()) | Err(None) => return,
                Err(Some(again)) => sleep_until(self.begun + again).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(limits: HostLimits) -> LinkLimits {
        LinkLimits::of(&limits, &TotalLimits::default()).expect("limits")
    }

    #[tokio::test(start_paused = true)]
    async fn all_hosts_together_are_asked_for_no_more_than_the_total() {
        let total =
            TotalLimits { sessions: Some(3), sessions_per_second: Some(2.0), connections_per_second: Some(1.0) };
        let of = |limits: HostLimits| LinkLimits::of(&limits, &total).expect("limits");
        let narrow = of(HostLimits { sessions: Some(1), ..HostLimits::default() });
        let wide = of(HostLimits::default());
        let begun = Instant::now();
        for limits in [&narrow, &wide, &narrow, &wide] {
            limits.connection().await;
        }
        assert_eq!(begun.elapsed().as_secs(), 3, "one at once, and three more at one a second");
        let begun = Instant::now();
        let (first, _second, _third) = (narrow.session().await, wide.session().await, wide.session().await);
        assert_eq!(begun.elapsed().as_millis(), 500, "two at once, and a third half a second later");
        let soon = std::time::Duration::from_secs(5);
        assert!(tokio::time::timeout(soon, wide.session()).await.is_err(), "three are open");
        drop(first);
        assert!(tokio::time::timeout(soon, wide.session()).await.is_ok());
        let others =
            LinkLimits::of(&HostLimits::default(), &TotalLimits { sessions: Some(4), ..total }).expect("limits");
        assert!(tokio::time::timeout(soon, others.session()).await.is_ok(), "another total is another's");
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_start_no_faster_than_allowed_and_connections_likewise() {
        let rates =
            HostLimits { sessions_per_second: Some(4.0), connections_per_second: Some(0.5), ..HostLimits::default() };
        let limits = limits(rates);
        let begun = Instant::now();
        for _ in 0..12 {
            limits.session().await;
        }
        assert_eq!(begun.elapsed().as_secs(), 2, "four at once, and eight more at four a second");
        let begun = Instant::now();
        for _ in 0..3 {
            limits.connection().await;
        }
        assert_eq!(begun.elapsed().as_secs(), 4, "one at once, and two more at one in two seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_sessions_are_open_at_once_than_allowed() {
        let limits = limits(HostLimits { sessions: Some(2), ..HostLimits::default() });
        let (first, _second) = (limits.session().await, limits.session().await);
        let short = std::time::Duration::from_millis(1);
        assert!(tokio::time::timeout(short, limits.session()).await.is_err());
        drop(first);
        assert!(tokio::time::timeout(short, limits.session()).await.is_ok());
    }

    #[test]
    fn a_host_without_limits_has_those_of_ssh_and_a_rate_of_nothing_is_refused() {
        assert_eq!(limits(HostLimits::default()).connections(1), CONNECTIONS);
        assert_eq!(limits(HostLimits::default()).connections(20), 20 * CONNECTIONS);
        assert_eq!(limits(HostLimits { connections: Some(1), ..HostLimits::default() }).connections(20), 1);
        assert!(
            LinkLimits::of(
                &HostLimits { sessions_per_second: Some(0.0), ..HostLimits::default() },
                &TotalLimits::default()
            )
            .is_err()
        );
    }
}
