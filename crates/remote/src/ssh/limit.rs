//! How much one host takes of us.

use std::sync::{Arc, Mutex, PoisonError};

use pleach_core::config::HostLimits;
use pleach_core::limit::{LimitError, TokenBucket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// Connections to one host for each target on it, unless it takes fewer.
const CONNECTIONS: usize = 4;

/// The limits of one link.
#[derive(Default)]
pub(super) struct LinkLimits {
    /// Connections at once, where the config says how many.
    connections: Option<usize>,
    sessions: Option<Arc<Semaphore>>,
    connection_starts: Option<Rate>,
    session_starts: Option<Rate>,
}

impl LinkLimits {
    pub(super) fn of(limits: &HostLimits) -> Result<Self, LimitError> {
        let count = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            connections: limits.connections.map(|limit| count(limit).min(CONNECTIONS)),
            sessions: limits.sessions.map(|limit| Arc::new(Semaphore::new(count(limit)))),
            connection_starts: limits.connections_per_second.map(Rate::new).transpose()?,
            session_starts: limits.sessions_per_second.map(Rate::new).transpose()?,
        })
    }

    /// How many connections there may be at once for so many targets on one host.
    pub(super) fn connections(&self, targets: usize) -> usize {
        self.connections.unwrap_or(CONNECTIONS * targets)
    }

    /// Waits until a connection may start.
    pub(super) async fn connection(&self) {
        if let Some(rate) = &self.connection_starts {
            rate.turn().await;
        }
    }

    /// Waits until a session may start; what it gives is held for as long as the session is open.
    pub(super) async fn session(&self) -> Option<OwnedSemaphorePermit> {
        let permit = match &self.sessions {
            // Never closed.
            Some(sessions) => sessions.clone().acquire_owned().await.ok(),
            None => None,
        };
        if let Some(rate) = &self.session_starts {
            rate.turn().await;
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
        LinkLimits::of(&limits).expect("limits")
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
        assert!(LinkLimits::of(&HostLimits { sessions_per_second: Some(0.0), ..HostLimits::default() }).is_err());
    }
}
