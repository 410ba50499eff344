//! A number at once.

use super::{LimitError, Refused};

/// Lets `count` in at once; each gives its place back.
///
/// It only counts. Whoever is let in owns a place and gives it back once, with [`leave`](Self::leave); a guard that does so
/// when it is dropped belongs where the lock is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concurrency {
    count: u32,
    inside: u32,
}

impl Concurrency {
    /// Nobody is in yet.
    ///
    /// # Errors
    /// `count` is 0.
    pub fn new(count: u32) -> Result<Self, LimitError> {
        if count == 0 { Err(LimitError::Nothing) } else { Ok(Self { count, inside: 0 }) }
    }

    /// Lets one in, if there is a place.
    pub fn enter(&mut self) -> Result<(), Refused> {
        if self.inside >= self.count {
            return Err(Refused { again: None });
        }
        self.inside += 1;
        Ok(())
    }

    /// Gives a place back. Without one that was taken nothing happens.
    pub fn leave(&mut self) {
        self.inside = self.inside.saturating_sub(1);
    }

    /// Allows another number from now on, at least 1: a host may turn out to take less than was thought. Nobody who is in
    /// is sent out.
    pub fn resize(&mut self, count: u32) {
        self.count = count.max(1);
    }

    /// How many are in.
    pub fn inside(&self) -> u32 {
        self.inside
    }

    /// How many more it would let in.
    pub fn left(&self) -> u32 {
        self.count.saturating_sub(self.inside)
    }
}
