//! A rate with a burst.

use std::time::Duration;

use super::{LimitError, Refused};

const NANOSECONDS: f64 = 1e9;
/// A hundred years, in nanoseconds: 3.2e18, below what 64 bits hold.
const LONGEST: f64 = 3_155_760_000.0 * NANOSECONDS;

/// Lets `burst` through at once, and one more every `1 / rate` seconds.
///
/// In any stretch of `t` seconds it lets at most `burst + rate * t` through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    /// Nanoseconds between two.
    gap: u64,
    /// How many gaps the schedule may run ahead of the time.
    burst: u32,
    /// When the schedule is through with all that were let through so far, in nanoseconds.
    due: u128,
    /// The latest time that was given.
    latest: u128,
}

impl TokenBucket {
    /// A full bucket: `rate` a second, `burst` at once.
    ///
    /// # Errors
    /// `rate` is not above 0 or out of all bounds; `burst` is 0.
    pub fn new(rate: f64, burst: u32) -> Result<Self, LimitError> {
        if burst == 0 {
            return Err(LimitError::Nothing);
        }
        // Rounded up: never faster than was allowed.
        let gap = (NANOSECONDS / rate).ceil();
        if !(rate > 0.0 && rate <= NANOSECONDS && gap <= LONGEST) {
            return Err(LimitError::Rate(rate));
        }
        Ok(Self { gap: gap as u64, burst, due: 0, latest: 0 })
    }

    /// Lets one through at `now`, or says when.
    pub fn check(&mut self, now: Duration) -> Result<(), Refused> {
        self.check_many(now, 1)
    }

    /// Lets all of `count` through at `now`, or none and says when.
    pub fn check_many(&mut self, now: Duration, count: u32) -> Result<(), Refused> {
        self.latest = self.latest.max(now.as_nanos());
        if count > self.burst {
            return Err(Refused { again: None });
        }
        let due = self.due.max(self.latest) + u128::from(self.gap) * u128::from(count);
        let earliest = due.saturating_sub(u128::from(self.gap) * u128::from(self.burst));
        if earliest > self.latest {
            return Err(Refused { again: Some(duration(earliest)) });
        }
        self.due = due;
        Ok(())
    }

    /// How many it would let through at `now`.
    pub fn left(&self, now: Duration) -> u32 {
        let now = self.latest.max(now.as_nanos());
        let ahead = self.due.saturating_sub(now).div_ceil(u128::from(self.gap));
        u32::try_from(u128::from(self.burst).saturating_sub(ahead)).unwrap_or_default()
    }
}

fn duration(nanoseconds: u128) -> Duration {
    let seconds = u64::try_from(nanoseconds / 1_000_000_000).unwrap_or(u64::MAX);
    // Below a thousand millions.
    Duration::new(seconds, (nanoseconds % 1_000_000_000) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_is_none_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-12, 2e9] {
            assert!(TokenBucket::new(rate, 1).is_err(), "{rate}");
        }
        assert_eq!(TokenBucket::new(1.0, 0), Err(LimitError::Nothing));
        assert!(TokenBucket::new(1e9, u32::MAX).is_ok());
    }

    #[test]
    fn a_rate_that_divides_no_second_does_not_drift() {
        let mut bucket = TokenBucket::new(3.0, 1).expect("a rate");
        let mut now = Duration::ZERO;
        for _ in 0..3_000_000 {
            while let Err(refused) = bucket.check(now) {
                now = refused.again.expect("waiting helps");
            }
        }
        let drift = now.abs_diff(Duration::from_secs(1_000_000));
        assert!(drift < Duration::from_secs(1), "{drift:?} in eleven days");
    }
}
