//! How fast lanes may start.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Spaces starts evenly: one may begin every `1 / rate` seconds.
pub(super) struct Pace {
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(starts_per_second: Option<f64>) -> Self {
        let gap = match starts_per_second {
            Some(rate) if rate.is_finite() && rate > 0.0 => Duration::try_from_secs_f64(1.0 / rate).unwrap_or_default(),
            _ => Duration::ZERO,
        };
        Self { gap, next: Mutex::new(None) }
    }

    /// Returns when it is this caller's turn. Turns are given in the order of the calls.
    pub(super) async fn turn(&self) {
        if self.gap.is_zero() {
            return;
        }
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let turn = next.map_or_else(Instant::now, |next| next.max(Instant::now()));
            *next = Some(turn + self.gap);
            turn
        };
        sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn starts_are_spaced_by_the_rate() {
        let pace = Pace::new(Some(4.0));
        let begin = Instant::now();
        for _ in 0..5 {
            pace.turn().await;
        }
        assert_eq!(begin.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn no_rate_means_no_wait() {
        let begin = Instant::now();
        Pace::new(None).turn().await;
        Pace::new(Some(0.0)).turn().await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }
}
