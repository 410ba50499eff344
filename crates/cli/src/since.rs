//! From when on lines are wanted.

use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// What `--since` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// `deployment`: what the current release has printed.
    Deployment,
    /// A moment.
    Moment(Timestamp),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text, Timestamp::now(), &TimeZone::system())
    }
}

/// A moment without a zone is one of `zone`.
fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Since, String> {
    let text = text.trim();
    if text == "deployment" {
        return Ok(Since::Deployment);
    }
    let there = |time: DateTime| zone.to_timestamp(time).ok();
    let ago = |span: Span| Some(now.to_zoned(zone.clone()).checked_sub(span.abs()).ok()?.timestamp());
    let moment = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<DateTime>().ok().and_then(there))
        .or_else(|| text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0)).and_then(there))
        .or_else(|| text.parse::<Span>().ok().and_then(ago));
    moment.map(Since::Moment).ok_or_else(|| {
        "expected how long ago, such as `10m` or `2d`, a time such as `2026-11-22 10:00`, or `deployment`".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_moments_and_days_are_understood_and_nothing_else() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().expect("a time");
        let read = |text: &str| match parse(text, now, &zone) {
            Ok(Since::Moment(moment)) => moment.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(read("10m"), "2026-11-22T09:50:00Z");
        assert_eq!(read("1h 30m ago"), "2026-11-22T08:30:00Z");
        assert_eq!(read("2d"), "2026-11-20T10:00:00Z");
        assert_eq!(read("2026-11-22T09:00:00Z"), "2026-11-22T09:00:00Z");
        assert_eq!(read("2026-11-22 10:30"), "2026-11-22T09:30:00Z");
        assert_eq!(read("2026-11-22"), "2026-11-21T23:00:00Z");
        assert_eq!(parse("deployment", now, &zone), Ok(Since::Deployment));
        for bad in ["", "yesterday", "10", "10:00 or so"] {
            assert!(parse(bad, now, &zone).is_err(), "{bad}");
        }
    }
}
