//! The wall clock, for what people read; the engine's own waiting uses tokio's time.

use jiff::Timestamp;

/// Tells the time of day.
#[cfg_attr(feature = "testing", mockall::automock)]
pub trait Clock: Send + Sync {
    /// The time now. It may jump in either direction: order comes from the journal's sequence, never from here.
    fn now(&self) -> Timestamp;
}
