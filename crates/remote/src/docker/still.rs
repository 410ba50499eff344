//! Work that may take as long as it likes while it gets on: an image of two gigabytes over a thin line is no failure, a line on which
//! nothing arrives is one.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pleach_core::period::Period;
use tokio::time::sleep;

/// How long nothing may arrive, and an engine may take to write what has arrived.
pub(super) const STILL: Period = Period::seconds(600);

/// Between two looks, as a part of that.
const LOOKS: u32 = 20;

/// Counts how far some work has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Moved(Arc<AtomicU64>);

impl Moved {
    /// It has come further.
    pub(super) fn on(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Does some work; gives it up, and gives nothing, once it has not come further for so long.
    pub(super) async fn watch<T>(&self, limit: Period, work: impl Future<Output = T>) -> Option<T> {
        let stands_still = async {
            let (mut seen, mut still) = (self.count(), 0);
            while still < LOOKS {
                sleep(limit.0 / LOOKS).await;
                let now = self.count();
                still = if now == seen { still + 1 } else { 0 };
                seen = now;
            }
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = stands_still => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_gets_on_may_take_as_long_as_it_likes_and_what_stands_still_is_given_up() {
        let (moved, begun) = (Moved::default(), Instant::now());
        let slow = async {
            for _ in 0..100 {
                sleep(STILL.0 / 2).await;
                moved.on();
            }
        };
        assert_eq!(moved.watch(STILL, slow).await, Some(()));
        assert!(begun.elapsed() >= STILL.0 * 50);
        let (later, begun) = (moved.clone(), Instant::now());
        let stuck = async {
            sleep(STILL.0 / 2).await;
            later.on();
            std::future::pending::<()>().await;
        };
        assert_eq!(moved.watch(STILL, stuck).await, None);
        assert!((STILL.0..STILL.0 * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }
}
