//! Lengths and points of time as people read them.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

/// `0.4s`, `12.3s`, `2m05s`, `1h02m`.
pub(crate) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{}.{}s", seconds, duration.subsec_millis() / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// How long lies between two times; nothing if the clock went back.
pub(crate) fn between(start: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(start)).unwrap_or(Duration::ZERO)
}

/// `just now`, `5m ago`, `3d ago`.
pub(crate) fn ago_text(then: Timestamp, now: Timestamp) -> String {
    let seconds = between(then, now).as_secs();
    match seconds {
        0..5 => "just now".to_owned(),
        5..60 => format!("{seconds}s ago"),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..86_400 => format!("{}h ago", seconds / 3600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// `2026-11-21 07:28:04` in the zone of whoever reads.
pub(crate) fn moment_text(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `11-21 07:28`, where there is no room for more.
pub(crate) fn short_moment_text(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::system()).strftime("%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_two_units() {
        for (seconds, text) in
            [(0.44, "0.4s"), (12.34, "12.3s"), (125.0, "2m05s"), (3725.0, "1h02m"), (90_000.0, "1d01h")]
        {
            assert_eq!(duration_text(Duration::from_secs_f64(seconds)), text);
        }
    }

    #[test]
    fn a_clock_that_went_back_gives_no_negative_age() {
        let now = Timestamp::from_second(1000).expect("in range");
        let later = Timestamp::from_second(2000).expect("in range");
        assert_eq!(ago_text(later, now), "just now");
        assert_eq!(between(later, now), Duration::ZERO);
        assert_eq!(ago_text(now, later), "16m ago");
    }
}
