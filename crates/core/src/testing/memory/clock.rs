//! A wall clock that tells the same times in every test.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

use crate::port::Clock;

/// Moves on by a second at each look, from the epoch, and jumps when it is told to.
#[derive(Debug, Default)]
pub struct FixedClock {
    now: Mutex<Timestamp>,
}

impl FixedClock {
    /// Jumps; also back.
    pub fn jump(&self, by: SignedDuration) {
        let mut now = self.now.lock().unwrap();
        *now = now.checked_add(by).unwrap_or(*now);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        let mut now = self.now.lock().unwrap();
        *now = now.checked_add(SignedDuration::from_secs(1)).unwrap_or(*now);
        *now
    }
}
