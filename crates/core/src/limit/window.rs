//! A number in every stretch of time.

use std::collections::VecDeque;
use std::time::Duration;

use super::{LimitError, Refused};

/// More would take 16 MB and more for one limit.
const MOST: u32 = 1_000_000;

/// Lets at most `count` through in every stretch of `window`, wherever it begins; a stretch does not hold its own end.
///
/// Exact, unlike windows that begin at fixed times: those let twice as many through around the turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlidingWindow {
    count: usize,
    window: Duration,
    /// When the last `count` were let through, oldest first.
    passed: VecDeque<Duration>,
    latest: Duration,
}

impl SlidingWindow {
    /// Nothing has been let through yet.
    ///
    /// # Errors
    /// `count` or `window` is 0, or `count` is above a million.
    pub fn new(count: u32, window: Duration) -> Result<Self, LimitError> {
        if window.is_zero() {
            return Err(LimitError::Window);
        }
        let refused = match count {
            0 => LimitError::Nothing,
            1..=MOST => {
                let count = count as usize;
                return Ok(Self { count, window, passed: VecDeque::with_capacity(count), latest: Duration::ZERO });
            }
            _ => LimitError::TooMany(count),
        };
        Err(refused)
    }

    /// Lets one through at `now`, or says when.
    pub fn check(&mut self, now: Duration) -> Result<(), Refused> {
        self.latest = self.latest.max(now);
        // Only the oldest of the last `count` matters: no need to look at the others, or to clear them away.
        if self.passed.len() == self.count {
            let again = self.passed.front().and_then(|oldest| oldest.checked_add(self.window));
            if again.is_none_or(|again| again > self.latest) {
                return Err(Refused { again });
            }
            self.passed.pop_front();
        }
        self.passed.push_back(self.latest);
        Ok(())
    }

    /// How many it would let through at `now`. Takes time with the logarithm of `count`.
    pub fn left(&self, now: Duration) -> u32 {
        let now = self.latest.max(now);
        let past = self.passed.partition_point(|at| at.checked_add(self.window).is_some_and(|end| end <= now));
        u32::try_from(self.count - (self.passed.len() - past)).unwrap_or_default()
    }
}
